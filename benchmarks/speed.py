"""How long things take and how much memory they need, against what the project promises itself.

    make benchmarks

Writes ``benchmarks/results/speed.json`` (machine, versions, figures). Times are of this machine
and say nothing of a phone; the verification loop is a ratio to the bare loop in the same run.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.measuring import peak_memory, run, timed
from phoneproof.pipeline.step import tool_versions

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT.parent / "shared" / "assets"
RESULTS = ROOT / "benchmarks" / "results" / "speed.json"
COMMAND = [sys.executable, "-m", "phoneproof"]
IMAGES = 64


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measurement; `goal`: what the project promises on two cores."""

    name: str
    value: float
    unit: str
    goal: float


def main() -> int:
    """Measure everything, print, keep."""
    figures = [help_time()]
    with tempfile.TemporaryDirectory(prefix="phoneproof-speed-") as scratch:
        figures += demo(Path(scratch, "demo"))
        figures += detector_build(Path(scratch, "detector"))
        figures += classic_build(Path(scratch, "classic"))
    figures.append(loop_ratio())
    for figure in figures:
        mark = "ok" if figure.value <= figure.goal else "OVER"
        print(f"{figure.name:45} {figure.value:9.2f} {figure.unit:6} goal {figure.goal:g}  {mark}")
    keep(figures)
    return 0 if all(figure.value <= figure.goal for figure in figures) else 1


def help_time() -> Figure:
    """Median of ten starts of ``phoneproof --help``."""
    seconds = [timed(lambda: run([*COMMAND, "--help"], ROOT)) for _ in range(10)]
    return Figure(
        name="phoneproof --help", value=statistics.median(seconds) * 1000, unit="ms", goal=200
    )


def demo(folder: Path) -> list[Figure]:
    """`phoneproof demo` after installation."""
    seconds = timed(lambda: run([*COMMAND, "demo", "--directory", str(folder)], ROOT))
    return [Figure(name="phoneproof demo", value=seconds, unit="s", goal=60)]


def detector_build(folder: Path) -> list[Figure]:
    """yolov8n, 64 images, ONNX + TFLite float32 + float16, all verified; then again."""
    write_detector(folder)
    with peak_memory() as peak:
        first = timed(lambda: run([*COMMAND, "build"], folder))
    again = timed(lambda: run([*COMMAND, "build"], folder))
    return [
        Figure(name="build yolov8n, 64 images", value=first, unit="s", goal=90),
        Figure(name="... peak memory over all processes", value=peak() / 2**30, unit="GiB", goal=4),
        Figure(name="... again, nothing changed", value=again, unit="s", goal=10),
    ]


def classic_build(folder: Path) -> list[Figure]:
    """yolov8n, 64 images: ONNX, hub, SavedModel and TFLite, all verified."""
    write_detector(folder)
    config = folder / "phoneproof.toml"
    kept, _, _ = config.read_text().partition("[targets.server]")
    android = '[targets.android]\nroute = "classic"\nprecisions = ["float32"]'
    config.write_text(kept.partition("[targets.android]")[0] + android)
    with peak_memory() as peak:
        seconds = timed(lambda: run([*COMMAND, "build"], folder))
    return [
        Figure(name="classic chain yolov8n, 64 images", value=seconds, unit="s", goal=120),
        Figure(name="... peak memory over all processes", value=peak() / 2**30, unit="GiB", goal=4),
    ]


def write_detector(folder: Path) -> None:
    """A project of yolov8n and its first images."""
    source = ASSETS / "images" / "coco128_train"
    for kind in ("images", "labels"):
        (folder / "data" / kind).mkdir(parents=True)
    for image in sorted((source / "images").iterdir())[:IMAGES]:
        label = source / "labels" / f"{image.stem}.txt"
        (folder / "data" / "images" / image.name).symlink_to(image)
        if label.exists():
            (folder / "data" / "labels" / label.name).symlink_to(label)
    model = ASSETS / "models" / "detect" / "yolov8n_coco_rebuilt.pt"
    run([*COMMAND, "init", str(model), "--images", "data"], folder)


def loop_ratio() -> Figure:
    """Our verification loop over a bare loop of decode + resize + invoke; median of five pairs."""
    from benchmarks.bare_loop import bare_loop, verification_loop

    images = sorted((ASSETS / "images" / "coco128_train" / "images").iterdir())[:IMAGES]
    model = ASSETS / "models" / "detect" / "yolov8n_coco_rebuilt.onnx"
    ratios = []
    for _ in range(5):
        bare = timed(lambda: bare_loop(model, images))
        ratios.append(timed(lambda: verification_loop(model, images)) / bare)
    return Figure(
        name="verification loop / bare loop", value=statistics.median(ratios), unit="", goal=1.3
    )


def keep(figures: list[Figure]) -> None:
    """The last results, with machine and versions."""
    RESULTS.parent.mkdir(exist_ok=True)
    names = ("torch", "onnxruntime", "ai-edge-litert", "litert-torch", "numpy", "pillow")
    record = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": dict(tool_versions(names)),
        "figures": [asdict(figure) for figure in figures],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
