"""Models that end in TFLite_Detection_PostProcess: our decode against the operator itself."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from phoneproof.capture.backends.tflite import TfliteSource
from phoneproof.capture.infer import infer_contract
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.decode import decode
from phoneproof.decode.results import Detections
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from tests.integration.tflite_ssd import CELLS, CLASSES, NAMES, SIDE, options, ssd_file


def _image() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(3).uniform(0, 1, (1, SIDE, SIDE, 3)).astype(np.float32)


def _inspected(path: Path, *, regular: bool) -> Inspection:
    path.write_bytes(ssd_file(options(regular=regular)))
    return TfliteSource().inspect(path)


def _binding(inspection: Inspection, contract: Contract) -> Binding:
    assert inspection.head is not None
    image = InputBinding(tensor="image", shape=(1, SIDE, SIDE, 3), layout="NHWC")
    return Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(image,),
        outputs=inspection.head.outputs,
        anchors=inspection.head.anchors,
    )


def _found(path: Path, inspection: Inspection) -> Detections:
    contract = infer_contract(inspection, name="ssd").contract
    session = TfliteSource().open(path, size=(SIDE, SIDE), batch=1)
    outputs = session.run({session.inputs[0].name: _image()})
    found = decode(
        outputs, contract, _binding(inspection, contract), to_original=lambda boxes: boxes
    )
    assert isinstance(found, Detections)
    return found


@pytest.mark.parametrize("regular", [True, False], ids=["in_each_class", "over_all_classes"])
def test_decode_equals_the_operator(regular: bool, tmp_path: Path) -> None:
    path = tmp_path / "ssd.tflite"
    found = _found(path, _inspected(path, regular=regular))
    whole = LiteRtRuntime().open(path, threads=1)
    boxes, classes, scores, count = (
        values[0] for values in whole.run({whole.inputs[0].name: _image()}).values()
    )
    kept = int(count)
    assert 3 <= kept == len(found.scores)
    corners = boxes[:kept, [1, 0, 3, 2]] * SIDE
    np.testing.assert_allclose(found.scores, scores[:kept], atol=1e-6)
    # The operator's classes leave the background out; labels begin with it.
    assert found.classes.tolist() == (classes[:kept] + 1).astype(int).tolist()
    np.testing.assert_allclose(found.boxes, corners, atol=1e-3)


def test_wrong_variances_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tflite"
    inspection = _inspected(path, regular=True)
    right = _found(path, inspection)
    assert inspection.head is not None
    boxes, scores = inspection.head.outputs
    assert boxes.box is not None
    plain = msgspec.structs.replace(boxes.box, variances=None)
    wrong = msgspec.structs.replace(boxes, box=plain)
    head = msgspec.structs.replace(inspection.head, outputs=(wrong, scores))
    other = _found(path, msgspec.structs.replace(inspection, head=head))
    same = min(len(right.boxes), len(other.boxes))
    assert np.abs(right.boxes[:same] - other.boxes[:same]).max() > 0.5


def test_the_contract_carries_the_options(tmp_path: Path) -> None:
    inspection = _inspected(tmp_path / "ssd.tflite", regular=False)
    contract = infer_contract(inspection, name="ssd").contract
    assert contract.decode is not None
    assert contract.decode.nms is not None
    assert contract.decode.confidence == pytest.approx(0.55)
    assert contract.decode.nms.iou == pytest.approx(0.5)
    assert contract.decode.nms.class_agnostic
    assert contract.decode.nms.max_detections == 20
    assert len(contract.labels) == CLASSES + 1
    assert contract.labels[0] is None
    assert [spec.name for spec in inspection.outputs] == list(NAMES)


def test_the_original_is_untouched_and_the_hub_equals_it(tmp_path: Path) -> None:
    path = tmp_path / "ssd.tflite"
    _inspected(path, regular=True)
    before = path.read_bytes()
    source = TfliteSource()
    session = source.open(path, size=(SIDE, SIDE), batch=1)
    expected = session.run({session.inputs[0].name: _image()})
    _, export = source.importers(path, size=(SIDE, SIDE), batch=1)[0]
    found = export().module()(torch.from_numpy(_image()))
    assert path.read_bytes() == before
    assert [value.shape for value in expected.values()] == [
        (1, CELLS * CELLS, 4),
        (1, CELLS * CELLS, CLASSES + 1),
    ]
    for ours, theirs in zip(found, expected.values(), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\x00" * 8, b"\xff" * 64, options(regular=True)[:-3], options(regular=True)[5:]],
)
def test_damaged_options_are_refused(damaged: bytes, tmp_path: Path) -> None:
    path = tmp_path / "ssd.tflite"
    path.write_bytes(ssd_file(damaged))
    with pytest.raises(InvalidInput, match="PostProcess"):
        TfliteSource().inspect(path)
