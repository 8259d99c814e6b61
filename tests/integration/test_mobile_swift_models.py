"""Real models from Swift on Linux: pixels, the LiteRT C library, results; equal to Python's."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest

from phoneproof.core.device_results import DeviceResults, RecordedOutput
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.device_results import judge_device_results
from tests.assets import asset
from tests.integration.command_line import phoneproof
from tests.integration.conftest import write_project
from tests.integration.mobile_android_build import LITERT, write_run
from tests.integration.mobile_pictures import write_pictures
from tests.integration.mobile_swift_build import Built, built, write_raw
from tests.integration.swift_chroot import toolchain

pytestmark = pytest.mark.timeout(3600)

TFLITE: Final = "artifacts/model_float32.tflite"
INT8: Final = "artifacts/model_static_wi8_ai8.tflite"
NAMES: Final = ("colours", "faces", "weather", "weather-int8")
PICTURES: Final = 12
PIXELS, SCORE = 1e-4, 1e-6
"""Largest distance of a side of a box, and of a score, from Python's."""


class Result(msgspec.Struct, frozen=True):
    """One detection, or one class."""

    index: int
    label: str
    score: float
    box: tuple[float, ...] = ()


class Picture(msgspec.Struct, frozen=True):
    image: str
    results: tuple[Result, ...]


class Found(msgspec.Struct, frozen=True, rename="camel"):
    """What Swift wrote of one model. swapped: with red and blue the other way round."""

    accelerator: str
    why_not: tuple[str, ...]
    images: tuple[Picture, ...]
    swapped: tuple[Picture, ...]


class Best(msgspec.Struct, frozen=True):
    index: int


class Ran(msgspec.Struct, frozen=True):
    """A picture's ``result`` of ``phoneproof run --json``."""

    kind: str
    detections: tuple[Result, ...] = ()
    top: tuple[Best, ...] = ()
    probabilities: tuple[float, ...] = ()


class RanPicture(msgspec.Struct, frozen=True):
    image: str
    result: Ran


@dataclass(frozen=True, kw_only=True, slots=True)
class Runs:
    """The models' folders, and what the Swift tests wrote."""

    built: Built
    tested: str

    def bundle(self, name: str) -> Path:
        return self.built.folder / "runs" / name / "bundle"

    def found(self, name: str) -> Found:
        data = (self.built.folder / "out" / f"{name}.json").read_bytes()
        return msgspec.json.decode(data, type=Found)

    def expected(self, name: str) -> Sequence[RanPicture]:
        data = (self.built.folder / "runs" / name / "results.json").read_bytes()
        return msgspec.json.decode(data, type=tuple[RanPicture, ...])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    toolchain()  # asked for first: without it nothing is built only to be skipped
    home = tmp_path_factory.mktemp("projects")
    package = built(tmp_path_factory)
    folder = package.folder / "runs"
    folder.mkdir()
    colours = write_project(home / "colours")
    _run(folder / "colours", _bundle(colours, "colours.onnx", "val"), TFLITE, colours / "val")
    skies = sorted(asset("images/weather_val").rglob("*.jpg"))[::9]
    weather = home / "weather"
    sky = _pictures(weather, skies)
    checkpoint = asset("models/classify/yolov8n-cls_weather_best.pt")
    bundle = _bundle(weather, checkpoint, sky, precisions='"float32", "int8"')
    _run(folder / "weather", bundle, TFLITE, sky)
    _run(folder / "weather-int8", bundle, INT8, sky)
    people = [asset(f"images/single/{name}.jpg") for name in ("faces_10", "faces_11", "zidane")]
    faces = home / "faces"
    crowd = _pictures(faces, people)
    bundle = _bundle(faces, asset("models/detect/version-RFB-320.onnx"), crowd)
    _run(folder / "faces", bundle, TFLITE, crowd)
    (package.folder / "out").mkdir()
    tested = package.test(
        "--filter PhoneproofLiteRTTests",
        PHONEPROOF_LITERT=f"/work/{LITERT.name}",
        PHONEPROOF_RUNS="/work/runs",
        PHONEPROOF_OUT="/work/out",
    )
    return Runs(built=package, tested=tested)


def _pictures(project: Path, photographs: Sequence[Path]) -> Path:
    """Photographs, and some that are turned, grey, transparent and the like."""
    write_pictures(photographs, project / "pictures", count=PICTURES)
    return project / "pictures"


def _run(folder: Path, bundle: Path, model: str, pictures: Path) -> None:
    write_raw(write_run(folder, bundle, model, pictures))


def _bundle(
    project: Path, source: Path | str, images: Path | str, *, precisions: str = '"float32"'
) -> Path:
    init = phoneproof("init", source, "--images", images, cwd=project)
    assert init.code == 0, init.said
    config = project / "phoneproof.toml"
    text = config.read_text()
    android = f'[targets.android]\nformats = ["tflite"]\nprecisions = [{precisions}]\n\n'
    rest = text[text.index("[checks]") :]
    config.write_text(text[: text.index("[targets")] + android + rest)
    done = phoneproof("build", cwd=project)
    assert done.code == 0, done.said
    (bundle,) = (project / "dist").iterdir()
    return bundle


def difference(found: Picture, expected: RanPicture) -> str | None:
    """The first one of a picture's results; None where they are Python's."""
    if Path(expected.image).name != found.image:
        return f"{found.image} instead of {expected.image}"
    if expected.result.kind == "detections":
        return _box_difference(found.results, expected.result.detections)
    return _class_difference(found.results, expected.result)


def _box_difference(found: Sequence[Result], expected: Sequence[Result]) -> str | None:
    if len(found) != len(expected):
        return f"{len(found)} instead of {len(expected)} detections"
    for place, (one, other) in enumerate(zip(found, expected, strict=True)):
        if (one.index, one.label) != (other.index, other.label):
            return f"detection {place} is a {one.label}"
        if abs(one.score - other.score) > SCORE:
            return f"detection {place} has score {one.score}"
        if max(abs(a - b) for a, b in zip(one.box, other.box, strict=True)) > PIXELS:
            return f"detection {place} is at {one.box}"
    return None


def _class_difference(found: Sequence[Result], expected: Ran) -> str | None:
    if len(found) != len(expected.probabilities):
        return f"{len(found)} instead of {len(expected.probabilities)} classes"
    for one in found:
        if abs(one.score - expected.probabilities[one.index]) > SCORE:
            return f"class {one.label} has {one.score}"
    best = [one.index for one in expected.top]
    if [one.index for one in found[: len(best)]] != best:
        return f"the best is {found[0].label}"
    return None


def test_every_swift_test_passes(runs: Runs) -> None:
    assert "0 failures" in runs.tested
    assert "skipped" not in runs.tested


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_phoneproof_run(runs: Runs, name: str) -> None:
    found, expected = runs.found(name), runs.expected(name)
    assert len(found.images) == len(expected) == PICTURES
    for one, other in zip(found.images, expected, strict=True):
        assert difference(one, other) is None, one.image
    assert any(one.results for one in found.images)


@pytest.mark.parametrize("name", NAMES)
def test_swapped_colours_are_seen(runs: Runs, name: str) -> None:
    """The control: the comparison fails where red and blue are the other way round."""
    found, expected = runs.found(name), runs.expected(name)
    pairs = zip(found.swapped, expected, strict=True)
    assert sum(difference(one, other) is not None for one, other in pairs) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_the_accelerator_is_named_with_the_others(runs: Runs, name: str) -> None:
    found = runs.found(name)
    chosen = {found.accelerator, *(one.partition(":")[0] for one in found.why_not)}
    assert chosen == {"CPU, 4 threads", "CPU, 2 threads", "CPU, 1 thread"}
    assert all(": slower, " in one for one in found.why_not)


@pytest.mark.parametrize("name", NAMES)
def test_the_self_test_writes_results_that_are_judged(
    runs: Runs, name: str, tmp_path: Path
) -> None:
    results = runs.built.folder / "out" / f"{name}-device-results.json"
    document = msgspec.json.decode(results.read_bytes(), type=DeviceResults)
    assert document.engine == "LiteRT"
    assert [one.threads for one in document.accelerators] == [4, 2, 1]
    bundle = read_bundle(runs.bundle(name))
    report = judge_device_results(bundle, results).report
    assert report.verdict == "pass"
    for one in report.accelerators:
        checks = {check.name: check.verdict for check in one.checks}
        assert checks["golden_pixels"] == "pass"
        assert set(checks.values()) == {"pass"}
    spoiled = tmp_path / "device-results.json"
    spoiled.write_bytes(msgspec.json.encode(_spoiled(document)))
    assert judge_device_results(bundle, spoiled).report.verdict == "fail"


def _spoiled(document: DeviceResults) -> DeviceResults:
    """The control: every output of one accelerator back to front."""
    (one, *others) = document.accelerators
    vectors = tuple(
        msgspec.structs.replace(
            vector, outputs=tuple(map(_reversed, vector.outputs)), classes=None, boxes=None
        )
        for vector in one.vectors
    )
    one = msgspec.structs.replace(one, vectors=vectors)
    return msgspec.structs.replace(document, accelerators=(one, *others))


def _reversed(output: RecordedOutput) -> RecordedOutput:
    values = np.frombuffer(base64.b64decode(output.values), output.dtype)[::-1]
    return msgspec.structs.replace(output, values=base64.b64encode(values.tobytes()).decode())
