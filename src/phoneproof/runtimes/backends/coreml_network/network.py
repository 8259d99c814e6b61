"""A whole network: its layers in order, each prepared once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import torch

from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.runtimes.backends.coreml_network.layer import Blobs, Function, Layer, Message
from phoneproof.runtimes.backends.coreml_network.operators import LAYERS, ONLY_MOVE

Watch = Callable[[str, torch.Tensor], None]

NETWORKS: Final = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
"""Kinds of Core ML models that are lists of layers."""

_SHAPES: Final = (RuntimeError, ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError)
"""What PyTorch says of blobs whose shapes do not fit a layer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Step:
    layer: Layer
    function: Function


class Network:
    """The layers of a model of one of `NETWORKS`.

    Args:
        file: the model.

    Raises:
        Unsupported: a model of another kind, or a layer that is not interpreted, named.
        InvalidInput: weights that are missing, sizes that do not fit, names that are used before
            they are given.
    """

    def __init__(self, file: CoreMlFile) -> None:
        self.name = file.name
        self.message = network_of(file)
        layers = [_layer(file.name, message) for message in self.message.layers]
        if not layers:
            raise InvalidInput(f"{file.name} holds no layers", found=file.kind)
        _require_known(layers)
        given = {str(item.name) for item in file.spec.description.input}
        _require_order(layers, given)
        with torch.no_grad():
            self._steps = tuple(
                _Step(layer=layer, function=LAYERS[layer.kind](layer)) for layer in layers
            )

    @property
    def last(self) -> Layer:
        """The layer that gives the last blob."""
        return self._steps[-1].layer

    def giver(self, blob: str) -> Layer | None:
        """The layer that gives a blob; null for inputs and unknown names."""
        found = [step.layer for step in self._steps if blob in step.layer.outputs]
        return found[-1] if found else None

    def computers(self, blob: str) -> tuple[Layer, ...]:
        """The layers that compute the numbers of a blob: those behind what only moves them.

        Last first; none where some numbers are an input's own.
        """
        wanted, found = {blob}, []
        # In this order each name is its last giver's: layers may give a name that they take.
        for step in reversed(self._steps):
            layer = step.layer
            if wanted.isdisjoint(layer.outputs):
                continue
            wanted.difference_update(layer.outputs)
            if layer.kind in ONLY_MOVE:
                wanted.update(layer.inputs)
            else:
                found.append(layer)
        return () if wanted else tuple(found)

    def run(
        self,
        inputs: Mapping[str, torch.Tensor],
        wanted: tuple[str, ...],
        watch: Watch | None = None,
    ) -> dict[str, torch.Tensor]:
        """Values of the blobs `wanted`.

        Args:
            watch: called with the name and value of every blob, in order.

        Raises:
            InvalidInput: shapes that do not fit a layer, or a blob that no layer gives.
        """
        blobs = dict(inputs)
        left = _last_uses(self._steps, wanted)
        with torch.inference_mode():
            for place, step in enumerate(self._steps):
                layer = step.layer
                values = _values(step, [blobs[name] for name in layer.inputs])
                for name, value in zip(layer.outputs, values, strict=True):
                    blobs[name] = value
                    if watch is not None:
                        watch(name, value)
                for name in left.get(place, ()):
                    del blobs[name]
        return {name: blobs[name] for name in wanted}


def _values(step: _Step, blobs: list[torch.Tensor]) -> Blobs:
    try:
        values = step.function(blobs)
    except _SHAPES as error:
        raise step.layer.damaged(first_line(error)) from error
    if len(values) != len(step.layer.outputs):
        raise step.layer.damaged(f"{len(values)} results for {len(step.layer.outputs)} names")
    return values


def network_of(file: CoreMlFile) -> Message:
    """The message of the network.

    Raises:
        Unsupported: a model of another kind.
    """
    if file.kind not in NETWORKS:
        raise Unsupported(
            f"{file.name} is a Core ML model of a kind that is not interpreted",
            found=file.kind,
            next_step="open it on a Mac, where Core ML itself runs it",
        )
    return getattr(file.spec, file.kind)


def _layer(model: str, message: Message) -> Layer:
    kind = str(message.WhichOneof("layer"))
    return Layer(
        model=model,
        name=str(message.name),
        kind=kind,
        params=getattr(message, kind, None),
        inputs=tuple(str(name) for name in message.input),
        outputs=tuple(str(name) for name in message.output),
    )


def _require_known(layers: list[Layer]) -> None:
    unknown = [layer for layer in layers if layer.kind not in LAYERS]
    if unknown:
        first = unknown[0]
        kinds = sorted({layer.kind for layer in unknown})
        raise Unsupported(
            f"{first.model} has layers that are not interpreted",
            found=f"{', '.join(kinds)} (the first is {first.name!r})",
            next_step="open the model on a Mac, where Core ML itself runs it",
        )


def _require_order(layers: list[Layer], given: set[str]) -> None:
    known = set(given)
    for layer in layers:
        missing = [name for name in layer.inputs if name not in known]
        if missing:
            raise layer.damaged(f"input {missing[0]!r}, which no layer before it gives")
        known.update(layer.outputs)


def _last_uses(steps: tuple[_Step, ...], wanted: tuple[str, ...]) -> dict[int, tuple[str, ...]]:
    """Which blobs are read for the last time by which step."""
    last: dict[str, int] = {}
    for place, step in enumerate(steps):
        for name in (*step.layer.inputs, *step.layer.outputs):
            last[name] = place
    found: dict[int, tuple[str, ...]] = {}
    for name, place in last.items():
        if name not in wanted:
            found[place] = (*found.get(place, ()), name)
    return found
