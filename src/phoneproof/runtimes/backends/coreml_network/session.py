"""A network as a runtime's session: images in, blobs out, with the batch as the first axis."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    Feature,
    ImageFeature,
    OtherFeature,
    description_of,
)
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.runtimes.backends.coreml_network.layer import MOST_ELEMENTS, Layer, Message
from phoneproof.runtimes.backends.coreml_network.network import Network
from phoneproof.runtimes.backends.coreml_network.preprocess import Preprocess, preprocessing
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.tensors import check_tensors

_FIVE = 5
"""The old rank of every blob: [sequence, batch, channels, height, width]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Input:
    """shape: as the caller feeds it. inside: as the first layer gets it."""

    spec: TensorSpec
    inside: tuple[int, ...]
    prepare: Preprocess


@dataclass(frozen=True, kw_only=True, slots=True)
class _Output:
    """blob: what the layers call it. one_axis: its numbers are channels alone."""

    name: str
    blob: str
    one_axis: bool

    def shown(self, value: torch.Tensor) -> Tensor:
        """As the caller sees it (see `NetworkSession`)."""
        if value.dim() == _FIVE and value.shape[0] == 1:
            value = value[0]
            if self.one_axis and value.shape[-2:] == (1, 1):
                value = value[..., 0, 0]
        # np.array: an output may be a constant of the file, or another output.
        return np.array(value.numpy(), np.float32)


class NetworkSession:
    """Inputs are float32: of images the raw pixel values 0..255, [1, C, height, width] in the
    file's colour order. Outputs are float32; of blobs of rank 5 the sequence is left out, and
    height and width too where the description knows one axis or a dictionary of classes.

    Raises:
        Unsupported: a kind of model or a layer that is not interpreted, an input that is neither
            image nor array.
        InvalidInput: damaged, without its weights, or of absurd sizes.
    """

    def __init__(self, file: CoreMlFile) -> None:
        self._network = Network(file)
        description = description_of(file)
        self.features = description.inputs
        self._inputs = tuple(self._input(feature) for feature in description.inputs)
        self._given = tuple(map(self._output, filter(_is_tensor, description.outputs)))
        blank = {item.spec.name: np.zeros(item.spec.shape, np.float32) for item in self._inputs}
        self._outputs = tuple(
            TensorSpec(name=name, shape=value.shape, dtype="float32")
            for name, value in self.run(blank).items()
        )

    @property
    def message(self) -> Message:
        """The network as the file has it."""
        return self._network.message

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the description lists them."""
        return tuple(item.spec for item in self._inputs)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Arrays and probabilities, as the description lists them; class labels are left out."""
        return self._outputs

    def computers(self, output: str) -> tuple[Layer, ...]:
        """The layers that compute an output's numbers, as `Network.computers`."""
        blob = next((one.blob for one in self._given if one.name == output), output)
        return self._network.computers(blob)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once; errors as `Session.run`."""
        found = self._network.run(self._fed(tensors), tuple(one.blob for one in self._given))
        return {one.name: one.shown(found[one.blob]) for one in self._given}

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        """Every blob, in the order of the layers; outputs as `run` gives them."""
        seen: list[tuple[str, Tensor]] = []
        outputs = {one.blob: one for one in self._given}

        def watch(name: str, value: torch.Tensor) -> None:
            known = outputs.get(name) or _Output(name=name, blob=name, one_axis=False)
            seen.append((name, known.shown(value)))

        self._network.run(self._fed(tensors), (), watch)
        yield from seen

    def _input(self, feature: Feature) -> _Input:
        model, message = self._network.name, self._network.message
        if isinstance(feature, ImageFeature):
            outside: tuple[int, ...] = feature.shape
            inside = outside if message.imageInputShapeMapping else (1, *outside)
            prepare = preprocessing(message, feature, model)
        elif isinstance(feature, ArrayFeature):
            outside, inside = _array_shapes(feature, model, exact=message.arrayInputShapeMapping)
            prepare = _as_it_is
        else:
            raise Unsupported(
                f"{model} takes what is neither an image nor an array",
                found=f"{feature.name!r}: {feature.kind}",
            )
        if min(outside) < 1 or math.prod(outside) > MOST_ELEMENTS:
            raise InvalidInput(
                f"{model} takes an input of an absurd size",
                found=f"{feature.name!r} {list(outside)}",
            )
        spec = TensorSpec(name=feature.name, shape=outside, dtype="float32")
        return _Input(spec=spec, inside=inside, prepare=prepare)

    def _output(self, feature: Feature) -> _Output:
        """A classifier's dictionary may have another name than the blob of its probabilities."""
        is_dictionary = isinstance(feature, OtherFeature)
        blob = feature.name
        if is_dictionary:
            named = str(self._network.message.labelProbabilityLayerName)
            blob = named or (blob if self._network.giver(blob) else self._network.last.outputs[0])
        if self._network.giver(blob) is None:
            raise InvalidInput(
                f"{self._network.name} describes an output that no layer gives", found=blob
            )
        flat = isinstance(feature, ArrayFeature) and len(feature.shape) == 1
        return _Output(name=feature.name, blob=blob, one_axis=is_dictionary or flat)

    def _fed(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        check_tensors(self.inputs, tensors)
        fed = {}
        for item in self._inputs:
            # A copy: torch refuses read-only arrays with a warning.
            value = torch.from_numpy(np.array(tensors[item.spec.name]))
            fed[item.spec.name] = item.prepare(value).reshape(item.inside)
        return fed


def open_network(file: CoreMlFile) -> NetworkSession:
    """A network in the reference interpreter; errors as `NetworkSession`."""
    return NetworkSession(file)


def _as_it_is(value: torch.Tensor) -> torch.Tensor:
    return value


def _is_tensor(feature: Feature) -> bool:
    """Arrays and dictionaries of probabilities are; labels are texts and numbers."""
    return not isinstance(feature, OtherFeature) or feature.kind == "dictionary"


def _array_shapes(
    feature: ArrayFeature, model: str, *, exact: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(as the caller feeds it, as the first layer gets it)."""
    shape = feature.shape
    if exact and shape:
        return shape, shape
    if len(shape) == 1:
        return (1, *shape), (1, 1, *shape, 1, 1)
    if len(shape) == 3:
        return (1, *shape), (1, 1, *shape)
    raise InvalidInput(
        f"{model} takes an array of a shape that its version does not know",
        found=f"{feature.name!r} {list(shape)}; one or three axes",
    )
