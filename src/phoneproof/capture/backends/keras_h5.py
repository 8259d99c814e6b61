"""Keras 2 HDF5 models as sources: described by h5py, run and converted by tf-keras."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from onnx import ModelProto

from phoneproof.capture.backends.keras_config import KerasConfig, nested, read_config
from phoneproof.capture.backends.keras_shape import input_shape, output_facts
from phoneproof.capture.backends.tensorflow_quiet import import_tensorflow, silent_stderr
from phoneproof.capture.base import HubExport
from phoneproof.capture.fixed_session import FixedSession, static_shape
from phoneproof.capture.heads import ModelFacts, recognise_head
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Layout
from phoneproof.core.capture import Evidence, Finding, Hazard, Inspection
from phoneproof.core.errors import ConversionFailed, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session, Tensor

if TYPE_CHECKING:
    import torch

_MAGIC = b"\x89HDF\r\n\x1a\n"
_OPSET = 17
_IMAGE = "image"


class KerasH5Source:
    """Keras 2 ``.h5`` models of built-in layers with one image input."""

    def recognises(self, path: Path) -> bool:
        """By HDF5's magic."""
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC

    def inspect(self, path: Path) -> Inspection:
        """Read the description; TensorFlow is not imported.

        Raises:
            InvalidInput: damaged, or with a Lambda layer, which would run code when loaded.
            Unsupported: Keras 3, weights only, own layers, or no single image input.
        """
        config = read_config(path)
        image = _image(path, config)
        layout, why = _layout(config)
        channels, size = _geometry(path, image, layout)
        facts = tuple(output_facts(config, name) for name in config.outputs)
        guess = recognise_head(ModelFacts(outputs=facts, size=size))
        return Inspection(
            format="keras_h5",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(image,),
            outputs=tuple(fact.spec for fact in facts),
            layout=layout,
            channels=channels,
            size=size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            evidence=_evidence(config),
            findings=(
                Finding(key="input.layout", value=layout, reason=why),
                *guess.findings,
                *_preprocessing(config),
                Finding(
                    key="contract.preset",
                    value="",
                    reason="a Keras file does not say how pictures become the input",
                ),
            ),
            hazards=_hazards(image),
        )

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """tf-keras in this process, as one static graph."""
        image, shape, names = _fixed(path, size, batch)
        call = _predict(path, shape)
        return FixedSession(
            image=TensorSpec(name=image.name, shape=shape, dtype="float32"),
            names=names,
            call=call,
            probe=np.zeros(shape, np.float32),
        )

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """tf-keras -> tf2onnx -> onnx2torch."""
        _, shape, _ = _fixed(path, size, batch)

        def export() -> torch.export.ExportedProgram:
            model = _to_onnx(path, shape)
            from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx

            return hub_from_onnx(model, model.graph.input[0].name, shape)

        return (("tf2onnx+onnx2torch", export),)


def _fixed(
    path: Path, size: tuple[int, int], batch: int
) -> tuple[TensorSpec, tuple[int, ...], tuple[str, ...]]:
    config = read_config(path)
    image = _image(path, config)
    layout, _ = _layout(config)
    channels, _ = _geometry(path, image, layout)
    wanted = (batch, *size, channels) if layout == "NHWC" else (batch, channels, *size)
    return image, static_shape(image.shape, wanted, name=path.name), config.outputs


def _predict(path: Path, shape: tuple[int, ...]) -> Callable[[Tensor], tuple[Tensor, ...]]:
    tensorflow, _ = import_tensorflow()
    model = _load(path)
    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name=_IMAGE)]

    def forward(image: object) -> object:
        return model(image, training=False)

    graph = tensorflow.function(forward, input_signature=signature)

    def call(image: Tensor) -> tuple[Tensor, ...]:
        result = graph(tensorflow.constant(image))
        results = result if isinstance(result, (list, tuple)) else [result]
        return tuple(np.array(value.numpy(), np.float32) for value in results)

    return call


def _load(path: Path) -> Callable[..., object]:
    """The model, its description judged before (`read_config`) and its optimizer left out."""
    _, keras = import_tensorflow()
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            keras.backend.reset_uids()  # else a nameless Sequential is counted on: sequential_1
            model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise ConversionFailed(
            f"tf-keras cannot load {path.name}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="export it to ONNX with the Keras version that saved it",
        ) from error
    return cast(Callable[..., object], model)


def _to_onnx(path: Path, shape: tuple[int, ...]) -> ModelProto:
    tensorflow, _ = import_tensorflow()
    model = _load(path)
    import tf2onnx

    def forward(image: object) -> object:
        return model(image, training=False)

    signature = [tensorflow.TensorSpec(shape, tensorflow.float32, name=_IMAGE)]
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            converted, _ = tf2onnx.convert.from_function(
                tensorflow.function(forward), input_signature=signature, opset=_OPSET
            )
    except Exception as error:
        raise ConversionFailed(
            f"tf2onnx cannot convert {path.name}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="the model may hold a layer that ONNX lacks",
        ) from error
    return cast(ModelProto, converted)


def _image(path: Path, config: KerasConfig) -> TensorSpec:
    if len(config.inputs) != 1:
        raise Unsupported(
            f"{path.name} does not have exactly one input",
            found=", ".join(config.inputs) or "no input",
            next_step="save the part of the model that takes one image",
        )
    shape = input_shape(config)
    if len(shape) != 4:
        raise Unsupported(
            f"the input of {path.name} is not an image of four axes",
            found=f"{list(shape)}" if shape else "a model saved before its input shape was known",
            next_step="save the model with an input of [height, width, channels]",
        )
    return TensorSpec(name=config.inputs[0], shape=shape, dtype="float32")


def _layout(config: KerasConfig) -> tuple[Layout, str]:
    for layer in _all_layers(config):
        if layer.get("data_format") == "channels_first":
            return "NCHW", "its layers say data_format channels_first"
    return "NHWC", "Keras' own layout; no layer says otherwise"


def _all_layers(config: KerasConfig) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for layer in config.layers.values():
        inner = nested(layer)
        found.extend(_all_layers(inner) if inner is not None else [{**layer.config}])
    return found


def _geometry(path: Path, image: TensorSpec, layout: Layout) -> tuple[int, tuple[int, int] | None]:
    shape = image.shape
    sides, channels = (shape[1:3], shape[3]) if layout == "NHWC" else (shape[2:], shape[1])
    if channels not in (1, 3):
        raise Unsupported(
            f"the input of {path.name} is not a grey or colour image",
            found=f"{channels} channels in {list(shape)} ({layout})",
            next_step="models of one or three channels are handled",
        )
    return channels, None if -1 in sides else (sides[0], sides[1])


def _preprocessing(config: KerasConfig) -> tuple[Finding, ...]:
    """Layers that already normalise: the app must then feed plain pixels."""
    found: list[Finding] = []
    for layer in config.layers.values():
        inner = nested(layer)
        if inner is not None:
            found.extend(_preprocessing(inner))
        elif layer.kind == "Rescaling":
            scale, offset = layer.config.get("scale"), layer.config.get("offset", 0)
            found.append(
                Finding(
                    key="input.normalised_inside",
                    value=f"x * {scale} + {offset}",
                    reason=f"layer {layer.name!r} rescales: feed 0..255 unless it follows others",
                )
            )
        elif layer.kind == "Normalization":
            found.append(
                Finding(
                    key="input.normalised_inside",
                    value="mean and variance",
                    reason=f"layer {layer.name!r} normalises with statistics in the file",
                )
            )
    return tuple(found)


def _evidence(config: KerasConfig) -> Evidence:
    version = (("keras_version", config.version),) if config.version else ()
    return Evidence(framework="keras", family=config.name, training=version)


def _hazards(image: TensorSpec) -> tuple[Hazard, ...]:
    if -1 not in image.shape[1:]:
        return ()  # an open batch is every Keras model's
    return (
        Hazard(
            name="dynamic_shapes",
            found=f"input {image.name!r} {list(image.shape)}: size open",
            next_step="phones want static shapes: the size of the contract is fixed in each "
            "artifact; give further ones in `sizes`",
        ),
    )
