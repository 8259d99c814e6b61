"""Tensor names that Core ML takes: they become properties of the class that Xcode generates."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import msgspec

from phoneproof.convert.backends.hub_module import HubModule
from phoneproof.core.binding import Binding
from phoneproof.core.tensors import TensorSpec

_OTHERS: Final = re.compile(r"[^A-Za-z0-9_]")


def identifiers(names: tuple[str, ...]) -> dict[str, str]:
    """Name -> letters, digits and underscores, no digit in front, each unlike the others."""
    found: dict[str, str] = {}
    for name in names:
        plain = _OTHERS.sub("_", name)
        plain = plain if plain[:1].isalpha() or plain[:1] == "_" else f"tensor_{plain}"
        taken, number, first = set(found.values()), 1, plain
        while plain in taken:
            number += 1
            plain = f"{first}_{number}"
        found[name] = plain
    return found


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
