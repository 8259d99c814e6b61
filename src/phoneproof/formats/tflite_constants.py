"""Copies of TFLite files with other numbers in their constants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, nearest
from phoneproof.formats.tflite import TfliteGraph, parse_tflite
from phoneproof.formats.tflite_write import packed


def with_constants(data: bytes, changed: Mapping[str, NDArray[np.float32]], name: str) -> bytes:
    """A copy of a TFLite model with other numbers in some float32 constants.

    Everything else stays: names, signatures, metadata, options. Equal input gives equal bytes.

    Args:
        changed: tensor name -> the numbers, in the tensor's own shape. Tensors that share one
            buffer with a changed one keep their old numbers.
        name: of the file, for messages.

    Raises:
        InvalidInput: the file is damaged; a name that is no float32 constant of it, that it has
            twice, or an array of another shape; a number that is not finite.
    """
    graph = parse_tflite(data, name)
    places = {tensor: _place(graph, tensor, name) for tensor in sorted(changed)}
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    tensors = model.subgraphs[0].tensors
    for tensor, index in places.items():
        values = np.asarray(changed[tensor], "<f4")
        _require_fits(values, graph.tensors[index].shape, tensor, name)
        tensors[index].buffer = len(model.buffers)
        model.buffers.append(_buffer(values))
    _empty_unused(model)
    return packed(model, data)


def _place(graph: TfliteGraph, tensor: str, name: str) -> int:
    found = [
        index
        for index, one in enumerate(graph.tensors)
        if one.name == tensor and one.dtype == "float32" and one.data.size
    ]
    if len(found) == 1:
        return found[0]
    near = nearest(tensor, (one.name for one in graph.tensors if one.data.size))
    raise InvalidInput(
        f"{name} has {len(found) or 'no'} float32 constants named {tensor!r}",
        found=f"{sum(bool(one.data.size) for one in graph.tensors)} constants",
        next_step=f"did you mean {near!r}?" if near else "",
    )


def _require_fits(
    values: NDArray[np.float32], shape: tuple[int, ...], tensor: str, name: str
) -> None:
    if values.shape != shape:
        raise InvalidInput(
            f"the new numbers of {tensor!r} in {name} have another shape",
            found=f"{list(values.shape)} in place of {list(shape)}",
        )
    if not np.isfinite(values).all():
        raise InvalidInput(
            f"the new numbers of {tensor!r} in {name} are not all finite",
            found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size} are not",
        )


def _buffer(values: NDArray[np.float32]) -> Any:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    return buffer


def _empty_unused(model: Any) -> None:
    """Old numbers that nothing refers to any more would only make the file larger."""
    used = {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data, buffer.offset, buffer.size = None, 0, 0
