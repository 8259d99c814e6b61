"""Bundles on the JVM: the Kotlin library, real Android bitmaps and the real LiteRT C library.

    python -m benchmarks.mobile_runs [WORK] [--frames N]

Builds the bundles of `benchmarks.mobile_cases` in WORK (kept there and taken again; a scratch
folder without it), shows each model its pictures in Python and on the JVM, and runs N frames
(10000) through those of `LONG`. Writes ``benchmarks/results/mobile-runs.json`` and the tables of
``docs/reference/mobile-runs.md``. Exits with 1 where a result differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.acceptance import commit_shown
from benchmarks.mobile_cases import CASES, Case, bundle, photographs, shown
from phoneproof.pipeline.step import tool_versions
from tests.integration.maven_runs import maven
from tests.integration.mobile_android_build import (
    LITERT,
    Counted,
    run_maven,
    write_run,
)
from tests.integration.mobile_pictures import write_pictures

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "mobile-runs.json"
PAGE: Final = ROOT / "docs" / "reference" / "mobile-runs.md"
BEGIN, END = "<!-- runs: begin -->", "<!-- runs: end -->"
PICTURES: Final = 20
LONG: Final = ("ultraface", "weather-int8")
"""A detector and an int8 classifier whose frames take milliseconds."""


class Frames(msgspec.Struct, frozen=True, kw_only=True):
    """A long run of one kind of frame; memory in bytes at its begin, after each fifth, at its end.

    bytes_caller, bytes_engine: allocated for one frame on the caller's thread and on the engine's.
    """

    size: str
    results: int
    milliseconds: float
    bytes_caller: int
    bytes_engine: int
    heap: tuple[int, ...]
    direct: tuple[int, ...]
    resident: tuple[int, ...]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What LongRunTest saw of one model."""

    frames: int
    bitmaps: Frames
    camera: Frames


def main() -> int:
    """Build, run, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", nargs="?", type=Path)
    parser.add_argument("--frames", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="phoneproof-runs-") as scratch:
        folder = Path(scratch)
        write_runs(arguments.work or folder / "bundles", folder)
        counted = compared(folder)
        memory = long_runs(folder, arguments.frames)
    keep(counted, memory)
    print(tables(counted, memory))
    return int(any(one.differing for one in counted.values()))


def write_runs(work: Path, folder: Path) -> None:
    """``folder/runs``: bundle, pictures and Python's results of every model file."""
    for case in CASES:
        made = bundle(case, work / case.name)
        pictures = folder / "pictures" / case.name
        write_pictures([*shown(case), *photographs(case)], pictures, count=PICTURES)
        for model in sorted((made / "artifacts").glob("*.tflite")):
            run = folder / "runs" / run_name(case, model)
            run.mkdir(parents=True)
            write_run(run, made, f"artifacts/{model.name}", pictures)
            print(run.name, file=sys.stderr, flush=True)


def run_name(case: Case, model: Path) -> str:
    """Of one model file of a bundle."""
    return case.name if "float32" in model.stem else f"{case.name}-int8"


def compared(folder: Path) -> dict[str, Counted]:
    """What the Kotlin tests count of every run; a failure of theirs ends the benchmark."""
    out = folder / "out"
    out.mkdir()
    succeeded(run_maven(maven(), folder, *words("BundleRunsTest", folder / "runs", out)))
    return {
        path.name.removesuffix("-runs.json"): msgspec.json.decode(path.read_bytes(), type=Counted)
        for path in sorted(out.glob("*-runs.json"))
    }


def long_runs(folder: Path, frames: int) -> dict[str, Memory]:
    """Memory over so many frames of `LONG`, in the copy that `compared` compiled."""
    out, long = folder / "out", folder / "long"
    long.mkdir()
    for name in LONG:
        (folder / "runs" / name).rename(long / name)
    # Everything is loaded: no other build need wait for this one, which takes its time.
    again = [str(maven()), "-B", "-q", "-o", "test", f"-Dphoneproof.frames={frames}"]
    succeeded(
        subprocess.run(
            [*again, *words("LongRunTest", long, out)],
            cwd=folder / "mobile" / "android",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    )
    return {
        path.name.removesuffix("-memory.json"): msgspec.json.decode(path.read_bytes(), type=Memory)
        for path in sorted(out.glob("*-memory.json"))
    }


def words(test: str, runs: Path, out: Path) -> tuple[str, ...]:
    """Arguments of Maven for one test class of the Android module."""
    given = {"runs": runs, "litert": LITERT, "out": out}
    return (
        *("-pl", "android", "-am", f"-Dtest={test}", "-Dsurefire.failIfNoSpecifiedTests=false"),
        *(f"-Dphoneproof.{name}={value}" for name, value in given.items()),
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> None:
    """Or the benchmark ends, with what Maven said."""
    if done.returncode != 0:
        raise SystemExit(done.stdout[-8000:])


def keep(counted: Mapping[str, Counted], memory: Mapping[str, Memory]) -> None:
    """Write the results, and the tables into the documentation."""
    versions = tool_versions(("ai-edge-litert", "litert-torch", "torch", "numpy", "pillow"))
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=True).stderr
    record = {
        "machine": f"{platform.machine()}, {platform.system()}, {os.cpu_count()} cores",
        "commit": commit_shown(),
        "java": java.splitlines()[0],
        "python": platform.python_version(),
        "versions": dict(versions),
        "robolectric": "4.17, Android 14",
        "runs": msgspec.to_builtins(dict(counted)),
        "memory": msgspec.to_builtins(dict(memory)),
    }
    temporary = RESULTS.with_suffix(".tmp")
    temporary.write_text(json.dumps(record, indent=2) + "\n")
    temporary.replace(RESULTS)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(counted, memory)}\n{END}{after}")


def tables(counted: Mapping[str, Counted], memory: Mapping[str, Memory]) -> str:
    """Both, as Markdown."""
    runs = table(
        ("model", "images", "results", "equal", "differing", "colour-managed", "score", "box, px"),
        [
            (
                name,
                str(one.images),
                str(one.results),
                str(one.images - len(one.differing)),
                str(len(one.differing)),
                str(one.colour_managed),
                f"{one.largest_score_difference:g}",
                f"{one.largest_box_difference:g}",
            )
            for name, one in counted.items()
        ],
    )
    rows = [
        frames_row(name, kind, one.frames, seen)
        for name, one in memory.items()
        for kind, seen in (("bitmap", one.bitmaps), ("camera", one.camera))
    ]
    head = ("model", "frames", "of", "heap", "direct buffers", "resident", "a frame, caller", "ms")
    return f"{runs}\n\n{table(head, rows)}"


def frames_row(name: str, kind: str, frames: int, seen: Frames) -> tuple[str, ...]:
    """Growth from the first sample to the last, and what one frame allocated."""
    return (
        name,
        str(frames),
        f"{kind} {seen.size}",
        f"{seen.heap[-1] - seen.heap[0]:+} bytes",
        f"{seen.direct[-1] - seen.direct[0]:+} bytes",
        f"{(seen.resident[-1] - seen.resident[0]) / 1e6:+.1f} MB",
        f"{seen.bytes_caller} bytes for {seen.results} results",
        f"{seen.milliseconds:.1f}",
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    sys.exit(main())
