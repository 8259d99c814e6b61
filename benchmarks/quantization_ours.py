"""Phoneproof's own int8: a build per half, as a user would run it, and what it says of itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quantization_figures import Candidate
from benchmarks.quantization_floats import Floats, Half
from phoneproof.core.artifact import tree_sha256
from phoneproof.core.dataset import ImageItem
from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.formats.read_back import macs_above_int8
from phoneproof.runtimes.embedded import read_embedded

TIMEOUT = 3600
ID, STRICT = "ours", "ours_strict"
TITLES = {ID: "phoneproof", STRICT: "phoneproof, held out"}
_TARGET = '[targets.android]\nprecisions = ["int8"]\n\n[checks]\ncontract_search = "off"\n'


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """There is no file to measure: why."""

    why: str
    seconds: float


def ours(floats: Floats, half: Half, who: str) -> Candidate | Refusal:
    """Calibrate on one half, evaluate on the other, with `phoneproof build`.

    The repair ladder selects among its tries on images of the evaluation half. STRICT shows the
    build one half alone, from which it takes its calibration images too: the other half is seen
    by nothing but this benchmark.
    """
    folder = floats.folder / f"{who}-{half.name}"
    seconds = folder / "seconds.txt"
    if not seconds.exists():
        _write_project(floats, half, folder, strict=who == STRICT)
        started = time.monotonic()
        with (folder / "log.txt").open("wb") as log:
            subprocess.run(
                [sys.executable, "-m", "phoneproof", "build"],
                cwd=folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT,
                check=False,
            )
        seconds.write_text(str(time.monotonic() - started))
    return _outcome(folder, float(seconds.read_text()))


def _outcome(folder: Path, seconds: float) -> Candidate | Refusal:
    log = (folder / "log.txt").read_text(errors="replace").strip().splitlines()
    reports = sorted((folder / "dist").glob("*/report.json")) if (folder / "dist").exists() else []
    if not reports:
        return Refusal(why=" ".join(log[-3:])[:300], seconds=seconds)
    report = parse(reports[0].read_bytes(), Report, what="report")
    said = next((one for one in report.artifacts if one.requested != "float32"), None)
    path = None if said is None else _file_of(folder, said.sha256)
    if said is None or path is None:
        return Refusal(why=_tried(report), seconds=seconds)
    inside = read_embedded(path, said.format)
    return Candidate(
        path=path,
        format=said.format,
        binding=inside.binding,
        contract=inside.contract,
        seconds=seconds,
        peak_bytes=report.peak_rss_bytes,
        macs_above_int8=_above_int8(said),
        note="" if report.accepted else _tried(report),
        shipped=report.accepted,
    )


def _file_of(folder: Path, sha256: str) -> Path | None:
    """The file of that content in the build's cache: it is there though the build refused it."""
    found = (folder / ".phoneproof" / "steps").glob("*/*.tflite")
    return next((path for path in found if tree_sha256(path) == sha256), None)


def _tried(report: Report) -> str:
    """How often it tried, and what the file that came nearest failed."""
    tried = sum(len(artifact.attempts) for artifact in report.artifacts)
    failed = [
        f"{check.name} {'none' if check.value is None else f'{check.value:.4f}'} of {check.n}"
        for artifact in report.artifacts
        for check in artifact.checks
        if check.gating and check.verdict != "pass"
    ]
    return f"{tried} tries: {', '.join(failed)}"[:300]


def _above_int8(artifact: ArtifactReport) -> float | None:
    if artifact.read_back is None:
        return None
    return macs_above_int8(artifact.read_back)


def _write_project(floats: Floats, half: Half, folder: Path, *, strict: bool) -> None:
    """The float build's configuration with int8 asked for, and the halves as folders."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for code in floats.config.parent.glob("*.py"):
        shutil.copy(code, folder)
    root = _root_of(floats.images.items[0])
    if strict:
        copy_half(root, half.calibration, folder / "evaluation")
    else:
        copy_half(root, half.calibration, folder / "calibration")
        copy_half(root, half.evaluation, folder / "evaluation")
    kept = [line for line in floats.config.read_text().splitlines() if "evaluation = " not in line]
    text = "\n".join(kept).partition("\n[targets.")[0]
    data = '[data]\nevaluation = "evaluation"'
    if not strict:
        data += '\ncalibration = "calibration"'
    text = text.replace("[data]", data, 1)
    (folder / "phoneproof.toml").write_text(f"{text}\n\n{_TARGET}")


def _root_of(item: ImageItem) -> Path:
    """The folder that an image's name is relative to."""
    return item.path.parents[item.name.count("/")]


def copy_half(root: Path, items: Sequence[ImageItem], folder: Path) -> None:
    """Images with the labels that lie beside them, in the layout they came in."""
    for item in items:
        target = folder / item.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(item.path, target)
        boxes = root / "labels" / f"{Path(item.name).stem}.txt"
        if boxes.exists():
            (folder / "labels").mkdir(exist_ok=True)
            shutil.copy(boxes, folder / "labels")
    for listing in root.glob("*"):
        if listing.suffix in (".csv", ".yaml"):
            shutil.copy(listing, folder)
