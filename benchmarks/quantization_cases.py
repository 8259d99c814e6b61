"""The float models that are quantized side by side, and the images each is measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.acceptance_cases import CASES as SOURCES
from benchmarks.acceptance_cases import FLOAT_VALUES, STRETCH, Case

DIGITS = "digits"
"""scikit-learn's bundled handwritten digits, written as pictures of a folder a class."""

PICTURES = "pictures"
"""coco128 and the single photographs without their labels: faces are not among COCO's classes."""

UNSCALED = """scale = 1.0
mean = [0, 0, 0]
std = [1, 1, 1]"""


@dataclass(frozen=True, kw_only=True)
class QuantizationCase:
    """One float model.

    source: the model, its images, and what its user knows. limit: of its images, how many take
    part (0: all). size_only: its weights were never trained, so that only bytes mean anything.
    """

    source: Case
    limit: int = 0
    size_only: bool = False

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name


def _source(word: str, **changes: object) -> Case:
    """The one acceptance case of the direct route whose name is `word`."""
    found = [case for case in SOURCES if case.name == word]
    (case,) = found
    return replace(case, refused=None, **changes)  # type: ignore[arg-type]


CASES = (
    QuantizationCase(
        source=_source("cifar10_resnet8.h5", contract=STRETCH.format(side=32, values=UNSCALED))
    ),
    QuantizationCase(source=_source("cifar10_resnet20-12fca82f.th (cifar_resnet:resnet20)")),
    QuantizationCase(source=_source("yolov8n-cls_weather_best.pt")),
    QuantizationCase(source=_source("mnist.onnx", images=DIGITS), limit=500),
    QuantizationCase(source=_source("mnistCNN.h5", images=DIGITS), limit=500),
    QuantizationCase(source=_source("mobilenet_v1_0.25_224.h5")),
    QuantizationCase(source=_source("mobilenet_v2_1.0_224_float.onnx")),
    QuantizationCase(source=_source("version-RFB-320.onnx", images=PICTURES)),
    QuantizationCase(source=_source("yolov5n_face.pt", images=PICTURES)),
    QuantizationCase(source=_source("yolox_nano.onnx")),
    QuantizationCase(source=_source("yolov8n_coco_rebuilt.pt")),
    QuantizationCase(
        source=Case(
            model="inception_v3",
            images=PICTURES,
            contract=STRETCH.format(side=299, values=FLOAT_VALUES),
        ),
        size_only=True,
    ),
)
"""mini-Xception (fer2013) is left out: no picture here shows what it was trained on."""
