"""Every model file of the assets, and what is known of it: a figure, agreement, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass

from phoneproof.core.contract import Task

_VALUES = """
task = "classify"
size = [{side}, {side}]
channels = "rgb"
values = "uint8"
{values}
"""
_CROPS = """[[contract.geometry]]
op = "crop"
aspect = 1
[[contract.geometry]]
op = "crop"
fraction = 0.875
round = "floor"
"""
_RESIZE = """[[contract.geometry]]
op = "resize"
to = "stretch"
size = [{side}, {side}]
filter = "pillow.bilinear"
"""
STRETCH = _VALUES + _RESIZE
"""A classifier of whole pictures."""

SQUARE_CROP = _VALUES + _CROPS + _RESIZE
"""The figures known of the ImageNet models were taken on a square centre crop; no file says so."""

FLOAT_VALUES = """scale = 0.00392156862745098
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]"""
PIXEL_VALUES = """scale = 0.0078125
mean = [1, 1, 1]
std = [1, 1, 1]"""
"""For a uint8 input of scale 1/128 and zero point 128: its integers are the pixels."""

TORCHVISION_VALUES = """scale = 0.00392156862745098
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]"""
"""How the CIFAR ResNets of that repository were trained."""

COCO, WEATHER, CIFAR = "images/coco128_train", "images/weather_val", "images/cifar10_test500"
IMAGENET, SINGLE = "images/imagenet_sample350", "images/single"

BARE_WEIGHTS = "bare weights"
CORE_ML = "Core ML"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model, its images, what is known of it, and what its user knows that no file says.

    metric, known: recorded in the assets' PROVENANCE (null: agreement alone). contract: lines that
    replace the inferred ``[contract]`` values. factory: of bare weights, in
    ``benchmarks/factories``. refused: words of the refusal that is right; null: captured.
    precisions: of the TFLite file; empty: what `init` writes.
    """

    model: str
    images: str = SINGLE
    metric: str | None = None
    known: float | None = None
    contract: str = ""
    task: Task | None = None
    factory: str | None = None
    refused: str | None = None
    route: str = "direct"
    precisions: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name, and what else tells the case from others of the same file."""
        file = self.model.rpartition("/")[2]
        extra = self.factory or (self.route if self.route != "direct" else "")
        return f"{file} ({extra})" if extra else file


CASES = (
    Case(model="models/detect/yolov8n_coco_rebuilt.pt", images=COCO, metric="map50", known=0.605),
    Case(model="models/detect/yolov8n_coco_rebuilt.onnx", images=COCO, metric="map50", known=0.605),
    Case(model="models/detect/yolov8n_int8.tflite", images=COCO, metric="map50", known=0.607),
    # Its recorded mAP50 of .553 does not say on which images; on these it is the source's below.
    Case(model="models/detect/yolov8n_full_integer_quant.tflite", images=COCO, metric="map50"),
    Case(model="models/detect/yolox_nano.onnx", images=COCO, metric="map50", known=0.512),
    Case(model="models/detect/yolox_nano_mask3_float16.tflite"),
    # No picture here shows a mask, and where nothing is found 8 bits prove nothing.
    Case(model="models/detect/yolox_nano_mask3_int8.tflite", refused="box_agreement"),
    Case(model="models/detect/yolov5n_face.pt"),
    Case(model="models/detect/version-RFB-320.onnx"),
    Case(model="models/detect/version-RFB-320.pth", refused=BARE_WEIGHTS),
    Case(model="models/detect/mtcnn_pnet.pt", refused=BARE_WEIGHTS),
    Case(model="models/detect/mtcnn_pnet.pt", factory="mtcnn:pnet", task="raw"),
    Case(model="models/detect/mtcnn_rnet.pt", factory="mtcnn:rnet", task="raw"),
    Case(model="models/detect/mtcnn_onet.pt", factory="mtcnn:onet", task="raw"),
    Case(
        model="models/classify/yolov8n-cls_weather_best.pt",
        images=WEATHER,
        metric="top1",
        known=0.966,
    ),
    Case(
        model="models/classify/mobilenet_v2_1.0_224_float.onnx",
        images=IMAGENET,
        metric="top1",
        known=0.897,
        contract=SQUARE_CROP.format(side=224, values=FLOAT_VALUES),
    ),
    Case(
        model="models/classify/mobilenet_v2_1.0_224_quant.tflite",
        images=IMAGENET,
        metric="top1",
        known=0.897,
        contract=SQUARE_CROP.format(side=224, values=PIXEL_VALUES),
    ),
    Case(
        model="models/classify/mobilenet_v1_0.25_224.h5",
        images=IMAGENET,
        metric="top1",
        known=0.606,
        contract=SQUARE_CROP.format(side=224, values=FLOAT_VALUES),
    ),
    Case(
        model="models/classify/mobilenet_v1_0.25_128_quant.tflite",
        images=IMAGENET,
        metric="top1",
        known=0.474,
        contract=SQUARE_CROP.format(side=128, values=PIXEL_VALUES),
    ),
    Case(model="models/classify/cifar10_resnet8.h5", images=CIFAR, metric="top1", known=0.752),
    Case(
        model="models/classify/cifar10_resnet8_float.tflite",
        images=CIFAR,
        metric="top1",
        known=0.752,
    ),
    Case(
        model="models/classify/cifar10_resnet8_int8.tflite",
        images=CIFAR,
        metric="top1",
        known=0.752,
    ),
    Case(
        model="models/classify/cifar10_resnet20-12fca82f.th",
        images=CIFAR,
        metric="top1",
        known=0.798,
        contract=STRETCH.format(side=32, values=TORCHVISION_VALUES),
        factory="cifar_resnet:resnet20",
    ),
    Case(model="models/classify/fer2013_mini_XCEPTION.102-0.66.hdf5"),
    Case(model="models/classify/mnistCNN.h5"),
    Case(model="models/classify/mnistCNN.mlmodel", refused=CORE_ML),
    Case(model="models/classify/mnist.onnx"),
    # Its weights reach below what half precision holds: float16 ends at 25 dB and is refused.
    Case(model="models/pose/cpm_model.pb", precisions=("float32",)),
    Case(model="models/pose/cpm_model.tflite", precisions=("float32",)),
    Case(model="models/pose/cpm_model.mlmodel", refused=CORE_ML),
    # Half precision flips the class of pixels on borders: 31 dB on the map of classes.
    Case(model="models/segment/deeplabv3_mnv2_dm05_pascal_quant.tflite", precisions=("float32",)),
    Case(
        model="models/detect/yolov8n_coco_rebuilt.pt",
        images=COCO,
        metric="map50",
        known=0.605,
        route="classic",
    ),
    Case(
        model="models/classify/mobilenet_v2_1.0_224_float.onnx",
        images=IMAGENET,
        metric="top1",
        known=0.897,
        contract=SQUARE_CROP.format(side=224, values=FLOAT_VALUES),
        route="classic",
    ),
    Case(
        model="models/classify/cifar10_resnet8.h5",
        images=CIFAR,
        metric="top1",
        known=0.752,
        route="classic",
    ),
)
