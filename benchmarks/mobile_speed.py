"""Phone libraries against OpenCV + numpy and Pillow: the work on one frame, one thread, one run.

    python -m benchmarks.mobile_speed

Compiles `mobile/android/core` in a scratch copy, runs its `Speed` on the JVM and the same work in
Python's libraries before and after it, and writes the Kotlin part of
``benchmarks/results/mobile_speed.json``. The other parts of that file are left as they are.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "mobile_speed.json"
SIDE = 640
PAD = 114
WARM_UP_SECONDS = 1.0
RUN_SECONDS = 3.0
GOALS = {"opencv.linear 1920x1080": 1.5, "pillow.bilinear 1920x1080": 2.0}
DECODE_GOAL_MS = 2.0
_TABLE = (np.arange(256) / 255).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Medians in milliseconds; `ratio` to the library in the same run, where there is one.

    goal: of the ratio, else of `kotlin_ms`; none is set for pictures of other sizes.
    """

    name: str
    kotlin_ms: float
    library_ms: float | None
    ratio: float | None
    goal: float | None
    reached: bool


def main() -> int:
    """Measure, print, keep."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="phoneproof-mobile-") as scratch:
        classpath = compiled(Path(scratch))
        before = library_figures()
        ours = kotlin(classpath)
        after = library_figures()
    figures = []
    for name, value in ours.items():
        library = min(before[name], after[name]) if name in before else None
        figures.append(figure(name, value, library))
    for one in figures:
        against = f"library {one.library_ms:7.3f} ms" if one.library_ms is not None else ""
        mark = "ok" if one.reached else "OVER"
        goal = "no goal" if one.goal is None else f"goal {one.goal:g}  {mark}"
        print(f"{one.name:28} {one.kotlin_ms:7.3f} ms  {against}  {goal}")
    keep(figures)
    return 0 if all(one.reached for one in figures) else 1


def figure(name: str, value: float, library: float | None) -> Figure:
    """One line: a ratio against the library, or milliseconds where there is none."""
    goal = DECODE_GOAL_MS if library is None else GOALS.get(name)
    ratio = None if library is None else value / library
    return Figure(
        name=name,
        kotlin_ms=value,
        library_ms=library,
        ratio=ratio,
        goal=goal,
        reached=goal is None or (value if ratio is None else ratio) <= goal,
    )


def library_figures() -> dict[str, float]:
    """The libraries' medians, by the names that `Speed.kt` prints."""
    found = {}
    for height in (1080, 720):
        width = height * 16 // 9
        rgb = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
        found[f"opencv.linear {width}x{height}"] = median(partial(opencv, rgb))
        image = Image.fromarray(rgb)
        found[f"pillow.bilinear {width}x{height}"] = median(partial(pillow, image))
    return found


def opencv(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Letterbox by OpenCV, then numpy to float32."""
    height, width = fitted(rgb.shape[0], rgb.shape[1])
    scaled = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    return normalised(np.asarray(scaled, dtype=np.uint8))


def pillow(image: Image.Image) -> NDArray[np.float32]:
    """Letterbox by Pillow, then numpy to float32."""
    height, width = fitted(image.height, image.width)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return normalised(np.asarray(scaled, dtype=np.uint8))


def normalised(scaled: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pad to the square and divide: what people write, with the fewest copies."""
    height, width = scaled.shape[:2]
    top, left = (SIDE - height) // 2, (SIDE - width) // 2
    square = np.full((SIDE, SIDE, 3), PAD, dtype=np.uint8)
    square[top : top + height, left : left + width] = scaled
    return np.multiply(square, np.float32(1 / 255), dtype=np.float32)


def fitted(height: int, width: int) -> tuple[int, int]:
    """The size inside the square."""
    gain = min(SIDE / height, SIDE / width)
    return round(height * gain), round(width * gain)


def median(work: Callable[[], object]) -> float:
    """Median milliseconds of this thread's processor time: other programs do not count."""
    end = time.perf_counter() + WARM_UP_SECONDS
    while time.perf_counter() < end:
        work()
    times = []
    end = time.perf_counter() + RUN_SECONDS
    while time.perf_counter() < end:
        started = time.thread_time_ns()
        work()
        times.append(time.thread_time_ns() - started)
    return statistics.median(times) / 1e6


def compiled(scratch: Path) -> str:
    """The class path of the tests of core, compiled by Maven."""
    shutil.copytree(
        ROOT / "mobile" / "android", scratch / "android", ignore=shutil.ignore_patterns("target")
    )
    subprocess.run(
        ["mvn", "-q", "-B", "-pl", "core", "test-compile"],
        cwd=scratch / "android",
        env={**os.environ, "MAVEN_OPTS": "-Xmx1500m"},
        check=True,
    )
    target = scratch / "android" / "core" / "target"
    repository = Path.home() / ".m2" / "repository"
    jars = [*repository.glob("org/jetbrains/kotlin/kotlin-stdlib/*/*.jar")]
    jars += repository.glob("junit/junit/*/*.jar")
    folders = [target / "classes", target / "test-classes"]
    kept = [jar for jar in jars if not jar.stem.endswith("sources")]
    return os.pathsep.join(map(str, [*folders, *kept]))


def kotlin(classpath: str) -> dict[str, float]:
    """What `Speed.kt` measures, in a JVM of its own."""
    done = subprocess.run(
        ["java", "-cp", classpath, "ai.phoneproof.SpeedKt"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def keep(figures: list[Figure]) -> None:
    """Write the Kotlin part; other languages' parts stay."""
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    known["kotlin"] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "load": os.getloadavg()[0],
        "opencv": cv2.__version__,
        "pillow": version("pillow"),
        "figures": [asdict(one) for one in figures],
    }
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(known, indent=2) + "\n")
    temporary.replace(RESULTS)


if __name__ == "__main__":
    sys.exit(main())
