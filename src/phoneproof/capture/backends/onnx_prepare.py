"""An ONNX graph made ready for import: static shapes, no folded-in surprises, a recent opset.

Everything works on the caller's in-memory copy; no file is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import onnx
import onnxslim
from onnx import ModelProto, NodeProto, helper, shape_inference

from phoneproof.capture.backends.onnx_missing import replace_missing
from phoneproof.capture.backends.onnx_opset import as_opset_17, with_definitions
from phoneproof.capture.backends.onnx_resize import replace_foreign_resizes
from phoneproof.core.errors import ConversionFailed, PhoneproofError, first_line

_SEPARATORS = re.compile(r"[^\w./:-]+")
_COUNTER = re.compile(r"(__\d+)+$")
_WINDOWED = ("Conv", "MaxPool", "AveragePool")


def prepare(model: ModelProto, input_name: str, shape: tuple[int, ...]) -> ModelProto:
    """Fix the input's shape, fold what becomes constant, raise the opset, name every node.

    Args:
        model: the parsed file; it is changed, so hand in a copy.
        input_name: the image input. shape: its full static shape.

    Raises:
        ConversionFailed: one of the tools broke on the graph.
        Unsupported: an operator newer than the importer, named.
    """
    _label_nodes(model.graph.node)
    try:
        shapes = [f"{input_name}:{','.join(map(str, shape))}"]
        slim = onnxslim.slim(with_definitions(model), input_shapes=shapes)
        slim = as_opset_17(slim)
        slim = shape_inference.infer_shapes(slim, data_prop=True)
    except PhoneproofError:
        raise
    except Exception as error:  # three tools, each with its own exception classes
        raise ConversionFailed(
            "the ONNX graph could not be made static",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="export the model again with fixed input sizes and opset 13 or later",
        ) from error
    _inputs_only(slim)
    _explicit_padding(slim)
    _plain_maxima(slim)
    replace_foreign_resizes(slim)
    replace_missing(slim)
    _label_nodes(slim.graph.node)
    return slim


def _label_nodes(nodes: Iterable[NodeProto]) -> None:
    """Name every node once, so that a report can point at it.

    Nameless nodes take their first output's name. TensorFlow Lite joins the names of fused nodes
    by ';': the first stands for them. torch.export's file format reserves ';' and ','.
    tf2onnx appends numbers that go on counting over conversions: the place in the graph does not.
    """
    taken: set[str] = set()
    for index, node in enumerate(nodes):
        name = node.name or f"{node.op_type}_{node.output[0] if node.output else index}"
        name = _COUNTER.sub("", name.partition(";")[0])
        name = _SEPARATORS.sub("_", name).strip("/_") or f"node_{index}"
        if name in taken:
            name = f"{name}__{index}"
        taken.add(name)
        node.name = name


def _inputs_only(model: ModelProto) -> None:
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    del model.graph.input[:]
    model.graph.input.extend(inputs)


def _explicit_padding(model: ModelProto) -> None:
    """Replace `auto_pad` SAME_* by the pads it stands for; onnx2torch reads only those."""
    shapes = {value.name: _dims(value) for value in (*model.graph.input, *model.graph.value_info)}
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        mode = attributes.get("auto_pad", b"NOTSET")
        if node.op_type not in _WINDOWED or mode not in (b"SAME_UPPER", b"SAME_LOWER"):
            continue
        given = attributes.get("kernel_shape") or weights.get(node.input[1], ())[2:]
        spatial = shapes.get(node.input[0], ())[2:]
        if len(spatial) != len(given) or not all(spatial):
            continue
        strides = attributes.get("strides") or [1] * len(given)
        dilations = attributes.get("dilations") or [1] * len(given)
        pads = _same_pads(spatial, given, strides, dilations, upper=mode == b"SAME_UPPER")
        kept = [a for a in node.attribute if a.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", pads)])


def _plain_maxima(model: ModelProto) -> None:
    """GlobalMaxPool as the maximum over the image axes; onnx2torch knows only that.

    Up to opset 17 the axes are an attribute.
    """
    ranks = {v.name: len(_dims(v)) for v in (*model.graph.input, *model.graph.value_info)}
    for node in model.graph.node:
        rank = ranks.get(node.input[0], 0) if node.op_type == "GlobalMaxPool" else 0
        if rank > 2:
            node.op_type = "ReduceMax"
            axes = helper.make_attribute("axes", list(range(2, rank)))
            node.attribute.extend([axes, helper.make_attribute("keepdims", 1)])


def _same_pads(
    sizes: Iterable[int],
    kernels: Iterable[int],
    strides: Iterable[int],
    dilations: Iterable[int],
    *,
    upper: bool,
) -> list[int]:
    """Begin and end pads of each axis: output = ceil(size / stride), as the ONNX operators say."""
    begins, ends = [], []
    for size, kernel, stride, dilation in zip(sizes, kernels, strides, dilations, strict=True):
        covered = (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1
        total = max(covered - size, 0)
        small = total // 2
        begins.append(small if upper else total - small)
        ends.append(total - small if upper else small)
    return begins + ends


def _dims(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    return tuple(int(d.dim_value) for d in value.type.tensor_type.shape.dim)
