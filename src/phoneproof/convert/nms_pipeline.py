"""Which detectors can end in Core ML's own suppression."""

from __future__ import annotations

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import Unsupported

_FORMATS = ("xyxy", "yxyx", "cxcywh")
_ROLES = {"boxes", "scores", "objectness"}


def why_no_pipeline(contract: Contract, binding: Binding) -> str:
    """What hinders a pipeline with NMS for such a network; empty where nothing does."""
    decode = contract.decode
    if contract.task != "detect" or decode is None:
        return f"the task is {contract.task}"
    if decode.nms is None or binding.nms_in_file:
        return "the model's boxes are final: nothing is left to suppress"
    if decode.multi_label:
        return "[contract.decode] multi_label: Core ML's NMS gives a box one class"
    if not contract.labels or None in contract.labels:
        return "Vision names each class, and the contract has one without a label"
    if binding.batch != 1:
        return f"Vision gives one picture at a time, and the batch is {binding.batch}"
    return _why_no_boxes(binding)


def _why_no_boxes(binding: Binding) -> str:
    roles = {output.role for output in binding.outputs}
    if not {"boxes", "scores"} <= roles <= _ROLES:
        return f"the model gives {', '.join(sorted(roles))}, not boxes and scores"
    if binding.anchors is not None:
        return "the model leaves the decode of its boxes (grid, anchors or priors) to the app"
    for output in binding.outputs:
        box = output.box
        if output.role == "boxes" and (
            box is None or box.format not in _FORMATS or box.units == "stride"
        ):
            return "the model leaves the decode of its boxes to the app"
        if output.activation == "softmax":
            return f"{output.role} are still to be put through a softmax"
        if output.packed != 1 or "bin" in output.axes:
            return f"{output.role} are packed"
    return ""


def require_pipeline(contract: Contract, binding: Binding) -> None:
    """Raises Unsupported, with the reason, where `why_no_pipeline` gives one."""
    if why := why_no_pipeline(contract, binding):
        raise Unsupported(
            "a Core ML pipeline with NMS for this model",
            found=why,
            next_step="leave nms out of [targets.ios]; the app decodes as the contract says",
        )
