"""Core ML itself, on macOS, through coremltools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    Feature,
    ImageFeature,
    description_of,
)
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.tensors import check_tensors, dtype_of

Predict = Callable[[Mapping[str, object]], Mapping[str, Tensor]]


def open_native(path: Path) -> NativeSession:
    """Compile a model for the CPU alone, which alone computes in full precision everywhere.

    Raises:
        InvalidInput: damaged, or refused by Core ML.
        Unsupported: inputs or outputs that are neither arrays nor images.
    """
    description = description_of(read_coreml(path))
    tools = import_coremltools()
    # Core ML's errors reach Python as plain exceptions.
    with faults_of_file(f"Core ML cannot open {path.name}", Exception):
        model = tools.models.MLModel(str(path), compute_units=tools.ComputeUnit.CPU_ONLY)
    return NativeSession(model.predict, description.inputs, description.outputs)


class NativeSession:
    """A model that Core ML has compiled.

    Args:
        predict: input name -> array or image, gives output name -> array.
        inputs, outputs: as the model's description has them.
    """

    def __init__(
        self, predict: Predict, inputs: tuple[Feature, ...], outputs: tuple[Feature, ...]
    ) -> None:
        self._predict = predict
        self._images = {item.name: item for item in inputs if isinstance(item, ImageFeature)}
        self._inputs = tuple(map(_spec, inputs))
        self._outputs = tuple(map(_spec, outputs))

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """As the description lists them; images as float32 [1, C, height, width]."""
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As the description lists them."""
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once; errors as `Session.run`."""
        wide = {name: self._pixels(name, value) for name, value in tensors.items()}
        check_tensors(self._inputs, wide)
        fed = {
            name: self._picture(value, self._images[name]) if name in self._images else value
            for name, value in wide.items()
        }
        with faults_of_file("Core ML cannot run the model", Exception):
            found = self._predict(fed)
        return {spec.name: np.array(found[spec.name], dtype=spec.dtype) for spec in self._outputs}

    def _pixels(self, name: str, value: Tensor) -> Tensor:
        whole = name in self._images and isinstance(value, np.ndarray) and value.dtype == np.uint8
        return value.astype(np.float32) if whole else value

    def _picture(self, value: Tensor, feature: ImageFeature) -> Image.Image:
        """Core ML takes pictures, in RGB whatever the order that the program sees."""
        pixels = np.clip(np.rint(value[0]), 0, 255).astype(np.uint8)
        if feature.colour == "BGR":
            pixels = pixels[::-1]
        if feature.colour in ("RGB", "BGR"):
            return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
        return Image.fromarray(pixels[0])


def _spec(feature: Feature) -> TensorSpec:
    if isinstance(feature, ImageFeature):
        return TensorSpec(name=feature.name, shape=feature.shape, dtype="float32")
    if isinstance(feature, ArrayFeature):
        dtype = dtype_of(feature.dtype, feature.name)
        return TensorSpec(name=feature.name, shape=feature.shape, dtype=dtype)
    raise Unsupported(f"{feature.name!r} is no tensor", found=feature.kind)
