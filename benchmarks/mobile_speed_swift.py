"""``python -m benchmarks.mobile_speed_swift``: the Swift core's time and memory.

Pixels against OpenCV and Pillow: 1920x1080 -> 640 letterbox and table to float32, in rounds that
take turns, so that the ratios are of one run. YOLOv8n's head of 8400 x 84 to boxes. What counts is
one thread's processor time: it says the same on a machine that has other work. Then allocations of
a frame, counted by a preloaded library, and what 10 000 frames leave behind.

Needs the Swift toolchain (``make swift``) and root.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.integration.swift_chroot import Swift, toolchain

ROOT: Final = Path(__file__).parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "mobile_speed_swift.json"
ROUNDS: Final = 5
RUNS: Final = 20
FRAMES: Final = 10_000
DECODE_LIMIT_MS: Final = 2.0
COUNTER: Final = ROOT / "tests" / "integration" / "allocation_counter.c"
LIMITS: Final = {"opencv.linear": 1.5, "pillow.bilinear": 2.0}
HEIGHT, WIDTH, SIDE, SCALED, TOP, GREY = 1080, 1920, 640, 360, 140, 114

Pixels = NDArray[np.uint8]


def by_opencv(picture: Pixels, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """OpenCV's resize and border, numpy's table look-up."""
    small = cv2.resize(picture, (SIDE, SCALED), interpolation=cv2.INTER_LINEAR)
    return table[_padded(np.asarray(small, np.uint8))]


def by_pillow(picture: Pixels, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pillow's resize, the same border and look-up."""
    small = Image.fromarray(picture).resize((SIDE, SCALED), Image.Resampling.BILINEAR)
    return table[_padded(np.asarray(small))]


def _padded(small: Pixels) -> Pixels:
    value = (GREY, GREY, GREY)
    border = cv2.copyMakeBorder(small, TOP, TOP, 0, 0, cv2.BORDER_CONSTANT, value=value)
    return np.asarray(border, np.uint8)


REFERENCES: Final[dict[str, Callable[[Pixels, NDArray[np.float32]], NDArray[np.float32]]]] = {
    "opencv.linear": by_opencv,
    "pillow.bilinear": by_pillow,
}


def measured(name: str) -> list[float]:
    """Milliseconds of `RUNS` runs of one reference, after one that is not counted."""
    picture = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    table = (np.arange(256) / 255).astype(np.float32)
    work = REFERENCES[name]
    work(picture, table)
    times = []
    for _ in range(RUNS):
        start = time.thread_time()
        work(picture, table)
        times.append((time.thread_time() - start) * 1000)
    return times


def main() -> None:
    """Build, measure in turns, write and print the table."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = folder / "ios"
        shutil.copytree(ROOT / "mobile" / "ios", package, ignore=shutil.ignore_patterns(".build"))
        shutil.copyfile(COUNTER, folder / COUNTER.name)
        swift = Swift(root=toolchain(), folder=folder)
        swift.succeed("cd ios && swift build -c release --product phoneproof-bench")
        swift.succeed(f"cc -shared -fPIC -O2 -o counter.so {COUNTER.name}")
        bench = "ios/.build/release/phoneproof-bench"
        ours: dict[str, list[float]] = {name: [] for name in (*LIMITS, "decode")}
        theirs: dict[str, list[float]] = {name: [] for name in LIMITS}
        for _ in range(ROUNDS):
            for filter_name, times in json.loads(swift.succeed(f"{bench} speed {RUNS}")).items():
                ours[filter_name] += times
            for filter_name in LIMITS:
                theirs[filter_name] += measured(filter_name)
        steady = json.loads(swift.succeed(f"LD_PRELOAD=/work/counter.so {bench} steady {FRAMES}"))
    write(ours, theirs, steady)


def write(
    ours: dict[str, list[float]], theirs: dict[str, list[float]], steady: dict[str, object]
) -> None:
    """Medians, lowest times and their ratio to `RESULTS`."""
    rows = []
    for name, limit in LIMITS.items():
        swift, reference = (statistics.median(times[name]) for times in (ours, theirs))
        row = {
            "filter": name,
            "swift_ms": round(swift, 3),
            "reference_ms": round(reference, 3),
            "swift_lowest_ms": round(min(ours[name]), 3),
            "reference_lowest_ms": round(min(theirs[name]), 3),
            "ratio": round(swift / reference, 3),
            "lowest_ratio": round(min(ours[name]) / min(theirs[name]), 3),
            "limit": limit,
        }
        rows.append(row)
    document = {
        "case": "1920x1080 -> 640 letterbox, table to float32, processor time of one thread",
        "rows": rows,
        "decode": {
            "case": "head of 8400 x 84 to boxes, one score in 400 over the threshold",
            "swift_ms": round(statistics.median(ours["decode"]), 3),
            "swift_lowest_ms": round(min(ours["decode"]), 3),
            "limit_ms": DECODE_LIMIT_MS,
        },
        "steady": steady,
    }
    text = json.dumps(document, indent=2)
    print(text)
    RESULTS.write_text(text + "\n")


if __name__ == "__main__":
    main()
