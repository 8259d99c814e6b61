"""The Swift kit of a real bundle, built on Linux against stubs of Apple's frameworks.

The stubs replay what was recorded, so that everything else that ships is compiled and runs: the
reading of vectors, the inputs, Core ML's arrays and pictures, and the document that is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from phoneproof.core.device_results import DeviceResults
from phoneproof.core.report import Report
from phoneproof.package.apple_kit import KIT, PAYLOAD
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.device_results import judge_device_results
from phoneproof.pipeline.verify_bundle import Verification
from tests.integration.apple_kit_replay import Change, Replay, with_stubs
from tests.integration.command_line import phoneproof
from tests.integration.conftest import write_project
from tests.integration.swift_chroot import Swift, toolchain
from tests.unit import device_samples

pytestmark = pytest.mark.timeout(1800)

ID = "coreml-float32"
BUILT_PAYLOAD = ".build/debug/PhoneproofVerify_PhoneproofVerify.resources/Payload"


@pytest.fixture(scope="module")
def chroot() -> Path:
    """Asked for first: without it nothing is built only to be skipped."""
    return toolchain()


@pytest.fixture(scope="module")
def shipped(chroot: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with one Core ML artifact that takes pictures, made as users make it."""
    folder = write_project(tmp_path_factory.mktemp("apple"))
    init = phoneproof("init", "colours.onnx", "--images", "val", cwd=folder)
    assert init.code == 0, init.said
    config = folder / "phoneproof.toml"
    text = config.read_text()
    ios = '[targets.ios]\nformats = ["coreml"]\nprecisions = ["float32"]\n'
    config.write_text(text[: text.index("[targets")] + ios)
    build = phoneproof("build", "--json", cwd=folder)
    assert build.code == 0, build.said
    return folder / "dist" / "colours-1.0.0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kit:
    """The kit, built with stubs. said: by the compiler."""

    swift: Swift
    said: str

    @property
    def folder(self) -> Path:
        return self.swift.folder

    def measure(self, *arguments: str, **env: str) -> tuple[int, str, Path]:
        """Run the command; exit code, what it said, and the document."""
        results = self.folder / "out" / f"device-results-{ID}.json"
        results.unlink(missing_ok=True)
        words = " ".join(("kit/.build/debug/phoneproof-verify --output out", *arguments))
        done = self.swift.run(words, {"PHONEPROOF_REPLAY": "/work/replay", **env})
        return done.returncode, done.stdout, results

    @contextmanager
    def payload(self, source: Path) -> Iterator[Path]:
        """Another bundle's payload in place of the kit's own, for some time."""
        place = self.folder / "kit" / BUILT_PAYLOAD
        kept = place.with_name("kept")
        place.rename(kept)
        try:
            yield Path(shutil.copytree(source, place))
        finally:
            shutil.rmtree(place)
            kept.rename(place)


@pytest.fixture(scope="module")
def kit(chroot: Path, shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Kit:
    swift = Swift(root=chroot, folder=tmp_path_factory.mktemp("swift"))
    with_stubs(shipped / KIT, swift.folder / "kit")
    said = swift.succeed("cd kit && swift build --build-tests")
    return Kit(swift=swift, said=said)


def replay(kit: Kit, bundle: Path, *, picture: bool, change: Change | None = None) -> None:
    one = Replay(bundle=read_bundle(bundle), folder=kit.folder / "replay")
    one.write(picture=picture, change=change or (lambda _, values: values))


def test_everything_compiles_without_a_warning(kit: Kit) -> None:
    assert "Build complete" in kit.said
    assert "warning:" not in kit.said
    for file in ("CoreMLEngine.swift", "CoreAIEngine.swift", "VerifyView.swift"):
        assert file in kit.said


def test_swift_tests_pass(kit: Kit, shipped: Path) -> None:
    replay(kit, shipped, picture=True)
    done = kit.swift.succeed(
        "cd kit && swift test --skip-build", {"PHONEPROOF_REPLAY": "/work/replay"}
    )
    for name in ("TensorTests", "DistanceTests", "LooksRightTests", "ModelTests"):
        assert f"Test Suite '{name}' passed" in done
    assert "0 failures" in done
    assert "skipped" not in done


def test_the_sources_are_formatted(kit: Kit) -> None:
    places = "kit/Sources kit/Tests"
    assert kit.swift.succeed(f"swift-format lint --strict --recursive {places}") == ""


def test_results_are_judged_and_added(kit: Kit, shipped: Path, tmp_path: Path) -> None:
    replay(kit, shipped, picture=True)
    code, said, results = kit.measure("--sustained", "0.2")
    assert code == 0, said
    bundle = Path(shutil.copytree(shipped, tmp_path / "bundle"))
    done = phoneproof("verify", bundle, "--results", results, "--json", cwd=tmp_path)
    assert done.code == 0, done.said
    device = msgspec.json.decode(done.out, type=Verification).devices[0]
    assert (device.artifact, device.verdict) == (ID, "pass")
    assert [one.title for one in device.accelerators] == [
        "CPU", "CPU and GPU", "CPU and Neural Engine", "all units"
    ]  # fmt: skip
    for one in device.accelerators:
        names = [check.name for check in one.checks]
        assert names == ["golden_outputs", "snr_db", "golden_results"]
        assert one.latency is not None
        assert one.latency.n == 50
        assert one.sustained is not None
        assert one.placed == (("npu", 2),)
    report = msgspec.json.decode((bundle / "report.json").read_bytes(), type=Report)
    assert report.devices == (device,)
    assert (bundle / device.file).read_bytes() == results.read_bytes()
    again = phoneproof("verify", bundle, cwd=tmp_path)
    assert again.code == 0, again.said


def test_one_wrong_value_is_refused(kit: Kit, shipped: Path, tmp_path: Path) -> None:
    def fault(case: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> object:
        values[0] += 0.05 if case == "portrait-png" else 0
        return values

    replay(kit, shipped, picture=True, change=fault)  # type: ignore[arg-type]
    code, said, results = kit.measure()
    assert code == 1, said
    bundle = Path(shutil.copytree(shipped, tmp_path / "bundle"))
    done = phoneproof("verify", bundle, "--results", results, cwd=tmp_path)
    assert done.code == 7, done.said
    assert f"{ID} failed on" in done.out
    assert "refused" in done.out
    report = msgspec.json.decode((bundle / "report.json").read_bytes(), type=Report)
    failed = {c.name for c in report.devices[0].accelerators[0].checks if c.verdict == "fail"}
    assert failed == {"golden_outputs", "snr_db", "golden_results"}


def test_another_input_than_recorded_is_noticed(kit: Kit, shipped: Path) -> None:
    """The control of the replay: it knows the right inputs to the last bit."""
    replay(kit, shipped, picture=True)
    with kit.payload(shipped / KIT / PAYLOAD) as payload:
        file = payload / "pixels" / "rings-png.bin"
        data = bytearray(file.read_bytes())
        data[1000] ^= 1
        file.write_bytes(bytes(data))
        code, said, results = kit.measure()
    assert code == 1
    assert "failed (unknownInput)" in said
    report = judge_device_results(read_bundle(shipped), results).report
    assert report.verdict == "fail"


@pytest.mark.parametrize("damage", ["weights", "vector", "index"])
def test_what_is_not_as_built_stops_the_kit(kit: Kit, shipped: Path, damage: str) -> None:
    replay(kit, shipped, picture=True)
    with kit.payload(shipped / KIT / PAYLOAD) as payload:
        package = payload / "artifacts" / "model_float32.mlpackage"
        vector = next((payload / "golden" / "tensors").rglob("output0.bin"))
        index = payload / "golden" / "index.json"
        files = {"weights": next(package.rglob("*.mlmodel")), "vector": vector, "index": index}
        data = bytearray(files[damage].read_bytes())
        data[-3] ^= 1
        files[damage].write_bytes(bytes(data))
        code, said, results = kit.measure()
    assert code == 2
    assert {"weights": "its hash is", "vector": "not as it was built", "index": ""}[damage] in said
    assert not results.exists()


def test_a_device_without_a_neural_engine(kit: Kit, shipped: Path) -> None:
    replay(kit, shipped, picture=True)
    code, said, results = kit.measure(PHONEPROOF_NO_NEURAL_ENGINE="1")
    assert code == 0, said
    report = judge_device_results(read_bundle(shipped), results).report
    assert report.verdict == "pass"
    missing = report.accelerators[2]
    assert (missing.state, missing.verdict) == ("unavailable", None)
    assert missing.reason == "no Neural Engine on this device"


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_models_that_take_tensors(kit: Kit, tmp_path: Path, task: str) -> None:
    """The input tensor is made by a table in Swift; its hash is that of ours."""
    sample = device_samples.ship(tmp_path / "bundle", task)
    replay(kit, sample.folder, picture=False)
    with kit.payload(sample.folder / KIT / PAYLOAD):
        code, said, results = kit.measure()
    assert code == 0, said
    document = msgspec.json.decode(results.read_bytes(), type=DeviceResults)
    recorded = {c.id: c.expected.artifacts[0].input.sha256 for c in sample.golden.cases}
    for one in document.accelerators:
        assert {v.case: v.input_sha256 for v in one.vectors}.items() <= recorded.items()
        assert len(one.vectors) == 8
    report = judge_device_results(sample.bundle, results).report
    assert report.verdict == "pass"
    assert "golden_pixels" in [check.name for check in report.accelerators[0].checks]


def test_without_apples_frameworks_the_kit_says_so(
    chroot: Path, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What ships, unchanged, where there is neither Core ML nor Core AI."""
    swift = Swift(root=chroot, folder=tmp_path_factory.mktemp("plain"))
    shutil.copytree(shipped / KIT, swift.folder / "kit")
    said = swift.succeed("cd kit && swift build --product phoneproof-verify")
    assert "warning:" not in said
    done = swift.run("kit/.build/debug/phoneproof-verify")
    assert done.returncode == 2
    assert "Core ML is not on this system" in done.stdout


def test_the_command_explains_itself(kit: Kit) -> None:
    code, said, _ = kit.measure("--fast")
    assert (code, said.partition(":")[0]) == (2, "usage")
    code, said, _ = kit.measure("tflite-float32")
    assert code == 2
    assert ID in said
