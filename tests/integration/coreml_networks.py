"""Core ML networks made layer by layer, without coremltools' builder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phoneproof.formats.coreml.messages import model_messages
from phoneproof.runtimes.backends.coreml_network.layer import Layer
from phoneproof.runtimes.backends.coreml_network.operators import LAYERS

Array = NDArray[np.float32]
Message = Any
Fill = Callable[[Message], None]


def filled(message: Message, fields: dict[str, object]) -> None:
    """Set fields by dotted name; lists extend, arrays become weights, True picks an empty one."""
    for dotted, value in fields.items():
        *path, last = dotted.split(".")
        place = message
        for name in path:
            place = getattr(place, name)
        if isinstance(value, np.ndarray):
            getattr(place, last).floatValue.extend(value.ravel().tolist())
        elif isinstance(value, (list, tuple)):
            getattr(place, last).extend(value)
        elif value is None:
            getattr(place, last).SetInParent()
        else:
            setattr(place, last, value)


def borders(message: Message, top: int, bottom: int, left: int, right: int) -> None:
    """Fill a BorderAmounts."""
    for start, end in ((top, bottom), (left, right)):
        edge = message.borderAmounts.add()
        edge.startEdgeSize, edge.endEdgeSize = start, end


def model(kind: str = "neuralNetwork") -> Message:
    """An empty model of a kind."""
    spec = model_messages().Model()
    spec.specificationVersion = 1
    getattr(spec, kind).SetInParent()
    return spec


def layer(
    kind: str,
    fields: dict[str, object] | None = None,
    fill: Fill | None = None,
    inputs: int = 1,
    outputs: int = 1,
) -> Layer:
    """One layer on its own."""
    spec = model()
    message = spec.neuralNetwork.layers.add()
    params = getattr(message, kind)
    params.SetInParent()
    filled(params, fields or {})
    if fill is not None:
        fill(params)
    return Layer(
        model="test.mlmodel",
        name="it",
        kind=kind,
        params=params,
        inputs=tuple(f"x{index}" for index in range(inputs)),
        outputs=tuple(f"y{index}" for index in range(outputs)),
    )


def run(made: Layer, *blobs: Array) -> list[Array]:
    """What a layer gives for blobs."""
    function = LAYERS[made.kind](made)
    with torch.inference_mode():
        found = function([torch.from_numpy(np.ascontiguousarray(blob)) for blob in blobs])
    return [np.asarray(value.numpy(), np.float32) for value in found]


def only(made: Layer, *blobs: Array) -> Array:
    """The one result of a layer."""
    (value,) = run(made, *blobs)
    return value


def write_network(
    path: Path,
    layers: Sequence[tuple[str, dict[str, object]]],
    *,
    image: tuple[int, int, int] = (3, 8, 8),
    colour: int = 20,
    kind: str = "neuralNetwork",
    fill: Fill | None = None,
) -> Path:
    """A ``.mlmodel`` of a chain of layers: image ``image`` -> ... -> ``out``.

    fill: changes the whole specification before it is written.
    """
    spec = model(kind)
    given = spec.description.input.add()
    given.name = "image"
    given.type.imageType.height, given.type.imageType.width = image[1:]
    given.type.imageType.colorSpace = colour
    result = spec.description.output.add()
    result.name = "out"
    if kind == "neuralNetworkClassifier":
        result.type.dictionaryType.stringKeyType.SetInParent()
    else:
        result.type.multiArrayType.dataType = 65600
    network = getattr(spec, kind)
    before = "image"
    for index, (name, fields) in enumerate(layers):
        message = network.layers.add()
        message.name = f"{name}_{index}"
        message.input.append(before)
        before = "out" if index == len(layers) - 1 else f"blob_{index}"
        message.output.append(before)
        getattr(message, name).SetInParent()
        filled(getattr(message, name), fields)
    if fill is not None:
        fill(spec)
    path.write_bytes(spec.SerializeToString(deterministic=True))
    return path


def numbers(*shape: int, seed: int = 1) -> Array:
    """Seeded numbers around 0."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
