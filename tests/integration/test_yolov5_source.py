"""A real YOLOv5 checkpoint: captured, equal to its hub program, agreeing with another detector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phoneproof.capture.backends.ultralytics.description import describe
from phoneproof.capture.base import SOURCES, Source
from phoneproof.capture.hub import fitted_to_source
from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Size
from phoneproof.core.tolerances import HUB_RELATIVE
from phoneproof.decode.results import Detections
from phoneproof.pixels.image import read_image
from phoneproof.runtimes.predict import Predictor
from tests.assets import asset
from tests.integration.hub_agreement import photographs, worst_relative
from tests.integration.ultralytics_files import changed

FACES = "models/detect/yolov5n_face.pt"
ULTRAFACE = "models/detect/version-RFB-320.onnx"
PICTURE = "images/single/faces_10.jpg"
SAME_FACE = 0.4
"""IoU from which two detectors mean one face: they were trained on different annotations."""

FACES_IN_PICTURE, AGREEING = 19, 17


@pytest.fixture(scope="module")
def source() -> Source:
    return SOURCES.load("ultralytics")


@pytest.fixture(scope="module")
def inspection(source: Source) -> Inspection:
    return source.inspect(asset(FACES))


def detections(kind: str, path: Path) -> NDArray[np.float32]:
    """Boxes [N, 4], xyxy in pixels of the picture, of a source with everything inferred."""
    source = SOURCES.load(kind)
    found = source.inspect(path)
    contract = infer_contract(found, name="faces").contract
    size: Size = contract.image.size
    binding = hub_binding(found, contract, size=size, batch=1)
    session = source.open(path, size=size, batch=1)
    fitted = fitted_to_source(binding, session.inputs, session.outputs)
    predictor = Predictor(session, contract, fitted)
    results, _ = predictor.predict_rgb(read_image(asset(PICTURE), contract.image))
    assert isinstance(results, Detections)
    return results.boxes


def matched(first: NDArray[np.float32], second: NDArray[np.float32]) -> int:
    """How many boxes of `first` have a partner of their own in `second`, greedily."""
    start = np.maximum(first[:, None, :2], second[None, :, :2])
    end = np.minimum(first[:, None, 2:], second[None, :, 2:])
    inter = np.clip(end - start, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    iou = inter / (areas[0][:, None] + areas[1][None] - inter)
    pairs = 0
    while iou.size and iou.max() >= SAME_FACE:
        row, column = np.unravel_index(iou.argmax(), iou.shape)
        iou[row], iou[:, column] = -1, -1
        pairs += 1
    return pairs


@pytest.fixture(scope="module")
def other() -> NDArray[np.float32]:
    return detections("onnx", asset(ULTRAFACE))


def test_its_faces_are_those_of_another_detector(other: NDArray[np.float32]) -> None:
    assert len(other) == FACES_IN_PICTURE
    ours = detections("ultralytics", asset(FACES))
    assert matched(other, ours) >= AGREEING
    assert len(ours) <= FACES_IN_PICTURE + 2  # not everywhere


def test_wrong_anchors_lose_faces(other: NDArray[np.float32], tmp_path: Path) -> None:
    """Control: sides twice as long have an IoU of a quarter with the right ones."""

    def double(data: bytes) -> bytes:
        return (np.frombuffer(data, np.float16) * np.float16(2)).tobytes()

    path = changed(asset(FACES), tmp_path / "doubled.pt", storages={anchors_key(): double})
    assert matched(other, detections("ultralytics", path)) < AGREEING


def anchors_key() -> str:
    return describe(asset(FACES)).weights["model.24.anchors"].storage.key


def test_the_hub_program_is_the_network(source: Source) -> None:
    session = source.open(asset(FACES), size=(640, 640), batch=1)
    ((_, export),) = source.importers(asset(FACES), size=(640, 640), batch=1)
    images = photographs((1, 3, 640, 640), "NCHW", 1 / 255, 0.0)
    assert worst_relative(export(), session, images) <= HUB_RELATIVE


def test_the_output_is_that_of_the_familys_inference(inspection: Inspection) -> None:
    assert (inspection.task, inspection.size) == ("detect", (640, 640))
    assert inspection.preset == "yolov5"
    assert inspection.labels == ("face",)
    assert inspection.outputs[0].shape == (1, 25200, 6)
    assert inspection.head is not None
    parts = [(o.role, o.slice, o.axes, o.activation) for o in inspection.head.outputs]
    assert parts == [
        ("boxes", (0, 4), ("anchor", "coord"), "none"),
        ("objectness", (4, 5), ("anchor", "coord"), "none"),
        ("scores", (5, 6), ("anchor", "class"), "none"),
    ]


def test_what_the_file_says_of_itself(inspection: Inspection) -> None:
    assert (inspection.evidence.framework, inspection.evidence.family) == ("yolov5", "yolov5n")
    assert ("mosaic", "0.5") in inspection.evidence.training  # its hyperparameters
    found = {finding.key: finding for finding in inspection.findings}
    assert found["head.anchors"].value == "3 a cell"
    assert "0.6" in found["metric.nms"].reason


def test_another_size_and_batch(source: Source) -> None:
    session = source.open(asset(FACES), size=(96, 160), batch=2)
    image = np.random.default_rng(1).random((2, 3, 96, 160), dtype=np.float32)
    (both,) = session.run({"image": image}).values()
    single = source.open(asset(FACES), size=(96, 160), batch=1)
    (second,) = single.run({"image": image[1:]}).values()
    assert both.shape == (2, 3 * (12 * 20 + 6 * 10 + 3 * 5), 6)
    np.testing.assert_allclose(both[1:], second, rtol=1e-4, atol=1e-4)
    assert torch.isfinite(torch.from_numpy(both)).all()
