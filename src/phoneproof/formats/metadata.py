"""The contract and the binding as they lie inside a model file: two named JSON documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput
from phoneproof.core.json_format import canonical_bytes, parse

CONTRACT_KEY: Final = "phoneproof.contract"
BINDING_KEY: Final = "phoneproof.binding"


class Embedded(msgspec.Struct, frozen=True, kw_only=True):
    """What a model file says of itself. ``binding.artifact`` is null."""

    contract: Contract
    binding: Binding


def embedding(embedded: Embedded) -> dict[str, bytes]:
    """Metadata key -> canonical JSON.

    Raises:
        InvalidInput: the binding holds an artifact hash, which cannot be inside the artifact.
    """
    if embedded.binding.artifact is not None:
        raise InvalidInput(
            "the binding to embed names an artifact", found=embedded.binding.artifact
        )
    return {
        CONTRACT_KEY: canonical_bytes(embedded.contract),
        BINDING_KEY: canonical_bytes(embedded.binding),
    }


def parse_embedding(entries: Mapping[str, bytes], name: str) -> Embedded:
    """Read both documents back; `name` is the file's, for messages.

    Raises:
        InvalidInput: a document is missing or does not fit its schema.
    """
    missing = [key for key in (CONTRACT_KEY, BINDING_KEY) if key not in entries]
    if missing:
        raise InvalidInput(
            f"{name} carries no contract",
            found=f"metadata without {', '.join(missing)}",
            next_step="give a file that 'phoneproof build' made",
        )
    return Embedded(
        contract=parse(entries[CONTRACT_KEY], Contract, what=f"{CONTRACT_KEY} in {name}"),
        binding=parse(entries[BINDING_KEY], Binding, what=f"{BINDING_KEY} in {name}"),
    )
