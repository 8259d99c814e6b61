"""TensorFlow functions as sources: their session and their importers, for every file format."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from phoneproof.capture.base import HubExport
from phoneproof.capture.fixed_session import FixedSession
from phoneproof.core.errors import ConversionFailed, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr
from phoneproof.runtimes.base import Session, Tensor

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto
    from tensorflow import Tensor as TfTensor

_OPSET = 17
_IMAGE = "image"

Forward = Callable[["TfTensor"], Sequence["TfTensor"]]
"""Image tensor -> output tensors in the order of the source's inspection."""


@dataclass(frozen=True, kw_only=True)
class TensorFlowModel:
    """A judged file and how to open it.

    file: its name, for messages. image: the input as the file names it. shape: the full static
    shape that was asked for. names: the outputs. load: loads the file, anew at each call.
    """

    file: str
    image: str
    shape: tuple[int, ...]
    names: tuple[str, ...]
    load: Callable[[], Forward]

    def session(self) -> Session:
        """TensorFlow in this process, as one static graph."""
        tensorflow, _ = import_tensorflow()
        graph = _static(self)

        def call(image: Tensor) -> tuple[Tensor, ...]:
            return tuple(
                np.array(value.numpy(), np.float32) for value in graph(tensorflow.constant(image))
            )

        return FixedSession(
            image=TensorSpec(name=self.image, shape=self.shape, dtype="float32"),
            names=self.names,
            call=call,
            probe=np.zeros(self.shape, np.float32),
        )

    def importers(self) -> tuple[tuple[str, HubExport], ...]:
        """Through ONNX, then through TensorFlow Lite."""
        return (
            ("tf2onnx+onnx2torch", lambda: _through_onnx(self)),
            ("tflite+torch", lambda: _through_tflite(self)),
        )


class OpensTensorFlow(ABC):
    """The part of a source that is the same for every file TensorFlow runs."""

    @abstractmethod
    def model(self, path: Path, size: tuple[int, int], batch: int) -> TensorFlowModel:
        """Judge the file and say how to open it with this static input."""

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """TensorFlow on the model, as one static graph from its input to its outputs."""
        return self.model(path, size, batch).session()

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """Through ONNX, then through TensorFlow Lite."""
        return self.model(path, size, batch).importers()


def _static(model: TensorFlowModel) -> Callable[..., Sequence[TfTensor]]:
    """A tf.function of one static float32 image that returns a list, traced when first called."""
    tensorflow, _ = import_tensorflow()
    forward = model.load()

    def run(image: TfTensor) -> list[TfTensor]:
        # An own name per output: a function that returns one tensor twice keeps both.
        return [tensorflow.identity(value) for value in forward(image)]

    signature = [tensorflow.TensorSpec(model.shape, tensorflow.float32, name=_IMAGE)]
    function = tensorflow.function(run, input_signature=signature, autograph=False)
    return cast("Callable[..., Sequence[TfTensor]]", function)


def _through_onnx(model: TensorFlowModel) -> torch.export.ExportedProgram:
    graph = _to_onnx(model)
    from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx

    return hub_from_onnx(graph, graph.graph.input[0].name, model.shape)


def _to_onnx(model: TensorFlowModel) -> ModelProto:
    tensorflow, _ = import_tensorflow()
    import tf2onnx

    signature = [tensorflow.TensorSpec(model.shape, tensorflow.float32, name=_IMAGE)]
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            converted, _ = tf2onnx.convert.from_function(
                _static(model), input_signature=signature, opset=_OPSET
            )
    except Exception as error:
        raise ConversionFailed(
            f"tf2onnx cannot convert {model.file}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="the model may hold a layer that ONNX lacks",
        ) from error
    return cast("ModelProto", converted)


def _through_tflite(model: TensorFlowModel) -> torch.export.ExportedProgram:
    content = _to_tflite(model)
    from phoneproof.capture.backends.tflite_to_hub import hub_from_tflite

    return hub_from_tflite(content, shape=model.shape)


def _to_tflite(model: TensorFlowModel) -> bytes:
    """A float32 file of built-in operators only, its outputs in the order of the function's."""
    tensorflow, _ = import_tensorflow()
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            function = _static(model)
            concrete = function.get_concrete_function()  # type: ignore[attr-defined]
            converter = tensorflow.lite.TFLiteConverter.from_concrete_functions([concrete])
            converter.target_spec.supported_ops = [tensorflow.lite.OpsSet.TFLITE_BUILTINS]
            content = converter.convert()
    except Exception as error:
        raise ConversionFailed(
            f"TensorFlow Lite's converter cannot convert {model.file}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="the model may hold an operation that TensorFlow Lite lacks",
        ) from error
    return cast(bytes, content)
