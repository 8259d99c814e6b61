"""What every ONNX optimizer does before and after its work: the float32 source, opened and
checked; the candidate, labelled by what is in it, and written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import msgspec
import onnx

from phoneproof.core.binding import Binding, Precision
from phoneproof.core.errors import (
    InvalidInput,
    OptimizationFailed,
    Unsupported,
    first_line,
    nearest,
)
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import require_model_file, write_bytes
from phoneproof.formats.onnx_file import constants, embed, onnx_inventory, read_onnx
from phoneproof.formats.onnx_precision import WEIGHTS_AT
from phoneproof.optimize.base import OptimizeRequest

_LARGEST_BYTES: Final = (1 << 31) - 1
"""Protobuf's limit for one message; larger models keep their weights in files beside them."""


def open_float32(path: Path) -> onnx.ModelProto:
    """Read a float32 ONNX file and give every node the name of its first output.

    Raises:
        InvalidInput: not an ONNX model, or one that is quantized already.
        Unsupported: weights outside the file, 2 GB of it, or a graph with graphs inside.
    """
    require_model_file(path, "ONNX model")
    if path.stat().st_size > _LARGEST_BYTES:
        raise _beside(path, f"{path.stat().st_size} bytes")
    model = read_onnx(path)
    external = next(
        (one.name for one in constants(model.graph) if one.data_location == one.EXTERNAL), None
    )
    if external is not None:
        raise _beside(path, f"weights {external!r} lie in another file")
    found = onnx_inventory(model)
    quantized = [
        op for op, _ in found.ops if "Quantize" in op or "Integer" in op or "QLinear" in op
    ]
    if found.precision != "float32" or quantized:
        raise InvalidInput(
            f"{path.name} is no float32 model: optimizers start from one",
            found=", ".join([f"precision {found.precision}", *quantized]),
            next_step="give the float32 file that it was made from",
        )
    for node in model.graph.node:
        if any(attribute.type == attribute.GRAPH for attribute in node.attribute):
            raise Unsupported(
                f"{path.name} holds branches or loops, which are not optimised",
                found=f"{node.op_type} that computes {node.output[0]!r}",
                next_step="leave this precision out of the precisions of this target",
            )
        node.name = node.output[0]
    return model


def _beside(path: Path, found: str) -> Unsupported:
    return Unsupported(
        f"{path.name} is too large for one ONNX file, or keeps its weights beside it",
        found=found,
        next_step="models of 2 GB and more are not optimised; leave this precision out",
    )


def require_layers(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Refuse a recipe that names what the file does not compute.

    Raises:
        OptimizationFailed: names the first layer that is not there, and one that resembles it.
    """
    known = [name for node in model.graph.node for name in node.output if name]
    for name in names:
        if name not in known:
            close = nearest(name, known)
            raise OptimizationFailed(
                "the recipe names a layer that the file does not have",
                found=f"no layer computes tensor {name!r}",
                next_step=f"did you mean {close!r}?" if close else "name a layer by its output",
            )


def weighted(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, onnx.TensorProto]]:
    """Layers with constant float32 weights (convolutions, products of matrices), with these."""
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        index = WEIGHTS_AT.get(node.op_type)
        if index is None or node.domain not in ("", "ai.onnx"):
            continue
        tensor = known.get(node.input[index])
        if tensor is not None and tensor.data_type == tensor.FLOAT and len(tensor.dims) > 1:
            yield node, tensor


def own_weights(model: onnx.ModelProto, names: Collection[str]) -> None:
    """Give the named layers copies of constants that they share with other layers, in place."""
    users: dict[str, set[bool]] = {}
    for node in model.graph.node:
        for name in node.input:
            users.setdefault(name, set()).add(node.name in names)
    copied = set()
    for tensor in list(model.graph.initializer):
        if users.get(tensor.name) == {True, False}:
            copy = model.graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = f"{tensor.name}/float32"
            copied.add(tensor.name)
    for node in model.graph.node:
        if node.name in names:
            node.input[:] = [f"{one}/float32" if one in copied else one for one in node.input]


def write_candidate(
    model: onnx.ModelProto, request: OptimizeRequest, *, label: Precision | None = None
) -> Binding:
    """Label the file by what is in it, embed contract and binding, check it and write it.

    Args:
        label: what types do not say.

    Raises:
        OptimizationFailed: nothing was changed, or ONNX's own checker refuses the file.
    """
    precision = label or onnx_inventory(model).precision
    if precision == "float32":
        raise OptimizationFailed(
            "the recipe changes nothing in this file",
            found="every layer with weights stays float32",
            next_step="keep fewer layers float32",
        )
    _tidy(model)
    binding = msgspec.structs.replace(request.binding, artifact=None, precision=precision)
    embed(model, embedding(Embedded(contract=request.contract, binding=binding)))
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OptimizationFailed(
            "the optimised file is one that ONNX's own checker refuses", found=first_line(error)
        ) from error
    write_bytes(request.output, model.SerializeToString(deterministic=True))
    return binding


def _tidy(model: onnx.ModelProto) -> None:
    """Take away, in place, what only makes the file larger: names of nodes, shapes that a runtime
    infers, constants that nothing reads, and all but one of equal constants (zero points): half a
    percent of MobileNetV2's float32 size."""
    graph = model.graph
    del graph.value_info[:]
    first: dict[bytes, str] = {}
    renamed: dict[str, str] = {}
    for tensor in graph.initializer:
        nameless = onnx.TensorProto()
        nameless.CopyFrom(tensor)
        nameless.ClearField("name")
        content = hashlib.sha256(nameless.SerializeToString(deterministic=True)).digest()
        renamed[tensor.name] = first.setdefault(content, tensor.name)
    outputs = {value.name for value in graph.output}
    for node in graph.node:
        node.name = ""
        node.input[:] = [renamed.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input} | outputs
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    copies = [onnx.TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
    del graph.initializer[:]
    graph.initializer.extend(copies)
