"""An ONNX file parsed with suspicion: nothing outside its folder is read, nothing is run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import GraphProto, ModelProto, TensorProto, external_data_helper

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.model_file import require_model_file, weights_beside

_MAX_BYTES = 2**31 - 1
"""A protobuf message cannot be larger; bigger models keep their weights in external files."""


def read_graph(path: Path) -> ModelProto:
    """Parse a file without its external data, which is checked but not read.

    Raises:
        InvalidInput: not ONNX, truncated, contradicting itself, or its external data is missing
            or lies outside the model's folder.
        Unsupported: a format version that the installed onnx does not know.
    """
    require_model_file(path, "ONNX model")
    if path.stat().st_size > _MAX_BYTES:
        raise InvalidInput(f"{path.name} is not an ONNX model", found="a file of more than 2 GiB")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's DecodeError, or what the parser met
        raise _damaged(path, "bytes that are no protobuf message") from error
    _check_model(path, model)
    for tensor in tensors_of(model.graph):
        if external_data_helper.uses_external_data(tensor):
            _check_external(path, tensor)
        else:
            _check_embedded(path, tensor)
    return model


def read_complete(path: Path) -> ModelProto:
    """Like `read_graph`, with the external data loaded: a copy in memory, the file untouched."""
    model = read_graph(path)
    try:
        external_data_helper.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # onnx's own path checks raise several classes
        raise InvalidInput(
            f"the external data of {path.name} cannot be read", found=str(error)
        ) from error
    return model


def external_files(path: Path, model: ModelProto) -> tuple[Path, ...]:
    """The files beside the model that hold its weights, each once, sorted."""
    names = {
        _location(tensor)
        for tensor in tensors_of(model.graph)
        if external_data_helper.uses_external_data(tensor)
    }
    return tuple(path.parent / name for name in sorted(names))


def tensors_of(graph: GraphProto) -> Iterator[TensorProto]:
    """Every constant of a graph and its subgraphs: initializers and attributes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                yield from tensors_of(attribute.g)
            for inner in attribute.graphs:
                yield from tensors_of(inner)


def _check_model(path: Path, model: ModelProto) -> None:
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise _damaged(path, "no graph, version or operators in it")
    if model.ir_version > onnx.IR_VERSION:
        raise Unsupported(
            f"{path.name} is of a newer ONNX format than the installed onnx reads",
            found=f"IR version {model.ir_version}, known up to {onnx.IR_VERSION}",
            next_step="export it with an older ir_version, or update the onnx package",
        )
    graph = model.graph
    known = {value.name for value in (*graph.input, *graph.initializer)} | {""}
    known |= {sparse.values.name for sparse in graph.sparse_initializer}
    for node in graph.node:
        missing = [name for name in node.input if name not in known]
        if missing:
            raise _damaged(path, f"{node.op_type} {node.name!r} reads {missing[0]!r}, which is not")
        known.update(node.output)
    missing = [value.name for value in graph.output if value.name not in known]
    if missing or not graph.output:
        raise _damaged(path, f"output {missing[0]!r} is never computed" if missing else "no output")


def _check_embedded(path: Path, tensor: TensorProto) -> None:
    """A cut file may still parse: its last tensor is then shorter than its shape."""
    if not tensor.raw_data or tensor.data_type in _PACKED:
        return
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError as error:
        raise _damaged(path, f"tensor {tensor.name!r} has no known type") from error
    expected = width * _count(tensor)
    if min(tensor.dims, default=0) < 0 or len(tensor.raw_data) != expected:
        raise _damaged(
            path, f"tensor {tensor.name!r} holds {len(tensor.raw_data)} bytes, not {expected}"
        )


_MAX_DIGITS = 19
"""Numbers of bytes are of 64 bits."""
_PACKED = (TensorProto.INT4, TensorProto.UINT4, TensorProto.FLOAT4E2M1)


def _count(tensor: TensorProto) -> int:
    total = 1
    for side in tensor.dims:
        total *= side
    return total


def _check_external(path: Path, tensor: TensorProto) -> None:
    location = _location(tensor)
    target = weights_beside(path, location, of=f"tensor {tensor.name!r}")
    end = sum(_place(path, tensor, key) for key in ("offset", "length"))
    if end > target.stat().st_size:
        raise InvalidInput(
            f"the weights of {path.name} are incomplete",
            found=f"{location!r} has {target.stat().st_size} bytes, {end} are needed",
            next_step="copy or download it again",
        )


def _place(path: Path, tensor: TensorProto, key: str) -> int:
    """A number of bytes as decimal digits; 0 where it is not there."""
    values = [entry.value for entry in tensor.external_data if entry.key == key] or ["0"]
    for value in values:
        if not (value.isascii() and value.isdigit() and len(value) < _MAX_DIGITS):
            raise _damaged(
                path, f"external data of tensor {tensor.name!r} has {key} {value[:40]!r}"
            )
    return max(int(value) for value in values)


def _location(tensor: TensorProto) -> str:
    return next((e.value for e in tensor.external_data if e.key == "location"), "")


def _damaged(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is not a readable ONNX model",
        found=found,
        next_step="it is truncated or of another kind: copy, download or export it again",
    )
