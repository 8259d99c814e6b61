"""Any opset from 7 on, written as opset 17: the one that the importer knows best.

Up: onnx's version converter, but for `Upsample` and the first `Resize`, whose sampling it changes
without a word (asymmetric becomes half_pixel). Down: newer operators that have a definition in
terms of older ones are replaced by it (onnx's inliner), newer spellings of old operators are put
back, and onnx's checker says whether what is left is valid as opset 17.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
from onnx import (
    AttributeProto,
    ModelProto,
    NodeProto,
    TensorProto,
    checker,
    helper,
    inliner,
    numpy_helper,
    shape_inference,
    version_converter,
)

from phoneproof.core.errors import Unsupported, first_line

OPSET = 17
_OLDEST_OPSET = 13
"""onnx2torch mishandles several operators below opset 13 (axes as attributes); from there on the
file's own opset stays, up to `OPSET`."""
_IR_OF_OPSET = 8
_RESIZED_OTHERWISE = 11
"""`Resize` says since this opset where it samples; before, it was always asymmetric."""
_PRIVATE = "phoneproof.keep"
_DEFINED = (
    "Attention",
    "Gelu",
    "GroupNormalization",
    "MeanVarianceNormalization",
    "Mish",
    "RMSNormalization",
    "RotaryEmbedding",
    "Shrink",
    "Swish",
    "ThresholdedRelu",
)
"""Operators that onnx defines by others, and that the importer does not know."""


def opset_of(model: ModelProto) -> int:
    """The version of the standard operators."""
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


def with_definitions(model: ModelProto) -> ModelProto:
    """Operators in `_DEFINED` replaced by their definitions; the rest as it was."""
    used = {node.op_type for node in model.graph.node if node.domain in ("", "ai.onnx")}
    wanted = [("", name) for name in _DEFINED if name in used]
    if not wanted:
        return model
    declare_initializers(model)  # the inliner wants to know the type of every name
    for node in model.graph.node:
        if node.op_type == "Swish" and not node.attribute:
            # Its definition in onnx 1.23 does not know the default.
            node.attribute.append(helper.make_attribute("alpha", 1.0))
    for names in (wanted, [("", "CastLike")]):  # definitions use CastLike
        model = shape_inference.infer_shapes(model)
        model = inliner.inline_selected_functions(model, names, inline_schema_functions=True)
    return model


def as_opset_17(model: ModelProto) -> ModelProto:
    """The same graph in a spelling that the importer reads.

    Args:
        model: static shapes, folded constants; it may be changed.

    Raises:
        Unsupported: an operator, or a form of it, that opset 17 does not have; it is named.
    """
    version = opset_of(model)
    if version < _OLDEST_OPSET:
        return _raised(model)
    return _lowered(model) if version > OPSET else model


def declare_initializers(model: ModelProto) -> None:
    """List weights among the inputs, where the version converter and the inliner look them up."""
    declared = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in declared:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            model.graph.input.append(info)


def _raised(model: ModelProto) -> ModelProto:
    declare_initializers(model)
    if opset_of(model) < _RESIZED_OTHERWISE:
        _set_resizes_aside(model)
    raised = version_converter.convert_version(model, OPSET)
    _bring_resizes_back(raised)
    return raised


def _set_resizes_aside(model: ModelProto) -> None:
    """Name them as operators of a foreign domain, which the version converter leaves alone."""
    constants = _constants(model)
    for node in model.graph.node:
        if node.op_type not in ("Upsample", "Resize"):
            continue
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        scales = attributes.get("scales") or _numbers(constants, node, 1)
        if scales is None:
            raise Unsupported(
                "the ONNX graph resizes by factors that are computed",
                found=f"{node.op_type} {node.name!r}",
                next_step="export it with a fixed input size",
            )
        mode = attributes.get("mode", b"nearest")
        del node.input[1:]
        del node.attribute[:]
        node.domain, node.op_type = _PRIVATE, "Resize"
        node.attribute.append(helper.make_attribute("mode", mode))
        node.attribute.append(helper.make_attribute("scales", [float(s) for s in scales]))
    model.opset_import.append(helper.make_opsetid(_PRIVATE, 1))


def _bring_resizes_back(model: ModelProto) -> None:
    """As Resize of opset 13. ONNX Runtime rounds the old one down, or up where it shrinks."""
    for index, node in enumerate(model.graph.node):
        if node.domain != _PRIVATE:
            continue
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        scales, mode = attributes["scales"], attributes["mode"].decode()
        name = f"{node.output[0]}_scales_{index}"
        tensor = numpy_helper.from_array(np.array(scales, np.float32), name)
        model.graph.initializer.append(tensor)
        node.domain = ""
        node.input.extend(["", name])
        del node.attribute[:]
        rounding = "ceil" if min(scales) < 1 else "floor"
        node.attribute.extend(
            [
                helper.make_attribute("mode", "nearest" if mode == "nearest" else "linear"),
                helper.make_attribute("coordinate_transformation_mode", "asymmetric"),
                helper.make_attribute("nearest_mode", rounding),
            ]
        )
    kept = [one for one in model.opset_import if one.domain != _PRIVATE]
    del model.opset_import[:]
    model.opset_import.extend(kept)


def _lowered(model: ModelProto) -> ModelProto:
    inferred = shape_inference.infer_shapes(model, data_prop=True)
    constants = _constants(inferred)
    shapes = _shapes(inferred)
    for node in inferred.graph.node:
        if (rewrite := _OLDER.get(node.op_type)) is not None and node.domain in ("", "ai.onnx"):
            rewrite(inferred, node, constants, shapes)
    for one in inferred.opset_import:
        if one.domain in ("", "ai.onnx"):
            one.version = OPSET
    inferred.ir_version = min(inferred.ir_version, _IR_OF_OPSET)
    _check(inferred)
    return inferred


def _check(model: ModelProto) -> None:
    """Node by node, so that the one that does not fit can be named."""
    context = checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {one.domain: one.version for one in model.opset_import}
    for node in model.graph.node:
        try:
            checker.check_node(node, context)
        except checker.ValidationError as error:
            raise Unsupported(
                "the ONNX graph holds an operator that cannot be imported",
                found=f"{node.op_type} {node.name!r}: {first_line(error)}",
                next_step=f"export the model with opset {OPSET} or older, or without it",
            ) from error


Shapes = dict[str, tuple[int, ...]]
Constants = dict[str, TensorProto]
_Rewrite = Callable[[ModelProto, NodeProto, Constants, Shapes], None]


def _reduced(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opset 18 made the axes an input; ReduceSum had been there since 13."""
    del model, shapes
    if node.op_type == "ReduceSum":
        return
    axes = _numbers(constants, node, 1)
    if len(node.input) > 1 and node.input[1] and axes is None:
        raise _computed(node, "axes")
    keeps_all = _attribute(node, "noop_with_empty_axes", 0)
    del node.input[1:]
    _drop(node, "noop_with_empty_axes")
    if axes:
        node.attribute.append(helper.make_attribute("axes", [int(a) for a in axes]))
    elif keeps_all:
        node.op_type = "Identity"
        del node.attribute[:]


def _split(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opset 18 may say how many parts in place of their sizes; the last may be smaller."""
    del constants
    parts = _attribute(node, "num_outputs", 0)
    if not parts:
        return
    shape = shapes.get(node.input[0], ())
    axis = _attribute(node, "axis", 0)
    if not -len(shape) <= axis < len(shape) or shape[axis] <= 0:
        raise _computed(node, "the split axis")
    side = -(-shape[axis] // parts)
    sizes = [min(side, shape[axis] - side * index) for index in range(parts)]
    _drop(node, "num_outputs")
    node.input.append(_whole(model, f"{node.output[0]}_sizes", sizes))


def _padded(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opset 18 may name the axes that are padded."""
    if len(node.input) < 4 or not node.input[3]:
        return
    pads, axes = _numbers(constants, node, 1), _numbers(constants, node, 3)
    rank = len(shapes.get(node.input[0], ()))
    if pads is None or axes is None or not rank:
        raise _computed(node, "pads")
    full = [0] * (2 * rank)
    for index, axis in enumerate(int(a) % rank for a in axes):
        full[axis], full[axis + rank] = int(pads[index]), int(pads[index + len(axes)])
    node.input[1] = _whole(model, f"{node.output[0]}_pads", full)
    del node.input[3:]


def _resized(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opset 18 may smooth, name axes, or keep the shape of the picture."""
    policy = _text(node, "keep_aspect_ratio_policy", "stretch")
    before, after = shapes.get(node.input[0], ()), shapes.get(node.output[0], ())
    shrinks = not after or any(a < b for b, a in zip(before, after, strict=True))
    if policy != "stretch" or (_attribute(node, "antialias", 0) and shrinks):
        raise Unsupported(
            "the ONNX graph resizes in a way that cannot be imported",
            found=f"Resize {node.name!r} with antialias, or {policy}",
            next_step="export the model without it, or resize before the model",
        )
    axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), None)
    if axes is not None:
        scales, sizes = _numbers(constants, node, 2), _numbers(constants, node, 3)
        if sizes:
            node.input[3] = _whole(model, f"{node.output[0]}_sizes", list(after))
        elif scales:
            full = [1.0] * len(before)
            for axis, scale in zip(axes, scales, strict=True):
                full[axis] = float(scale)
            tensor = numpy_helper.from_array(np.array(full, np.float32), f"{node.output[0]}_scales")
            model.graph.initializer.append(tensor)
            node.input[2] = tensor.name
        else:
            raise _computed(node, "scales")
    _drop(node, "keep_aspect_ratio_policy", "antialias", "axes")


def _pooled(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opset 19 added dilations; the checker refuses those that are left."""
    del model, constants, shapes
    if all(d == 1 for a in node.attribute if a.name == "dilations" for d in a.ints):
        _drop(node, "dilations")


def _cast(model: ModelProto, node: NodeProto, constants: Constants, shapes: Shapes) -> None:
    """Opsets 19 and 24 say how to round to types of 8 bits and less; others ignore it."""
    del model, constants, shapes
    _drop(node, "saturate", "round_mode")


_OLDER: MappingProxyType[str, _Rewrite] = MappingProxyType(
    {
        "ReduceL1": _reduced,
        "ReduceL2": _reduced,
        "ReduceLogSum": _reduced,
        "ReduceLogSumExp": _reduced,
        "ReduceMax": _reduced,
        "ReduceMean": _reduced,
        "ReduceMin": _reduced,
        "ReduceProd": _reduced,
        "ReduceSumSquare": _reduced,
        "Split": _split,
        "Pad": _padded,
        "Resize": _resized,
        "AveragePool": _pooled,
        "Cast": _cast,
    }
)
"""Operators that were already there in opset 17, but are spelled differently since."""


def _computed(node: NodeProto, what: str) -> Unsupported:
    return Unsupported(
        "the ONNX graph computes what must be fixed for an import",
        found=f"{what} of {node.op_type} {node.name!r}",
        next_step="export it with a fixed input size",
    )


def _constants(model: ModelProto) -> Constants:
    found = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t"):
            found[node.output[0]] = node.attribute[0].t
    return found


def _numbers(constants: Constants, node: NodeProto, index: int) -> list[float] | None:
    """A constant input's values; None where it is absent or computed."""
    if len(node.input) <= index or node.input[index] not in constants:
        return None
    return [float(v) for v in numpy_helper.to_array(constants[node.input[index]]).reshape(-1)]


def _shapes(model: ModelProto) -> Shapes:
    graph = model.graph
    values = (*graph.input, *graph.value_info, *graph.output)
    return {v.name: tuple(int(d.dim_value) for d in v.type.tensor_type.shape.dim) for v in values}


def _whole(model: ModelProto, name: str, values: Sequence[int]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)


def _text(node: NodeProto, name: str, default: str) -> str:
    return next((a.s.decode() for a in node.attribute if a.name == name), default)


def _drop(node: NodeProto, *names: str) -> None:
    kept: list[AttributeProto] = [a for a in node.attribute if a.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)
