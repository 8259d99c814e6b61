"""A later opset for an ONNX graph that needs an operator of it."""

from __future__ import annotations

from typing import Final

import onnx
from onnx import helper, version_converter

from phoneproof.core.errors import Unsupported, first_line
from phoneproof.formats.onnx_file import opset
from phoneproof.formats.onnx_fold import fold_constants

_OLDEST: Final = 11
"""Below, the version converter changes where `Resize` and `Upsample` sample, without a word."""


def with_opset(model: onnx.ModelProto, wanted: int) -> onnx.ModelProto:
    """The same graph in opset `wanted`, or as it was where its opset is no earlier.

    Tensors keep their names. What was an attribute and became an input is an initializer.

    Raises:
        Unsupported: older than opset 11, or an operator that the version converter does not know.
    """
    found = opset(model)
    if found >= wanted:
        return model
    if found < _OLDEST:
        raise _refused(found, wanted, "its resizes would sample elsewhere")
    before = _outputs(model)
    try:
        raised = version_converter.convert_version(model, wanted)
    except Exception as error:  # the converter raises RuntimeError and whatever protobuf does
        raise _refused(found, wanted, first_line(error)) from error
    missing = sorted(before - _outputs(raised))
    if missing:
        raise _refused(found, wanted, f"tensor {missing[0]!r} would be lost")
    fold_constants(raised)
    raised.ir_version = max(
        raised.ir_version, helper.find_min_ir_version_for(list(raised.opset_import))
    )
    return raised


def _outputs(model: onnx.ModelProto) -> set[str]:
    nodes = (node for node in model.graph.node if node.op_type != "Constant")
    return {name for node in nodes for name in node.output if name}


def _refused(found: int, wanted: int, reason: str) -> Unsupported:
    return Unsupported(
        f"the ONNX file cannot be raised to opset {wanted}",
        found=f"opset {found}: {reason}",
        next_step=f"set opset = {wanted} for this target, so that it is written so from the start",
    )
