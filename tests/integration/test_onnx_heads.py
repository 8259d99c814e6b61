"""Heads of ONNX files of every family, recognised without running them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import ModelProto

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.core.binding import GridAnchors
from phoneproof.core.capture import Inspection
from phoneproof.core.errors import Unsupported
from phoneproof.decode.heads import canonical_heads
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from tests.integration import onnx_heads
from tests.integration.onnx_models import save

Row = tuple[str, tuple[int, int] | None, str, int | None]


def inspected(model: ModelProto, folder: Path) -> Inspection:
    return OnnxSource().inspect(save(model, folder / "m.onnx"))


def rows_of(inspection: Inspection) -> list[Row]:
    assert inspection.head is not None
    return [(o.role, o.slice, o.activation, o.level) for o in inspection.head.outputs]


def boxes_of(inspection: Inspection) -> tuple[str, str]:
    assert inspection.head is not None
    box = next(o.box for o in inspection.head.outputs if o.box is not None)
    return box.format, box.units


def reason(inspection: Inspection, key: str) -> str:
    return next(f.reason for f in inspection.findings if f.key == key)


JOINED: list[Row] = [("boxes", (0, 4), "none", None), ("scores", (4, 6), "none", None)]
OBJECTNESS: list[Row] = [
    ("boxes", (0, 4), "none", None),
    ("objectness", (4, 5), "none", None),
    ("scores", (5, 7), "none", None),
]


@pytest.mark.parametrize(
    ("make", "rows", "box"),
    [
        (onnx_heads.yolov8, JOINED, ("cxcywh", "pixels")),
        (lambda: onnx_heads.yolov8(corners=True), JOINED, ("xyxy", "pixels")),
        (lambda: onnx_heads.yolov8(fraction=True), JOINED, ("cxcywh", "fraction")),
        (lambda: onnx_heads.yolov8(corners=True, fraction=True), JOINED, ("xyxy", "fraction")),
        (onnx_heads.yolov5, OBJECTNESS, ("cxcywh", "pixels")),
        (lambda: onnx_heads.yolov5(fraction=True), OBJECTNESS, ("cxcywh", "fraction")),
        (onnx_heads.yolox_decoded, OBJECTNESS, ("cxcywh", "pixels")),
    ],
    ids=["v8", "v8_xyxy", "v8_fraction", "v8_xyxy_fraction", "v5", "v5_fraction", "yolox"],
)
def test_decoded_heads(
    make: Callable[[], ModelProto], rows: list[Row], box: tuple[str, str], tmp_path: Path
) -> None:
    inspection = inspected(make(), tmp_path)
    assert inspection.task == "detect"
    assert rows_of(inspection) == rows
    assert boxes_of(inspection) == box
    assert inspection.head is not None
    assert inspection.head.anchors is None


@pytest.mark.parametrize("last", [True, False])
def test_boxes_and_sigmoid_scores_apart(last: bool, tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.yolov8_pair(last=last), tmp_path)
    assert inspection.task == "detect"
    assert boxes_of(inspection) == ("xyxy", "pixels")
    assert inspection.head is not None
    axes = {o.role: o.axes for o in inspection.head.outputs}
    anchor_first = {"boxes": ("anchor", "coord"), "scores": ("anchor", "class")}
    value_first = {"boxes": ("coord", "anchor"), "scores": ("class", "anchor")}
    assert axes == (anchor_first if last else value_first)
    assert all("background" not in finding.value for finding in inspection.findings)


@pytest.mark.parametrize("last", [False, True], ids=["nchw", "nhwc"])
@pytest.mark.parametrize("apart", [False, True], ids=["joined", "apart"])
def test_raw_yolov8_levels(apart: bool, last: bool, tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.yolov8_levels(apart=apart, last=last), tmp_path)
    assert (inspection.task, inspection.preset) == ("detect", "ultralytics.detect")
    assert inspection.head is not None
    assert inspection.head.anchors == GridAnchors(strides=(8, 16, 32), offset=0.5)
    cuts = [(None, None)] * 3 if apart else [((0, 64), (64, 66))] * 3
    assert rows_of(inspection) == [
        row
        for level, (boxes, scores) in enumerate(cuts)
        for row in (("dfl", boxes, "none", level), ("scores", scores, "sigmoid", level))
    ]


def test_raw_levels_with_another_number_of_bins_stay_raw(tmp_path: Path) -> None:
    """NanoDet's eight bins: its cells begin elsewhere, so this is no YOLOv8."""
    assert inspected(onnx_heads.yolov8_levels(bins=8), tmp_path).task == "raw"


def test_raw_yolox_levels(tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.yolox_levels(), tmp_path)
    assert (inspection.task, inspection.preset) == ("detect", "yolox")
    assert boxes_of(inspection) == ("cxcywh", "stride")
    assert inspection.head is not None
    assert inspection.head.anchors == GridAnchors(strides=(8, 16, 32), offset=0.0)
    assert [o.level for o in inspection.head.outputs if o.role == "boxes"] == [0, 1, 2]


@pytest.mark.parametrize("class_first", [False, True])
def test_end_to_end(class_first: bool, tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.end_to_end(class_first=class_first), tmp_path)
    assert inspection.task == "detect"
    score, number = ((5, 6), (4, 5)) if class_first else ((4, 5), (5, 6))
    assert rows_of(inspection) == [
        ("boxes", (0, 4), "none", None),
        ("scores", score, "none", None),
        ("classes", number, "none", None),
    ]
    assert boxes_of(inspection) == ("xyxy", "pixels")
    assert inspection.head is not None
    assert inspection.head.nms_in_file


def test_an_end_to_end_file_is_decoded_as_it_was_recognised(tmp_path: Path) -> None:
    path = save(onnx_heads.end_to_end(), tmp_path / "m.onnx")
    inspection = OnnxSource().inspect(path)
    contract = infer_contract(inspection, name="m", labels_found=("a", "b")).contract
    assert contract.labels == ("a", "b")
    session = OnnxRuntime().open(path)
    picture = np.random.default_rng(0).uniform(0, 1, (1, 3, 64, 96)).astype(np.float32)
    outputs = session.run({session.inputs[0].name: picture})
    binding = hub_binding(inspection, contract, size=onnx_heads.SIZE, batch=1)
    heads = canonical_heads(outputs, contract, binding)
    rows = next(iter(outputs.values()))[0]
    assert heads.final
    np.testing.assert_array_equal(heads.boxes, rows[:, :4])
    np.testing.assert_array_equal(heads.scores.max(axis=1), rows[:, 4])
    np.testing.assert_array_equal(heads.scores.argmax(axis=1), rows[:, 5])


@pytest.mark.parametrize("softmax", [False, True])
def test_ssd_without_its_priors_says_what_is_missing(softmax: bool, tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.ssd_raw(softmax=softmax), tmp_path)
    assert inspection.task == "raw"
    assert "SSD priors" in reason(inspection, "head.priors")
    with pytest.raises(Unsupported, match="no detect head") as caught:
        infer_contract(inspection, name="m", task="detect")
    assert "priors.npy" in caught.value.found
    assert "[head]" in caught.value.next_step


@pytest.mark.parametrize("packed", [False, True])
def test_raw_yolov5_levels_say_that_anchors_are_missing(packed: bool, tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.yolov5_levels(packed=packed), tmp_path)
    assert inspection.task == "raw"
    assert "anchor shapes are not in the file" in reason(inspection, "head.anchors")


def test_nms_inside_is_refused_with_the_line_that_exports_without(tmp_path: Path) -> None:
    inspection = inspected(onnx_heads.suppressed(), tmp_path)
    assert inspection.head is not None
    assert inspection.head.nms_in_file
    contract = infer_contract(inspection, name="m", task="raw").contract
    with pytest.raises(Unsupported, match="NMS inside") as caught:
        hub_binding(inspection, contract, size=onnx_heads.SIZE, batch=1)
    assert "nms=False" in caught.value.next_step
