"""The Kotlin library's pixels, tables and decode against the golden vectors, on the JVM."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from tests.integration.maven_runs import TIMEOUT, maven
from tests.integration.mobile_android_build import run_maven
from tests.vectors.files import AREAS, FOLDER
from tests.vectors.random_cases import main as write_random_cases

pytestmark = pytest.mark.timeout(TIMEOUT)

RANDOM_CASES = 500
SEED = 20261123
"""Another one than the Swift suite's: more sizes are seen."""
_PARAMETER = re.compile(r"\[(.+)\]$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """One test class: names of its tests, those that did not pass, and what it printed."""

    names: Sequence[str]
    not_passed: Sequence[str]
    said: str


class _Case(msgspec.Struct, frozen=True):
    id: str


class _File(msgspec.Struct, frozen=True):
    area: str
    cases: tuple[_Case, ...]


def _built(folder: Path, *properties: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    """``mvn test`` of the module core in a scratch copy; the tree itself is left alone."""
    done = run_maven(maven(), folder, "-pl", "core", *properties)
    return done, folder / "mobile" / "android" / "core" / "target" / "surefire-reports"


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Report]:
    folder = tmp_path_factory.mktemp("kotlin")
    extra = folder / "random.json"
    assert write_random_cases([str(RANDOM_CASES), str(SEED), str(extra)]) == 0
    done, written = _built(folder, f"-Dphoneproof.vectors.extra={extra}")
    assert done.returncode == 0, done.stdout[-6000:]
    return {path.stem.rpartition(".")[2]: _report(path) for path in written.glob("TEST-*.xml")}


def _report(path: Path) -> Report:
    root = ElementTree.parse(path).getroot()
    tests = root.findall("testcase")
    bad = [t for t in tests if any(t.find(k) is not None for k in ("failure", "error", "skipped"))]
    return Report(
        names=[test.attrib["name"] for test in tests],
        not_passed=[test.attrib["name"] for test in bad],
        said="".join(out.text or "" for out in root.iter("system-out")),
    )


def test_every_case_of_every_vector_file_ran(reports: Mapping[str, Report]) -> None:
    wanted: list[str] = []
    for area in AREAS:
        file = msgspec.json.decode((FOLDER / f"{area}.json").read_bytes(), type=_File)
        assert file.area == area
        wanted += [case.id for case in file.cases]
    ran = [match[1] for name in reports["VectorsTest"].names if (match := _PARAMETER.search(name))]
    assert sorted(ran) == sorted(wanted)
    combinations = [name for name in ran if name.startswith(("resize-", "geometry-", "tensor-"))]
    assert len(combinations) >= 300


def test_sizes_that_no_file_lists_agree(reports: Mapping[str, Report]) -> None:
    assert f"phoneproof.random.cases={RANDOM_CASES}" in reports["RandomCasesTest"].said


@pytest.mark.parametrize(
    "name",
    [
        "AllocationTest",
        "ContractErrorsTest",
        "ImageErrorsTest",
        "DecoderErrorsTest",
        "MutationTest",
    ],
)
def test_each_suite_ran(reports: Mapping[str, Report], name: str) -> None:
    assert reports[name].names


def test_nothing_was_skipped(reports: Mapping[str, Report]) -> None:
    assert [name for report in reports.values() for name in report.not_passed] == []
