"""A build over many images: memory must stay flat, and an interrupt must cost little.

    python -m benchmarks.many_images            2 000, then 50 000 pictures of 32 x 32
    python -m benchmarks.many_images 500 5000   other numbers

The larger build is interrupted after a third of its time and started again. Writes
``benchmarks/results/many_images.json``.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measuring import peak_memory, run, timed

ROOT = Path(__file__).resolve().parents[1]
MODEL = ROOT.parent / "shared" / "assets" / "models" / "classify" / "cifar10_resnet8_float.tflite"
RESULTS = ROOT / "benchmarks" / "results" / "many_images.json"
COMMAND = [sys.executable, "-m", "phoneproof"]
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
SIDE = 32
INTERRUPT_AFTER = 1 / 3


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One build. peak_bytes: resident memory of all its processes together."""

    images: int
    seconds: float
    peak_bytes: int
    resumed_seconds: float | None = None


def main() -> int:
    """Measure, print, keep."""
    counts = [int(word) for word in sys.argv[1:]] or [2_000, 50_000]
    figures = []
    with tempfile.TemporaryDirectory(prefix="phoneproof-many-") as scratch:
        for count in counts:
            project = Path(scratch, str(count))
            write_pictures(project / "val", count)
            run([*COMMAND, "init", str(MODEL), "--images", "val", "--no-search"], project)
            figures.append(measure(project, count, interrupts=count == max(counts)))
            print(figures[-1], flush=True)
    growth = figures[-1].peak_bytes / figures[0].peak_bytes
    print(
        f"{figures[-1].images / figures[0].images:g} times the images: {growth:.2f} of the memory"
    )
    keep(figures)
    return 0


def write_pictures(folder: Path, count: int) -> None:
    """Distinct noise pictures in a folder a class; what they show does not matter here."""
    generator = np.random.default_rng(count)
    for name in CLASSES:
        (folder / name).mkdir(parents=True)
    for number in range(count):
        pixels = generator.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / CLASSES[number % len(CLASSES)] / f"{number}.png")


def measure(project: Path, count: int, *, interrupts: bool) -> Figure:
    """A whole build; then, with the cache emptied, one that is interrupted and goes on."""
    build = [*COMMAND, "build"]
    with peak_memory() as peak:
        seconds = timed(lambda: finish(build, project))
    resumed = None
    if interrupts:
        run(["rm", "-rf", ".phoneproof", "dist"], project)
        interrupted(build, project, after=seconds * INTERRUPT_AFTER)
        resumed = timed(lambda: finish(build, project))
    return Figure(images=count, seconds=seconds, peak_bytes=peak(), resumed_seconds=resumed)


def finish(command: list[str], folder: Path) -> None:
    """A build that ends with a verdict; noise has no right labels, so refused is fine too."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 7):
        raise SystemExit(done.stderr)


def interrupted(command: list[str], folder: Path, *, after: float) -> None:
    """Ctrl-C after so many seconds."""
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        process.wait()


def keep(figures: list[Figure]) -> None:
    """The last results, with the machine."""
    record = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "figures": [asdict(figure) for figure in figures],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
