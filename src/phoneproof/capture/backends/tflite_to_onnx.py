"""TFLite -> ONNX -> hub program, by tf2onnx: the importer that competes with our own."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

from phoneproof.core.errors import ConversionFailed, first_line

if TYPE_CHECKING:
    import torch
    from onnx import ModelProto

_OPSET = 17


def hub_through_onnx(
    data: bytes, shape: tuple[int, ...], name: str
) -> torch.export.ExportedProgram:
    """The hub program of a TFLite file, its quantised tensors expanded; `name` is for messages.

    Raises:
        ConversionFailed: tf2onnx broke. Otherwise as `hub_from_onnx`.
    """
    model = _to_onnx(data, name)
    from onnx import TensorProto

    from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx
    from phoneproof.capture.backends.onnx_widen import dequantise

    # tf2onnx leaves the pairs of integer inputs and outputs standing.
    dequantise(model)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT
    return hub_from_onnx(model, model.graph.input[0].name, shape)


def _to_onnx(data: bytes, name: str) -> ModelProto:
    from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

    import_tensorflow()
    from tf2onnx import optimizer
    from tf2onnx.tfonnx import process_tf_graph

    try:
        with (
            warnings.catch_warnings(),
            silent_stderr(),
            tempfile.TemporaryDirectory() as folder,
        ):
            warnings.simplefilter("ignore")
            path = Path(folder) / "model.tflite"
            path.write_bytes(data)
            # The public from_tflite has no way to ask for dequantised values.
            graph = process_tf_graph(None, opset=_OPSET, tflite_path=str(path), dequantize=True)
            model = optimizer.optimize_graph(graph).make_model("tflite")
    except Exception as error:  # tf2onnx raises what its handlers raise
        raise ConversionFailed(
            f"tf2onnx cannot convert {name}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="the file may hold an operator that ONNX lacks",
        ) from error
    return cast("ModelProto", model)
