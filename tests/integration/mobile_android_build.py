"""Maven on a scratch copy of ``mobile``, and what its tests look at."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import ai_edge_litert
import msgspec
import numpy as np

from phoneproof.runtimes.backends.litert import LiteRtRuntime
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from phoneproof.runtimes.base import Runtime
from tests.assets import ROOT
from tests.integration.command_line import phoneproof
from tests.integration.maven_runs import run_alone

LITERT = Path(ai_edge_litert.__file__).parent / "libLiteRt.so"


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """One test class as surefire reports it: numbers of tests."""

    name: str
    tests: int
    failed: int
    skipped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A finished run. out: what the Kotlin tests wrote for this side."""

    code: int
    said: str
    out: Path
    suites: Mapping[str, Suite]


def build(command: Path, folder: Path, properties: Mapping[str, Path]) -> Built:
    """Compile and test everything under ``mobile/android``; the tree itself is left alone."""
    out = folder / "out"
    out.mkdir()
    given = {**properties, "phoneproof.litert": LITERT, "phoneproof.out": out}
    done = run_maven(command, folder, *(f"-D{name}={value}" for name, value in given.items()))
    return Built(code=done.returncode, said=done.stdout, out=out, suites=suites(folder))


def run_maven(command: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``mvn test`` in ``folder/mobile/android``, a copy of the tree's beside the vectors."""
    ignored = shutil.ignore_patterns("target", ".build")
    for part in ("android", "vectors"):
        shutil.copytree(ROOT / "mobile" / part, folder / "mobile" / part, ignore=ignored)
    return run_alone(command, folder / "mobile" / "android", "-q", "test", *words)


def suites(folder: Path) -> dict[str, Suite]:
    """The test classes of a copy that was built, by name."""
    reports = (folder / "mobile" / "android").rglob("surefire-reports/TEST-*.xml")
    return {suite.name: suite for suite in map(_suite, reports)}


def _suite(report: Path) -> Suite:
    root = ElementTree.parse(report).getroot()
    cases = root.findall("testcase")
    return Suite(
        name=root.attrib["name"],
        tests=len(cases),
        failed=sum(case.find("failure") is not None or case.find("error") is not None
                   for case in cases),
        skipped=tuple(case.attrib["name"] for case in cases if case.find("skipped") is not None),
    )  # fmt: skip


def write_run(folder: Path, bundle: Path, model: str, images: Path) -> Path:
    """What BundleRunsTest reads of one model: pictures in one folder, and our own results."""
    shutil.copytree(bundle, folder / "bundle")
    (folder / "model.txt").write_text(model)
    (folder / "images").mkdir()
    for path in sorted(images.rglob("*.*")):
        name = "-".join(path.relative_to(images).parts)
        shutil.copyfile(path, folder / "images" / name)
    done = phoneproof("run", f"bundle/{model}", "images", "--json", cwd=folder)
    assert done.code == 0, done.said
    (folder / "results.json").write_text(done.out)
    return folder


def write_case(folder: Path, model: Path) -> Path:
    """A model file, an input and the outputs that Python's runtime gives for it."""
    runtime: Runtime = OnnxRuntime() if model.suffix == ".onnx" else LiteRtRuntime()
    folder.mkdir(parents=True)
    shutil.copyfile(model, folder / f"model{model.suffix}")
    session = runtime.open(model, threads=1)
    (spec,) = session.inputs
    tensor = np.random.default_rng(5).random(spec.shape, dtype=np.float32)
    tensor.tofile(folder / "input.bin")
    for name, values in session.run({spec.name: tensor}).items():
        values.tofile(folder / f"{name}.bin")
    return folder


class Unlike(msgspec.Struct, frozen=True, kw_only=True):
    """A picture whose results are not Python's, and the first difference."""

    image: str
    fault: str
    colour_managed: bool


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """What BundleRunsTest saw of one model.

    results: detections or classes that were compared. colour_managed: pictures whose colours
    Android would convert. The largest differences are of pictures that are alike.
    """

    images: int
    results: int
    colour_managed: int
    largest_score_difference: float
    largest_box_difference: float
    differing: tuple[Unlike, ...]
    accelerator: str
