"""An ONNX graph made ready for import: static shapes, no folded-in surprises, a recent opset.

Everything works on the caller's in-memory copy; no file is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import onnx
import onnxslim
from onnx import ModelProto, NodeProto, helper, shape_inference, version_converter

from phoneproof.capture.backends.onnx_resize import replace_foreign_resizes
from phoneproof.core.errors import ConversionFailed, first_line

OPSET = 17
_OLDEST_OPSET = 13
"""onnx2torch mishandles several operators below opset 13 (axes as attributes); from there on the
file's own opset stays, up to `OPSET`."""

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
    """
    _label_nodes(model.graph.node)
    try:
        shapes = [f"{input_name}:{','.join(map(str, shape))}"]
        slim = onnxslim.slim(model, input_shapes=shapes)
        if _opset(slim) < _OLDEST_OPSET:
            _declare_initializers(slim)
            slim = version_converter.convert_version(slim, OPSET)
        slim = shape_inference.infer_shapes(slim, data_prop=True)
    except Exception as error:  # three tools, each with its own exception classes
        raise ConversionFailed(
            "the ONNX graph could not be made static",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="export the model again with fixed input sizes and opset 13 or later",
        ) from error
    _inputs_only(slim)
    _explicit_padding(slim)
    replace_foreign_resizes(slim)
    _label_nodes(slim.graph.node)
    return slim


def _opset(model: ModelProto) -> int:
    return next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)


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


def _declare_initializers(model: ModelProto) -> None:
    """The version converter looks initializers up among the graph's inputs."""
    declared = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in declared:
            info = helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            model.graph.input.append(info)


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
