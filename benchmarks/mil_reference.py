"""How fast the reference runtime of Core ML files is, against torch on the same hub program.

    python -m benchmarks.mil_reference

Writes ``benchmarks/results/mil_reference.json``. One thread; torch and the reference runtime take
turns, and the ratio is that of the fastest runs, so what else the machine does counts for little.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.measuring import timed
from phoneproof.pipeline.step import tool_versions
from phoneproof.runtimes.backends.coreml import CoreMlRuntime, open_counting
from phoneproof.runtimes.backends.hub import HubRuntime
from phoneproof.runtimes.base import Session, Tensors
from tests.integration.test_mil_real_models import converted

RESULTS = Path(__file__).resolve().parent / "results" / "mil_reference.json"
MODELS = {
    "yolov8n 640": "models/detect/yolov8n_coco_rebuilt.onnx",
    "mobilenet_v2 224": "models/classify/mobilenet_v2_1.0_224_float.onnx",
}
TURNS = 15
GOAL = 3.0
"""Of float32 over torch."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """Seconds of one image (the fastest run), and how often torch's they are."""

    model: str
    form: str
    torch_seconds: float
    seconds: float

    @property
    def ratio(self) -> float:
        return self.seconds / self.torch_seconds


def main() -> int:
    """Measure, print, keep."""
    torch.set_num_threads(1)
    rows = [row for name, source in MODELS.items() for row in measured(name, source)]
    for row in rows:
        print(
            f"{row.model:18} {row.form:18} {row.seconds * 1000:8.1f} ms  {row.ratio:5.2f} x torch"
        )
    keep(rows)
    return 0 if all(row.ratio <= GOAL for row in rows if row.form == "float32") else 1


def measured(name: str, source: str) -> list[Row]:
    """One model in float32, in float16, and in float16 with its losses counted."""
    with tempfile.TemporaryDirectory(prefix="phoneproof-mil-") as folder:
        case = converted(source, Path(folder))
        sessions: dict[str, Session] = {
            "torch": HubRuntime().open(Path(folder) / "hub.pt2", threads=1),
            "float32": CoreMlRuntime().open(case.float32, threads=1),
            "float16": CoreMlRuntime().open(case.float16, threads=1),
            "float16, counted": open_counting(case.float16),
        }
        fastest = in_turns({key: work(each, case.image) for key, each in sessions.items()})
    own = fastest.pop("torch")
    return [
        Row(model=name, form=form, torch_seconds=own, seconds=seconds)
        for form, seconds in fastest.items()
    ]


def work(
    session: Session, image: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> Callable[[], None]:
    """One run of a session."""
    feed: Tensors = {session.inputs[0].name: image}

    def run() -> None:
        session.run(feed)

    return run


def in_turns(runs: Mapping[str, Callable[[], None]]) -> dict[str, float]:
    """Seconds of the fastest of `TURNS` runs of each, one after the other in every turn."""
    seconds = {key: [timed(run) for _ in range(1)] for key, run in runs.items()}
    for _ in range(TURNS):
        for key, run in runs.items():
            seconds[key].append(timed(run))
    return {key: min(found) for key, found in seconds.items()}


def keep(rows: list[Row]) -> None:
    """The last results, with machine and versions."""
    record = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": dict(tool_versions(("torch", "coremltools", "numpy"))),
        "threads": 1,
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
