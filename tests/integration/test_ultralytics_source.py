"""Real Ultralytics checkpoints: read without running them, rebuilt, equal to the reference."""

from __future__ import annotations

import json
import os
import pickle
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phoneproof.capture.backends.ultralytics.source import UltralyticsSource
from phoneproof.capture.base import SOURCES, Source
from phoneproof.core.binding import InputBinding
from phoneproof.core.errors import ConfigError, InvalidInput, PhoneproofError, Unsupported
from phoneproof.core.presets import preset_input
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.base import Session
from tests.assets import asset
from tests.integration.ultralytics_files import (
    Edit,
    changed,
    class_replaced,
    float_replaced,
    pickled,
    text_replaced,
)

DETECT = "models/detect/yolov8n_coco_rebuilt.pt"
FACES = "models/detect/yolov5n_face.pt"
CLASSIFY = "models/classify/yolov8n-cls_weather_best.pt"
PIXELS, SCORES = 1e-3, 1e-4
"""Limits of the difference from the recorded outputs."""

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def source() -> Source:
    return SOURCES.load("ultralytics")


def reference(image: str) -> tuple[Array, Array]:
    """Recorded input [1, 3, 640, 640] in 0..1 and raw output [1, 84, 8400]."""
    with np.load(asset("reference/ultralytics_yolov8n.npz")) as arrays:
        pixels, raw = arrays[f"{image}:letterbox_rgb"], arrays[f"{image}:raw"]
    scaled = (pixels.astype(np.float32) / np.float32(255)).transpose(2, 0, 1)[None]
    return np.ascontiguousarray(scaled), raw


def differences(session: Session, image: str) -> tuple[float, float]:
    """Largest difference from the reference: of the coordinates, of the scores."""
    tensor, raw = reference(image)
    error = np.abs(session.run({"image": tensor})["predictions"] - raw)
    return float(error[:, :4].max()), float(error[:, 4:].max())


@pytest.mark.parametrize("image", ["bus.jpg", "zidane.jpg"])
def test_the_detector_reproduces_the_recorded_outputs(source: Source, image: str) -> None:
    session = source.open(asset(DETECT), size=(640, 640), batch=1)
    pixels, scores = differences(session, image)
    assert pixels <= PIXELS
    assert scores <= SCORES


def test_one_corrupted_weight_is_seen(source: Source, tmp_path: Path) -> None:
    def flip(data: bytes) -> bytes:
        weights = np.frombuffer(data, np.float16).copy()
        weights[np.abs(weights).argmax()] *= -1
        return weights.tobytes()

    path = changed(asset(DETECT), tmp_path / "flipped.pt", storages={"0": flip})
    session = source.open(path, size=(640, 640), batch=1)
    pixels, scores = differences(session, "bus.jpg")
    assert pixels > PIXELS
    assert scores > SCORES


def probabilities(session: Session, image: Path) -> Array:
    spec = preset_input("ultralytics.classify", (64, 64))
    binding = InputBinding(tensor="image", shape=(1, 3, 64, 64), layout="NCHW")
    tensor = Preprocessor(spec, binding).prepare(read_image(image, spec)).tensor
    result: Array = session.run({"image": tensor})["probabilities"][0]
    return result


def test_the_classifier_reproduces_the_recorded_probabilities(source: Source) -> None:
    session = source.open(asset(CLASSIFY), size=(64, 64), batch=1)
    recorded = json.loads(asset("reference/ultralytics_weather.json").read_text())["probabilities"]
    assert len(recorded) == 34
    for image, expected in recorded.items():
        difference = np.abs(probabilities(session, asset(image)) - np.array(expected))
        assert difference.max() <= SCORES, image


def test_the_classifiers_own_batch_norm_constant_matters(source: Source, tmp_path: Path) -> None:
    """Control: eps is 1e-5 in this file and 1e-3 in detectors; the wrong one must show."""
    path = changed(asset(CLASSIFY), tmp_path / "eps.pt", float_replaced(1e-5, 1e-3))
    session = source.open(path, size=(64, 64), batch=1)
    recorded = json.loads(asset("reference/ultralytics_weather.json").read_text())["probabilities"]
    errors = [
        np.abs(probabilities(session, asset(image)) - np.array(expected)).max()
        for image, expected in recorded.items()
    ]
    assert max(errors) > SCORES


@pytest.mark.parametrize(
    ("model", "size", "batch"),
    [(DETECT, (640, 640), 1), (DETECT, (192, 320), 2), (CLASSIFY, (64, 64), 1)],
)
def test_the_exported_program_is_the_network(
    source: Source, model: str, size: tuple[int, int], batch: int
) -> None:
    session = source.open(asset(model), size=size, batch=batch)
    ((name, export),) = source.importers(asset(model), size=size, batch=batch)
    program = export()
    image = np.random.default_rng(3).random((batch, 3, *size), dtype=np.float32)
    (expected,) = session.run({"image": image}).values()
    with torch.inference_mode():
        result = program.module()(torch.from_numpy(image)).numpy()
    assert name == "rebuilt"
    assert expected.shape == session.outputs[0].shape
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)
    assert not program.range_constraints  # static shapes throughout


def test_the_session_refuses_other_tensors(source: Source) -> None:
    session = source.open(asset(CLASSIFY), size=(64, 64), batch=1)
    with pytest.raises(InvalidInput, match="shape"):
        session.run({"image": np.zeros((1, 3, 32, 32), np.float32)})
    with pytest.raises(InvalidInput):
        session.run({"images": np.zeros((1, 3, 64, 64), np.float32)})


def test_a_size_that_the_strides_do_not_divide(source: Source) -> None:
    with pytest.raises(ConfigError, match="multiple of 32"):
        source.open(asset(DETECT), size=(630, 640), batch=1)


def test_what_the_detector_says_of_itself(source: Source) -> None:
    found = source.inspect(asset(DETECT))
    assert (found.task, found.size, found.layout) == ("detect", (640, 640), "NCHW")
    assert found.preset == "ultralytics.detect"
    assert found.labels[:2] == ("person", "bicycle")
    assert len(found.labels) == 80
    assert found.head is not None
    boxes, scores = found.head.outputs
    assert (boxes.tensor, boxes.shape, boxes.slice) == ("predictions", (1, 84, 8400), (0, 4))
    assert boxes.box is not None
    assert (boxes.box.format, boxes.box.units) == ("cxcywh", "pixels")
    assert (scores.role, scores.slice, scores.activation) == ("scores", (4, 84), "none")
    assert ("mosaic", "1.0") in found.evidence.training
    assert not found.evidence.independent
    assert found.evidence.license == "AGPL-3.0 License"
    assert [(h.name, h.severity) for h in found.hazards] == [
        ("agpl_license", "warning"),
        ("unlike_ranges", "note"),
    ]


def test_what_the_classifier_says_of_itself(source: Source) -> None:
    found = source.inspect(asset(CLASSIFY))
    assert (found.task, found.size) == ("classify", (64, 64))
    assert found.labels == ("cloudy", "rain", "shine", "sunrise")
    metrics = dict(found.evidence.metrics)
    assert metrics["metrics/accuracy_top1"] == 0.96687
    assert found.evidence.framework == "ultralytics 8.3.141"
    transforms = {finding.key: finding.value for finding in found.findings}["source.transforms"]
    assert "Resize(size 64, interpolation bilinear" in transforms
    assert "mean 0/0/0, std 1/1/1" in transforms


def test_no_path_of_a_disk_is_kept(source: Source, tmp_path: Path) -> None:
    edit = text_replaced("./weather dataset", "/home/someone/secret/weather dataset")
    found = source.inspect(changed(asset(CLASSIFY), tmp_path / "best.pt", edit))
    assert ("data", "weather dataset") in found.evidence.training


def test_another_normalisation_is_a_hazard(source: Source, tmp_path: Path) -> None:
    mean = np.array([0.485, 0.456, 0.406], np.float32).tobytes()
    path = changed(asset(CLASSIFY), tmp_path / "a.pt", storages={"159": lambda _: mean})
    names = [hazard.name for hazard in source.inspect(path).hazards]
    assert "own_normalisation" in names


def test_the_ultralytics_package_is_not_needed(source: Source) -> None:
    source.open(asset(CLASSIFY), size=(64, 64), batch=1)
    assert not any(name.partition(".")[0] == "ultralytics" for name in sys.modules)


# What must be refused.


def refused(path: Path) -> PhoneproofError:
    with pytest.raises((InvalidInput, Unsupported)) as error:
        UltralyticsSource().open(path, size=(640, 640), batch=1)
    return error.value


class _Attack:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_that_would_run_code(tmp_path: Path, nested: bool) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    attack: object = _Attack(f"touch {marker}")
    with zipfile.ZipFile(path, "w") as archive:
        root = {"model": attack, "ema": None, "train_args": {"x": attack}} if nested else attack
        archive.writestr("evil/data.pkl", pickle.dumps(root, 2))
    error = refused(path)
    assert isinstance(error, InvalidInput)
    assert "system" in error.failed
    assert not marker.exists()


def test_code_beside_a_good_model_is_refused_and_not_run(tmp_path: Path) -> None:
    """The call stands in train_args of an otherwise whole checkpoint."""
    marker = tmp_path / "ran"
    call = b"cposix\nsystem\n" + pickled(f"touch {marker}") + b"\x85R"
    place = pickled("coco.yaml")
    path = changed(asset(DETECT), tmp_path / "evil.pt", lambda data: data.replace(place, call))
    error = refused(path)
    assert isinstance(error, InvalidInput)
    assert "hostile" in error.failed
    assert not marker.exists()
    pickle.loads(b"\x80\x02" + call + b".")  # the control: unpickled, it runs
    assert marker.exists()


HOSTILE_TEXT = "__import__('os').system('touch {marker}')"


@pytest.mark.parametrize("place", ["nn.Upsample", "nearest", "None"])
def test_an_architecture_that_would_run_code(tmp_path: Path, place: str) -> None:
    marker = tmp_path / "ran"
    code = HOSTILE_TEXT.format(marker=marker)

    path = changed(asset(DETECT), tmp_path / "evil.pt", text_replaced(place, code))
    error = refused(path)
    assert isinstance(error, InvalidInput)
    assert "__import__" in error.found
    assert not marker.exists()


def family(name: str) -> Edit:
    """The checkpoint's model is of another class."""
    module = "ultralytics.nn.tasks"
    return class_replaced(f"{module} DetectionModel", f"{module} {name}")


def activation(name: str) -> Edit:
    """Another activation everywhere."""
    module = "torch.nn.modules.activation"
    return class_replaced(f"{module} SiLU", f"{module} {name}")


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (family("PoseModel"), "PoseModel"),
        (family("WorldModel"), "WorldModel"),
        (activation("Hardswish"), "Hardswish"),
        (text_replaced("C2f", "A2C2f"), "A2C2f"),
        (text_replaced("SPPF", "SPPELAN"), "SPPELAN"),
        (text_replaced("Detect", "Segment"), "Segment"),
    ],
)
def test_families_that_are_not_rebuilt(tmp_path: Path, edit: Edit, named: str) -> None:
    error = refused(changed(asset(DETECT), tmp_path / "other.pt", edit))
    assert isinstance(error, Unsupported)
    assert named in error.failed
    assert "yolo export model=other.pt format=onnx opset=12" in error.next_step


def test_a_fork_of_yolov5_is_named_with_its_export_line(tmp_path: Path) -> None:
    fork = class_replaced("models.yolo Model", "models.yolo SegmentationModel")
    error = refused(changed(asset(FACES), tmp_path / "seg.pt", fork))
    assert isinstance(error, Unsupported)
    assert "YOLOv5" in error.failed
    assert "python export.py --weights seg.pt --include onnx" in error.next_step


def test_a_head_of_another_family(tmp_path: Path) -> None:
    """A table with anchors under a model of the other repository."""
    edit = class_replaced("models.yolo Model", "ultralytics.nn.tasks DetectionModel")
    error = refused(changed(asset(FACES), tmp_path / "a.pt", edit))
    assert isinstance(error, Unsupported)
    assert "another family's head" in error.failed


def test_blocks_of_another_family_do_not_fit_the_weights(tmp_path: Path) -> None:
    """Control: C2f and C3k2 differ in their links only; the shapes and the records must tell."""
    error = refused(changed(asset(DETECT), tmp_path / "a.pt", text_replaced("C2f", "C3k2")))
    assert isinstance(error, InvalidInput)
    assert "do not fit the architecture" in error.failed


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (text_replaced("running_mean", "running_average"), "missing: model.0.bn.running_mean"),
        (
            text_replaced("running_mean", "running_average"),
            "unexpected: model.0.bn.running_average",
        ),
        (float_replaced(0.25, 0.5), "another shape"),
        (text_replaced("running_var", "running_mean"), "missing"),
        (text_replaced("_modules", "_moduls"), "none recorded"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, edit: Edit, message: str) -> None:
    error = refused(changed(asset(DETECT), tmp_path / "a.pt", edit))
    assert isinstance(error, InvalidInput)
    assert message in str(error)


def test_a_module_that_is_not_as_described(tmp_path: Path) -> None:
    edit = text_replaced("kernel_size", "kernel_sise")
    assert "kernel_size" in refused(changed(asset(DETECT), tmp_path / "a.pt", edit)).found


def test_a_missing_storage(tmp_path: Path) -> None:
    path = changed(asset(DETECT), tmp_path / "a.pt", storages={"5": lambda _: b""})
    assert "storage 5" in refused(path).failed


@pytest.mark.parametrize(
    "name", ["bad_inputs/yolov5n_truncated_1MiB.pt", "bad_inputs/yolo11n_git-lfs-pointer.pt"]
)
def test_bad_downloads(source: Source, name: str) -> None:
    assert source.recognises(asset(name))
    assert isinstance(refused(asset(name)), InvalidInput)


def test_what_is_recognised(source: Source) -> None:
    assert source.recognises(asset(DETECT))
    assert not source.recognises(asset("models/detect/yolox_nano.onnx"))
    assert not source.recognises(asset("models"))
