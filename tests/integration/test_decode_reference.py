"""Known detectors on known pictures: what the original tools find, found here."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.binding import (
    Anchors,
    Binding,
    Box,
    GridAnchors,
    InputBinding,
    OutputBinding,
)
from phoneproof.core.contract import (
    Contract,
    Decode,
    Filter,
    ImageInput,
    Nms,
    Pad,
    Resize,
    Rounding,
)
from phoneproof.decode.decode import decode
from phoneproof.decode.results import Detections
from phoneproof.pixels.geometry import plan_geometry
from phoneproof.pixels.image import read_image
from phoneproof.pixels.inverse import to_original
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from phoneproof.runtimes.predict import Predictor
from tests.assets import asset

COCO = tuple(f"coco {i}" for i in range(80))
PERSON, BUS = 0, 5


def letterbox(
    side: int,
    *,
    scale: float,
    rounding: Rounding = "half_even",
    corner: bool = False,
    method: Filter = "opencv.linear",
) -> ImageInput:
    return ImageInput(
        channels="bgr" if corner else "rgb",
        geometry=(
            Resize(to="contain", size=(side, side), round=rounding, filter=method),
            Pad(size=(side, side), anchor="top_left" if corner else "center"),
        ),
        size=(side, side),
        scale=scale,
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )


def detector(image: ImageInput, labels: tuple[str | None, ...], policy: Decode) -> Contract:
    return Contract(name="d", task="detect", inputs=(image,), labels=labels, decode=policy)


def binding(
    image: InputBinding, *outputs: OutputBinding, anchors: Anchors | None = None
) -> Binding:
    return Binding(contract="", format="onnx", inputs=(image,), outputs=outputs, anchors=anchors)


def yolov8(nms: Nms | None = None) -> tuple[Contract, Binding]:
    policy = Decode(confidence=0.25, nms=nms or Nms(iou=0.7))
    shape = (1, 84, 8400)
    return detector(letterbox(640, scale=1 / 255), COCO, policy), binding(
        InputBinding(tensor="images", shape=(1, 3, 640, 640), layout="NCHW"),
        OutputBinding(
            tensor="output0",
            role="boxes",
            shape=shape,
            axes=("coord", "anchor"),
            slice=(0, 4),
            box=Box(format="cxcywh"),
        ),
        OutputBinding(
            tensor="output0", role="scores", shape=shape, axes=("class", "anchor"), slice=(4, 84)
        ),
    )


def detect(
    picture: str, contract: Contract, bound: Binding, raw: dict[str, np.ndarray]
) -> Detections:
    rgb = read_image(asset(picture), contract.image)
    plan = plan_geometry(contract.image, *rgb.shape[:2])
    found = decode(raw, contract, bound, to_original=partial(to_original, plan=plan))
    assert isinstance(found, Detections)
    return found


def predict(model: Path, contract: Contract, bound: Binding, picture: str) -> Detections:
    predictor = Predictor(OnnxRuntime().open(model), contract, bound)
    found, _ = predictor.predict_rgb(read_image(asset(picture), contract.image))
    assert isinstance(found, Detections)
    return found


@pytest.mark.parametrize("picture", ["images/single/bus.jpg", "images/single/zidane.jpg"])
def test_the_recorded_ultralytics_output_decodes_to_its_recorded_boxes(picture: str) -> None:
    expected = json.loads(asset("reference/ultralytics_yolov8n.json").read_text())
    recorded = expected["images"][picture]
    raw = np.load(asset("reference/ultralytics_yolov8n.npz"))[f"{Path(picture).name}:raw"]

    found = detect(picture, *yolov8(), {"output0": raw})

    assert found.classes.tolist() == recorded["classes"]
    np.testing.assert_allclose(found.scores, recorded["scores"], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.boxes, recorded["boxes_xyxy"], rtol=0, atol=1e-2)


def test_another_nms_threshold_is_noticed() -> None:
    raw = np.load(asset("reference/ultralytics_yolov8n.npz"))["zidane.jpg:raw"]
    right = detect("images/single/zidane.jpg", *yolov8(), {"output0": raw})
    wrong = detect("images/single/zidane.jpg", *yolov8(Nms(iou=0.99)), {"output0": raw})
    assert len(wrong.scores) > len(right.scores)


@pytest.mark.parametrize(
    "picture",
    ["bus.jpg", "zidane.jpg"],
)
def test_yolov8_from_the_picture_file_equals_the_recorded_boxes(picture: str) -> None:
    expected = json.loads(asset("reference/ultralytics_yolov8n.json").read_text())
    recorded = expected["images"][f"images/single/{picture}"]
    model = asset("models/detect/yolov8n_coco_rebuilt.onnx")

    found = predict(model, *yolov8(), f"images/single/{picture}")

    assert found.classes.tolist() == recorded["classes"]
    np.testing.assert_allclose(found.scores, recorded["scores"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(found.boxes, recorded["boxes_xyxy"], rtol=0, atol=0.2)


def yolox(offset: float = 0.0) -> tuple[Contract, Binding]:
    # The known scores were found with Pillow's filter; OpenCV's gives .903 .858 .808 .696.
    image = letterbox(416, scale=1.0, rounding="floor", corner=True, method="pillow.bilinear")
    shape = (1, 3549, 85)
    outputs = (
        OutputBinding(
            tensor="output",
            role="boxes",
            shape=shape,
            axes=("anchor", "coord"),
            slice=(0, 4),
            box=Box(format="cxcywh", units="stride"),
        ),
        OutputBinding(
            tensor="output",
            role="objectness",
            shape=shape,
            axes=("anchor", "channel"),
            slice=(4, 5),
        ),
        OutputBinding(
            tensor="output", role="scores", shape=shape, axes=("anchor", "class"), slice=(5, 85)
        ),
    )
    return detector(image, COCO, Decode(confidence=0.5, nms=Nms(iou=0.45))), binding(
        InputBinding(tensor="images", shape=(1, 3, 416, 416), layout="NCHW"),
        *outputs,
        anchors=GridAnchors(strides=(8, 16, 32), offset=offset),
    )


def test_yolox_finds_the_bus_and_its_passengers() -> None:
    found = predict(
        asset("models/detect/yolox_nano.onnx"), *yolox(), picture="images/single/bus.jpg"
    )
    assert found.classes.tolist() == [BUS, PERSON, PERSON, PERSON]
    np.testing.assert_allclose(found.scores, [0.91, 0.85, 0.82, 0.68], rtol=0, atol=0.005)
    # The bus spans nearly the whole 810 x 1080 picture; Ultralytics' model sees it there too.
    left, top, right, bottom = found.boxes[0]
    assert abs(left - 31) < 40
    assert abs(top - 231) < 40
    assert abs(right - 797) < 40
    assert abs(bottom - 769) < 40


def test_a_wrong_grid_offset_moves_the_boxes() -> None:
    model = asset("models/detect/yolox_nano.onnx")
    right = predict(model, *yolox(), picture="images/single/bus.jpg")
    wrong = predict(model, *yolox(offset=0.5), picture="images/single/bus.jpg")
    assert np.abs(right.boxes[0] - wrong.boxes[0]).max() > 10


def ultraface(labels: tuple[str | None, ...] = (None, "face")) -> tuple[Contract, Binding]:
    image = ImageInput(
        geometry=(Resize(to="stretch", size=(240, 320)),),
        size=(240, 320),
        scale=1.0,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
    )
    policy = Decode(confidence=0.7, nms=Nms(iou=0.3))
    return detector(image, labels, policy), binding(
        InputBinding(tensor="input", shape=(1, 3, 240, 320), layout="NCHW"),
        OutputBinding(tensor="scores", role="scores", shape=(1, 4420, 2), axes=("anchor", "class")),
        OutputBinding(
            tensor="boxes",
            role="boxes",
            shape=(1, 4420, 4),
            axes=("anchor", "coord"),
            box=Box(format="xyxy", units="fraction"),
        ),
    )


def test_ultraface_finds_the_faces_and_never_the_background() -> None:
    found = predict(
        asset("models/detect/version-RFB-320.onnx"),
        *ultraface(),
        picture="images/single/faces_10.jpg",
    )
    assert set(found.classes.tolist()) == {1}
    assert 16 <= len(found.scores) <= 20
    sides = found.boxes[:, 2:] - found.boxes[:, :2]
    assert (sides > 5).all()


def test_labels_shifted_by_one_turn_the_background_into_detections() -> None:
    found = predict(
        asset("models/detect/version-RFB-320.onnx"),
        *ultraface(("face", None)),
        picture="images/single/faces_10.jpg",
    )
    assert set(found.classes.tolist()) == {0}
    assert len(found.scores) > 40
