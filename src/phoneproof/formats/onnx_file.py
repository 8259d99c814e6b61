"""Reading and changing ONNX files. `onnx` is needed here, not for running a model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast, get_args

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx.numpy_helper import to_array

from phoneproof.core.binding import DType
from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.inventory import FileInventory, counted, ranked
from phoneproof.formats.model_file import require_model_file
from phoneproof.formats.onnx_precision import onnx_precision, tensor_bytes


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


def onnx_inventory(model: onnx.ModelProto) -> FileInventory:
    """Count operators and weights and read the precision."""
    nodes = list(_nodes(model.graph))
    weights = list(constants(model.graph))
    sizes: Counter[str] = Counter()
    for tensor in weights:
        sizes[dtype_name(tensor.data_type)] += tensor_bytes(tensor)
    return FileInventory(
        ops=counted(node.op_type for node in nodes),
        custom_ops=_custom_ops(model, nodes),
        weights_bytes=ranked(sizes),
        precision=onnx_precision(nodes, weights),
    )


def onnx_tensors(
    model: onnx.ModelProto,
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs (without initializers) and outputs as the file declares them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    return tuple(map(_spec, inputs)), tuple(map(_spec, model.graph.output))


def declare_shapes(model: onnx.ModelProto, outputs: tuple[TensorSpec, ...]) -> None:
    """Fill in output sizes that the exporter left open, in place; known sizes stay.

    A file that declares what its graph does not compute is refused by ONNX's full check.
    """
    shapes = {spec.name: spec.shape for spec in outputs}
    for value in model.graph.output:
        dims = value.type.tensor_type.shape.dim
        known = shapes.get(value.name, ())
        if len(known) != len(dims):
            continue
        for dim, size in zip(dims, known, strict=True):
            if not dim.HasField("dim_value"):
                dim.dim_value = size


def opset(model: onnx.ModelProto) -> int:
    """The version of the standard operator set; 0 where the file imports none."""
    versions = [entry.version for entry in model.opset_import if entry.domain in _STANDARD]
    return max(versions, default=0)


def embed(model: onnx.ModelProto, entries: Mapping[str, bytes]) -> None:
    """Set metadata_props in place, keeping other keys; sorted, so that equal gives equal."""
    kept = {prop.key: prop.value for prop in model.metadata_props}
    kept.update({key: value.decode() for key, value in entries.items()})
    del model.metadata_props[:]
    for key in sorted(kept):
        model.metadata_props.add(key=key, value=kept[key])


def embedded_entries(model: onnx.ModelProto) -> dict[str, bytes]:
    """metadata_props as key -> bytes."""
    return {prop.key: prop.value.encode() for prop in model.metadata_props}


def strip_comments(model: onnx.ModelProto) -> None:
    """Drop doc strings and node metadata in place: exporters put stack traces with paths there."""
    model.doc_string = ""
    _strip_graph(model.graph)
    for function in model.functions:
        function.doc_string = ""
        for node in function.node:
            _strip_node(node)


def weight_sums(model: onnx.ModelProto) -> dict[str, float]:
    """Name -> sum over the elements of each float constant (NaN as soon as one is NaN)."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
    return {
        tensor.name or "(constant)": float(np.sum(to_array(tensor), dtype=np.float64))
        for tensor in constants(model.graph)
        if tensor.data_type in floats
    }


def constants(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Initializers and the tensors of Constant nodes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from constants(attribute.g)


def dtype_name(data_type: int) -> str:
    """NumPy's name of an ONNX element type ("float32"); the ONNX name where NumPy has none."""
    name = str(onnx.TensorProto.DataType.Name(data_type)).lower()
    return {"float": "float32", "double": "float64"}.get(name, name)


_STANDARD: Final = ("", "ai.onnx")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _nodes(attribute.g)


def _custom_ops(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> tuple[str, ...]:
    own = {(function.domain, function.name) for function in model.functions}
    foreign = {
        f"{node.domain}::{node.op_type}"
        for node in nodes
        if node.domain not in _STANDARD and (node.domain, node.op_type) not in own
    }
    return tuple(sorted(foreign))


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
    name = dtype_name(tensor.elem_type)
    if name not in get_args(DType):
        raise InvalidInput(f"tensor {value.name!r} has a type that is not handled", found=name)
    return TensorSpec(name=value.name, shape=shape, dtype=cast(DType, name))


def _strip_graph(graph: onnx.GraphProto) -> None:
    graph.doc_string = ""
    del graph.metadata_props[:]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.doc_string = ""
        del value.metadata_props[:]
    for node in graph.node:
        _strip_node(node)


def _strip_node(node: onnx.NodeProto) -> None:
    node.doc_string = ""
    del node.metadata_props[:]
    for attribute in node.attribute:
        attribute.doc_string = ""
        if attribute.type == onnx.AttributeProto.GRAPH:
            _strip_graph(attribute.g)
