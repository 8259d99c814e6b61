"""Whether a model file carries the contract and binding that lie beside it.

An app may read either. A file from another build would pass every measurement that looks at
tensors, and still name its classes differently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.check import Check
from phoneproof.core.contract import Channels, Contract
from phoneproof.core.json_format import canonical_bytes

SHOWN = 5


def contract_match_check(
    *,
    contract: Contract,
    binding: Binding,
    inside: tuple[Contract, Binding],
    artifact: str,
    image_channels: Sequence[Channels | None] = (),
) -> Check:
    """Compare what lies beside the file with what is `inside` it, field by field.

    Args:
        contract, binding: those of the bundle; the binding's `artifact` is not compared, because
            a file cannot hold its own hash.
        inside: contract and binding read from the file.
        artifact: its id, for the check's slice.
        image_channels: of the image inputs that the file declares to the system, which hands the
            pixels over in that order whatever the contract says.
    """
    differing = [
        *_differing("contract", contract, inside[0]),
        *_differing("binding", _without_hash(binding), _without_hash(inside[1])),
        *(
            f"the image input ({found or 'of another kind'}, the contract has {wanted})"
            for found in image_channels
            if found != (wanted := contract.image.channels)
        ),
    ]
    more = f" and {len(differing) - SHOWN} more" if len(differing) > SHOWN else ""
    return Check(
        name="contract_match",
        kind="exact",
        value=float(len(differing)),
        limit=0.0,
        n=1,
        slice=artifact,
        method="fields of contract and binding in the file that differ from those beside it",
        verdict="fail" if differing else "pass",
        hint=f"{', '.join(differing[:SHOWN])}{more}: the file is of another build; build again"
        if differing
        else "",
    )


def _without_hash(binding: Binding) -> Binding:
    return msgspec.structs.replace(binding, artifact=None)


def _differing(name: str, one: msgspec.Struct, other: msgspec.Struct) -> Iterator[str]:
    for field in one.__struct_fields__:
        if canonical_bytes(getattr(one, field)) != canonical_bytes(getattr(other, field)):
            yield f"{name}.{field}"
