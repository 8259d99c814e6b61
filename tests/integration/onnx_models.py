"""Small ONNX files made by the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Dims = list[int | str]


def conv_net(
    dims: Dims,
    *,
    nhwc: bool = False,
    extra: tuple[NodeProto, ...] = (),
    opsets: tuple[tuple[str, int], ...] = (("", 13),),
) -> ModelProto:
    """[N, 3, H, W] (or NHWC) -> conv, relu, global average, dense, softmax -> [N, 5]."""
    generator = np.random.default_rng(7)
    weights = {
        "w": generator.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "b": generator.normal(size=8).astype(np.float32),
        "d": generator.normal(size=(8, 5)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["nchw" if nhwc else "x", "w", "b"], ["c"], "stem", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"], "act"),
        *extra,
        helper.make_node("GlobalAveragePool", ["r"], ["g"], "pool"),
        helper.make_node("Flatten", ["g"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "d"], ["m"], "dense"),
        helper.make_node("Softmax", ["m"], ["y"], "probabilities", axis=-1),
    ]
    if nhwc:
        nodes.insert(0, helper.make_node("Transpose", ["x"], ["nchw"], perm=[0, 3, 1, 2]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [dims[0], 5])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def save(model: ModelProto, path: Path) -> Path:
    """Write a model file."""
    onnx.save(model, path)
    return path


def with_external(model: ModelProto, path: Path, location: str) -> Path:
    """Write a model whose first weight is said to lie at `location`."""
    tensor = model.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", str(len(content)))):
        tensor.external_data.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())
    return path
