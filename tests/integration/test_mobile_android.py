"""The Android library, built by Maven without an SDK and run on real bitmaps and models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.device_results import DeviceResults
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.device_results import judge_device_results
from tests.assets import asset
from tests.integration.command_line import phoneproof
from tests.integration.conftest import write_project
from tests.integration.maven_runs import maven
from tests.integration.mobile_android_build import (
    Built,
    Counted,
    build,
    write_case,
    write_run,
)
from tests.integration.mobile_pictures import write_pictures

pytestmark = pytest.mark.timeout(3600)

TFLITE = "artifacts/model_float32.tflite"
INT8 = "artifacts/model_static_wi8_ai8.tflite"
PICTURES = 20
TARGETS = """[targets.android]
formats = ["tflite"]
precisions = [{precisions}]

[targets.server]
formats = ["onnx"]
precisions = ["float32"]

"""
SUITES = (
    "BadInputTest",
    "BundleRunsTest",
    "LongRunTest",
    "ModelFolderTest",
    "VisionModelTest",
    "WholePathAllocationTest",
    "acceleration.AcceleratedEngineTest",
    "acceleration.GoldenCheckTest",
    "acceleration.HangInUseTest",
    "image.BitmapReaderTest",
    "image.CameraFramesTest",
    "image.JpegEndTest",
    "image.PictureDecoderTest",
    "onnxruntime.OnnxRuntimeEnginesTest",
    "testing.LiteRtJnaTest",
    "tflite.TfLiteEnginesTest",
    "thermal.ThermalGovernorTest",
)


@pytest.fixture(scope="module")
def command() -> Path:
    """Asked for first: without it nothing is built only to be skipped."""
    return maven()


@pytest.fixture(scope="module")
def runs(command: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder a model: a classifier of our own, weather in float32 and int8, and UltraFace."""
    folder = tmp_path_factory.mktemp("runs")
    home = tmp_path_factory.mktemp("projects")
    colours = write_project(home / "colours")
    bundle = _bundle(colours, "colours.onnx", "val")
    write_run(folder / "colours", bundle, TFLITE, colours / "val")
    skies = sorted(asset("images/weather_val").rglob("*.jpg"))[::4]
    checkpoint = asset("models/classify/yolov8n-cls_weather_best.pt")
    weather = _photographed(home / "weather", checkpoint, skies, precisions='"float32", "int8"')
    _odd_run(folder / "weather", weather, TFLITE, skies)
    _odd_run(folder / "weather-int8", weather, INT8, skies)
    people = [asset(f"images/single/{name}.jpg") for name in ("faces_10", "faces_11", "zidane")]
    streets = sorted(asset("images/coco128_train/images").glob("*.jpg"))
    detector = asset("models/detect/version-RFB-320.onnx")
    faces = _photographed(home / "ultraface", detector, [*people, *streets[:9]])
    _odd_run(folder / "ultraface", faces, TFLITE, [*people, *streets])
    return folder


def _photographed(
    project: Path, source: Path, pictures: Sequence[Path], *, precisions: str = '"float32"'
) -> Path:
    """The bundle of a model, judged on some photographs."""
    photographs = project / "photographs"
    photographs.mkdir(parents=True)
    for path in pictures:
        shutil.copyfile(path, photographs / path.name)
    return _bundle(project, source, photographs, precisions=precisions)


def _odd_run(folder: Path, bundle: Path, model: str, photographs: Sequence[Path]) -> None:
    pictures = folder.parent.parent / f"{folder.name}-pictures"
    write_pictures(photographs, pictures, count=PICTURES)
    write_run(folder, bundle, model, pictures)


def _bundle(
    project: Path, source: Path | str, images: Path | str, *, precisions: str = '"float32"'
) -> Path:
    init = phoneproof("init", source, "--images", images, cwd=project)
    assert init.code == 0, init.said
    config = project / "phoneproof.toml"
    text = config.read_text()
    rest = text[text.index("[checks]") :]
    targets = TARGETS.format(precisions=precisions)
    config.write_text(text[: text.index("[targets")] + targets + rest)
    done = phoneproof("build", cwd=project)
    assert done.code == 0, done.said
    (bundle,) = (project / "dist").iterdir()
    return bundle


@pytest.fixture(scope="module")
def built(command: Path, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    cases = tmp_path_factory.mktemp("cases")
    bundle = runs / "colours" / "bundle"
    properties = {
        "phoneproof.runs": runs,
        "phoneproof.litert.case": write_case(cases / "tflite", bundle / TFLITE),
        "phoneproof.onnx.case": write_case(cases / "onnx", next(bundle.glob("artifacts/*.onnx"))),
    }
    return build(command, tmp_path_factory.mktemp("android"), properties)


def names(runs: Path) -> Sequence[str]:
    return [folder.name for folder in sorted(runs.iterdir())]


def test_every_suite_passes_and_nothing_is_left_out(built: Built) -> None:
    assert built.code == 0, built.said[-8000:]
    own = {f"ai.phoneproof.{name}" for name in SUITES}
    assert set(built.suites) >= own
    for suite in built.suites.values():
        assert suite.tests > 0
        assert suite.failed == 0
        # The core's suite of random sizes runs elsewhere, with the cases it takes.
        assert not suite.skipped or suite.name not in own, suite


def test_results_are_those_of_phoneproof_run(built: Built, runs: Path) -> None:
    for name in names(runs):
        counted = msgspec.json.decode((built.out / f"{name}-runs.json").read_bytes(), type=Counted)
        assert counted.images == len(list((runs / name / "images").iterdir()))
        assert counted.results >= counted.images
        assert [one for one in counted.differing if not one.colour_managed] == []
        assert counted.accelerator.startswith("CPU, ")


def test_the_self_test_writes_results_that_are_judged(built: Built, runs: Path) -> None:
    for name in names(runs):
        results = built.out / f"{name}-device-results.json"
        document = msgspec.json.decode(results.read_bytes(), type=DeviceResults)
        assert document.device.os == "Android"
        assert [one.threads for one in document.accelerators] == [4, 2, 1]
        assert sum(one.sustained is not None for one in document.accelerators) == 1
        report = judge_device_results(read_bundle(runs / name / "bundle"), results).report
        assert report.verdict == "pass"
        for one in report.accelerators:
            checks = {check.name: check.verdict for check in one.checks}
            assert checks["golden_pixels"] == "pass"
            assert set(checks.values()) == {"pass"}


def test_altered_results_are_refused(built: Built, runs: Path, tmp_path: Path) -> None:
    """The control: outputs that the device did not give."""
    text = (built.out / "colours-device-results.json").read_bytes()
    document = msgspec.json.decode(text, type=DeviceResults)
    (one, *others) = document.accelerators
    # Two on: the next one is the same picture as JPEG.
    others_outputs = [vector.outputs for vector in (*one.vectors[2:], *one.vectors[:2])]
    vectors = tuple(
        msgspec.structs.replace(vector, outputs=outputs, classes=None)
        for vector, outputs in zip(one.vectors, others_outputs, strict=True)
    )
    one = msgspec.structs.replace(one, vectors=vectors)
    spoiled = msgspec.structs.replace(document, accelerators=(one, *others))
    path = tmp_path / "device-results.json"
    path.write_bytes(msgspec.json.encode(spoiled))
    report = judge_device_results(read_bundle(runs / "colours" / "bundle"), path).report
    assert report.verdict == "fail"


def test_a_dump_is_the_contracts_own_tensor(built: Built, runs: Path) -> None:
    for name in names(runs):
        bundle = runs / name / "bundle"
        dump = built.out / f"{name}-pixels.bin"
        picture = bundle / "golden/pictures/landscape.png"
        words = ("pixels", picture, "--artifact", bundle / TFLITE, "--against", dump)
        done = phoneproof(*words, cwd=built.out)
        assert done.code == 0, done.said
        assert "identical" in done.out
