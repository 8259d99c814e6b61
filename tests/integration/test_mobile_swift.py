"""The Swift package that phones use, built and tested on Linux against the golden vectors.

What needs Apple's frameworks lies behind ``canImport``; it is type-checked against stubs.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass

import msgspec
import pytest

from phoneproof.core.device_results import DeviceResults
from tests.integration.mobile_swift_build import FLAGS, VECTORS, built
from tests.integration.swift_chroot import Swift
from tests.vectors.random_cases import main as write_random_cases

pytestmark = pytest.mark.timeout(1800)

AREAS = sorted(path.stem for path in VECTORS.glob("*.json") if path.stem != "schema")
STUBS = ("CoreVideo", "CoreML", "CoreGraphics", "ImageIO", "UIKit")
"""In the order in which they import each other."""
RANDOM_CASES = 500
SEED = 20261122
_COUNT = re.compile(r"^phoneproof-vectors (\S+)\.json (\S+) (\d+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """The package's own tests, run once. said: by the compiler; tested: by the tests."""

    swift: Swift
    said: str
    tested: str

    @property
    def counts(self) -> dict[tuple[str, str], int]:
        """Cases that ran, by file and area."""
        return {(file, area): int(n) for file, area, n in _COUNT.findall(self.tested)}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    package = built(tmp_path_factory)
    random = package.folder / "random.json"
    assert write_random_cases([str(RANDOM_CASES), str(SEED), str(random)]) == 0
    tested = package.test(
        "--skip PhoneproofLiteRTTests",  # they have a file of their own, with real models
        PHONEPROOF_VECTORS="/work/vectors",
        PHONEPROOF_VECTORS_EXTRA="/work/random.json",
        PHONEPROOF_DEVICE_RESULTS="/work/device-results.json",
    )
    return Run(swift=package.swift, said=package.said, tested=tested)


def test_it_compiles_without_a_warning(run: Run) -> None:
    assert "warning:" not in run.said


def test_every_test_passes(run: Run) -> None:
    assert "0 failures" in run.tested
    assert "skipped" not in run.tested


@pytest.mark.parametrize("area", AREAS)
def test_every_case_of_every_area_ran(run: Run, area: str) -> None:
    listed = msgspec.json.decode((VECTORS / f"{area}.json").read_bytes())["cases"]
    assert run.counts[area, area] == len(listed)


def test_sizes_that_no_file_lists_ran(run: Run) -> None:
    assert run.counts["random", "tensor"] == RANDOM_CASES


def test_one_wrong_expectation_is_noticed(run: Run) -> None:
    """The control: the comparison fails where a vector says something else."""
    broken = run.swift.folder / "broken"
    shutil.copytree(VECTORS, broken)
    text = (broken / "gray.json").read_text()
    digest = re.findall(r'"sha256": ?"([0-9a-f]{64})"', text)[3]
    (broken / "gray.json").write_text(text.replace(digest, "0" * 64))
    done = run.swift.run(
        f"cd ios && swift test --skip-build {FLAGS} --filter testGray",
        {"PHONEPROOF_VECTORS": "/work/broken"},
    )
    assert done.returncode != 0
    assert "instead of" in done.stdout


def test_the_self_test_writes_the_published_schema(run: Run) -> None:
    data = (run.swift.folder / "device-results.json").read_bytes()
    results = msgspec.json.decode(data, type=DeviceResults)
    states = [one.state for one in results.accelerators]
    assert states == ["failed", "ran", "ran", "unavailable"]
    assert results.device.model == "iPhone17,3"


def test_what_is_apples_own_fits_the_stubs(run: Run) -> None:
    stubs = [
        f"swiftc -parse-as-library -emit-module -I st -module-name {name} "
        f"-emit-module-path st/{name}.swiftmodule ios/Tests/AppleStubs/{name}.swift"
        for name in STUBS
    ]
    core, apple = (
        f"$(find ios/Sources/{name} -type f)" for name in ("PhoneproofCore", "Phoneproof")
    )
    sources = [
        "swiftc -swift-version 6 -parse-as-library -emit-module -module-name PhoneproofCore "
        f"-emit-module-path st/PhoneproofCore.swiftmodule {core}",
        f"swiftc -swift-version 6 -typecheck -I st -module-name Phoneproof {apple}",
    ]
    assert run.swift.succeed(" && ".join(["mkdir -p st", *stubs, *sources])) == ""


def test_the_sources_are_formatted(run: Run) -> None:
    places = "ios/Package.swift ios/Sources ios/Tests"
    assert run.swift.succeed(f"swift-format lint --strict --recursive {places}") == ""
