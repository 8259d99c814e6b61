"""Changing TFLite files: tensor and signature names, metadata. Equal input gives equal bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.tflite import TfliteGraph, parse_tflite
from phoneproof.formats.tflite_zero_points import SharedZeroPoints

SIGNATURE: Final = "serving_default"
_LARGEST: Final = 3 << 29  # a flatbuffer ends at 2 GiB
_ALIGNMENT: Final = 16  # of weights, as the schema asks (force_align); the generated code forgets


@dataclass(frozen=True, kw_only=True, slots=True)
class TfliteEdit:
    """What to change.

    inputs, outputs: new names in the order of the signature. metadata: name -> bytes, replacing
    entries of that name. plain_names: give every other tensor the name of the operator that
    computes it and its position (``conv_2d_7``): converters put class paths there.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metadata: Mapping[str, bytes]
    plain_names: bool = False


def edit_tflite(data: bytes, edit: TfliteEdit, name: str) -> bytes:
    """A copy of a TFLite model with `edit` applied; `name` is for messages.

    Raises:
        InvalidInput: damaged, or as many names as inputs and outputs are needed.
    """
    graph = parse_tflite(data, name)
    ins = tuple(index for _, index in graph.signature_inputs) or graph.inputs
    outs = tuple(index for _, index in graph.signature_outputs) or graph.outputs
    if (len(edit.inputs), len(edit.outputs)) != (len(ins), len(outs)):
        raise InvalidInput(
            f"the names do not fit the tensors of {name}",
            found=f"{len(edit.inputs)} and {len(edit.outputs)} names for {len(ins)} inputs "
            f"and {len(outs)} outputs",
        )
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    tensors = model.subgraphs[0].tensors
    if edit.plain_names:
        _rename_all(model, graph)
    for index, new in zip(ins + outs, edit.inputs + edit.outputs, strict=True):
        tensors[index].name = new
    model.signatureDefs = [_signature(edit, ins, outs)]
    for key, value in sorted(edit.metadata.items()):
        _set_metadata(model, key, value)
    return packed(model, data)


def static_copy(
    data: bytes, shape: tuple[int, ...], name: str, *, outputs: tuple[int, ...] = ()
) -> bytes:
    """A copy whose one input has the full `shape`, to be run.

    Args:
        outputs: indices of other tensors to give instead of the outputs; operators that nothing
            reads any more are left out.

    Raises:
        InvalidInput: damaged.
    """
    graph = parse_tflite(data, name)
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    main = model.subgraphs[0]
    for tensor in main.tensors:
        tensor.shapeSignature = None
    for index in graph.inputs:
        main.tensors[index].shape = list(shape)
    if outputs:
        main.outputs = list(outputs)
        model.signatureDefs = None
        needed = _needed(graph, outputs)
        kept = [op for place, op in enumerate(main.operators) if place in needed]
        main.operators = kept
    return packed(model, data)


def _needed(graph: TfliteGraph, outputs: tuple[int, ...]) -> set[int]:
    """Places of the operators that some tensors depend on."""
    wanted, needed = set(outputs), set[int]()
    for place in range(len(graph.ops) - 1, -1, -1):
        if wanted & set(graph.ops[place].outputs):
            needed.add(place)
            wanted |= set(graph.ops[place].inputs)
    return needed


def _rename_all(model: Any, graph: TfliteGraph) -> None:
    for number, subgraph in enumerate(model.subgraphs):
        prefix = f"subgraph_{number}_" if number else ""
        for index, tensor in enumerate(subgraph.tensors):
            tensor.name = f"{prefix}tensor_{index}"
    for position, op in enumerate(graph.ops):
        for slot, index in enumerate(op.outputs):
            suffix = f"_{slot}" if slot else ""
            model.subgraphs[0].tensors[index].name = f"{op.name.lower()}_{position}{suffix}"


def _signature(edit: TfliteEdit, ins: tuple[int, ...], outs: tuple[int, ...]) -> Any:
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = [_map(name, index) for name, index in zip(edit.inputs, ins, strict=True)]
    signature.outputs = [_map(name, index) for name, index in zip(edit.outputs, outs, strict=True)]
    return signature


def _map(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name = name
    entry.tensorIndex = index
    return entry


def _set_metadata(model: Any, key: str, value: bytes) -> None:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(value, np.uint8)
    for entry in model.metadata or []:
        if _text(entry.name) == key:
            model.buffers[entry.buffer] = buffer
            return
    entry = schema.MetadataT()
    entry.name = key
    entry.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]


def _text(name: str | bytes | None) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""


class _AlignedBuffer:
    """Packs one buffer of the model inline, with the alignment the schema asks for."""

    def __init__(self, buffer: Any, file: bytes) -> None:
        data = buffer.data
        if buffer.offset > 1:
            data = np.frombuffer(file, np.uint8, buffer.size, buffer.offset)
        self._data = np.asarray(data, np.uint8) if data is not None else None

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the generated code calls this name
        vector = None
        if self._data is not None and self._data.size:
            size = self._data.size
            builder.StartVector(1, size, _ALIGNMENT)
            head = builder.head = builder.head - size
            builder.Bytes[head : head + size] = self._data.tobytes()
            vector = builder.EndVector()
        schema.BufferStart(builder)
        if vector is not None:
            schema.BufferAddData(builder, vector)
        return int(schema.BufferEnd(builder))


def packed(model: Any, file: bytes) -> bytes:
    """A schema model (read from `file`) as bytes, its buffers inline and aligned.

    Raises:
        Unsupported: larger than a flatbuffer can be.
    """
    size = len(file)
    if size > _LARGEST:
        raise Unsupported(f"a TFLite file of {size} bytes cannot be rewritten", found="over 1.5 GB")
    model.buffers = [_AlignedBuffer(buffer, file) for buffer in model.buffers]
    SharedZeroPoints().wrap(model)
    builder = flatbuffers.Builder(size + size // 4 + 4096)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())
