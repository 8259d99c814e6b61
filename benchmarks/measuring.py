"""What the benchmarks measure with: wall time, and the memory of a whole family of processes."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

_SAMPLE_SECONDS = 0.1


def run(command: list[str], folder: Path) -> None:
    """Run a command; its failure is ours."""
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def timed(work: Callable[[], None]) -> float:
    """Wall seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """Largest sum of the resident sets of this process's descendants, sampled."""
    peak = 0
    done = threading.Event()

    def sample() -> None:
        nonlocal peak
        me = psutil.Process()
        while not done.wait(_SAMPLE_SECONDS):
            total = 0
            for child in me.children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            peak = max(peak, total)

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield lambda: peak
    finally:
        done.set()
        thread.join()
