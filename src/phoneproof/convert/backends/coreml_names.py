"""Tensor names that Core ML takes: they become properties of the class that Xcode generates."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from phoneproof.convert.backends.hub_module import HubModule
from phoneproof.core.binding import Binding
from phoneproof.core.tensors import TensorSpec, identifiers


def renamed_hub(hub: HubModule) -> HubModule:
    """The hub with such names on its input and outputs."""
    known = identifiers(tuple(spec.name for spec in hub.inputs + hub.outputs))
    return replace(
        hub,
        inputs=(_renamed(hub.inputs[0], known),),
        outputs=tuple(_renamed(spec, known) for spec in hub.outputs),
    )


def renamed_outputs(binding: Binding, before: HubModule, after: HubModule) -> Binding:
    """The binding of `before` with the outputs' names of `after`."""
    pairs = zip(before.outputs, after.outputs, strict=True)
    known = {old.name: new.name for old, new in pairs}
    outputs = tuple(
        msgspec.structs.replace(role, tensor=known[role.tensor]) for role in binding.outputs
    )
    return msgspec.structs.replace(binding, outputs=outputs)


def _renamed(spec: TensorSpec, known: dict[str, str]) -> TensorSpec:
    return msgspec.structs.replace(spec, name=known[spec.name])
