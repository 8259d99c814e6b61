"""Reading and changing ONNX files. `onnx` is needed here, not for running a model."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.model_file import require_model_file


def read_onnx(path: Path) -> onnx.ModelProto:
    """Parse an ONNX file. External data is not read: its paths may point anywhere.

    Raises:
        InvalidInput: not an ONNX model.
    """
    require_model_file(path, "ONNX model")
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise InvalidInput(f"{path.name} is not an ONNX model", found=str(error)) from error
    if not model.graph.node or not model.opset_import:
        raise InvalidInput(f"{path.name} is not an ONNX model", found="a graph without nodes")
    return model


def with_all_outputs(path: Path) -> tuple[bytes, tuple[str, ...], tuple[str, ...]]:
    """The model with every computed tensor as an output, for reading intermediates.

    Returns:
        the serialised model, the names of its own outputs, and all computed tensors in order.
    """
    model = read_onnx(path)
    graph = model.graph
    own = tuple(value.name for value in graph.output)
    steps = tuple(
        name for node in graph.node if node.op_type != "Constant" for name in node.output if name
    )
    graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(name) for name in steps if name not in own
    )
    return model.SerializeToString(deterministic=True), own, steps
