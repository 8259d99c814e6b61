"""UltraFace (Linzaer's RFB and slim face detectors): known by its priors, fed in its own way.

Source of the constants: the repository's fd_config.py (strides, priors) and its demo
run_video_face_detect_onnx.py (RGB, cv2.resize, (x - 127) / 128, threshold .7, IoU .5).
"""

from __future__ import annotations

from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Decode, Nms

ULTRAFACE_PRIORS = ((8, 3), (16, 2), (32, 2), (64, 3))
"""(stride, priors a cell); grids are rounded up."""

ULTRAFACE_SCALE = 1 / 128
ULTRAFACE_MEAN = (127 / 128, 127 / 128, 127 / 128)
"""After the scale: p / 128 - 127 / 128."""

ULTRAFACE_DECODE = Decode(confidence=0.7, nms=Nms(iou=0.5, max_detections=300))


def is_ultraface(inspection: Inspection) -> bool:
    """Whether boxes and two scores lie on exactly UltraFace's priors."""
    if inspection.task != "detect" or inspection.size is None or inspection.head is None:
        return False
    height, width = inspection.size
    priors = sum(-(-height // s) * -(-width // s) * count for s, count in ULTRAFACE_PRIORS)
    shapes = {output.role: output.shape[1:] for output in inspection.head.outputs}
    return shapes == {"boxes": (priors, 4), "scores": (priors, 2)}
