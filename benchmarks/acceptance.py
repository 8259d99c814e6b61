"""The long table: real models through the whole pipeline, against the figures known of them.

    make acceptance            all of them
    python -m benchmarks.acceptance yolox weather     only those whose name contains a word

Writes ``benchmarks/results/acceptance.json`` (machine, versions, every figure) and
``docs/reference/acceptance.md``. Exits with 1 where a model is refused or its figure is off.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from phoneproof.core.check import Check
from phoneproof.core.errors import PhoneproofError
from phoneproof.core.report import Report
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.start import start_project
from phoneproof.pipeline.step import tool_versions

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT.parent / "shared" / "assets"
RESULTS = ROOT / "benchmarks" / "results" / "acceptance.json"
PAGE = ROOT / "docs" / "reference" / "acceptance.md"

SQUARE_CROP = """
task = "classify"
size = [224, 224]
channels = "rgb"
values = "uint8"
scale = 0.00392156862745098
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[[contract.geometry]]
op = "crop"
aspect = 1
[[contract.geometry]]
op = "crop"
fraction = 0.875
round = "floor"
[[contract.geometry]]
op = "resize"
to = "stretch"
size = [224, 224]
filter = "pillow.bilinear"
"""
"""The figures known of the two ImageNet models were taken on a square centre crop; neither file
says so, and what `init` assumes (TensorFlow-slim's, Keras') gives .871 and .551."""

TOLERANCE = {"map50": 0.015, "top1": 0.009}
"""The known figures come from another evaluator: mAP from another matching and interpolation,
top-1 of the ImageNet models from another resize (3 of 350 images; no geometry and filter of some
fifty tried gives both known figures at once)."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One model, its images, what is known of it, and what its user knows that no file says.

    metric, known: recorded in the assets' PROVENANCE (null: agreement alone). contract: lines that
    replace the inferred ``[contract]`` values.
    """

    name: str
    model: str
    images: str
    metric: str | None
    known: float | None
    contract: str = ""


CASES = (
    Case(
        name="yolov8n_coco_rebuilt.pt",
        model="models/detect/yolov8n_coco_rebuilt.pt",
        images="images/coco128_train",
        metric="map50",
        known=0.605,
    ),
    Case(
        name="yolov8n_coco_rebuilt.onnx",
        model="models/detect/yolov8n_coco_rebuilt.onnx",
        images="images/coco128_train",
        metric="map50",
        known=0.605,
    ),
    Case(
        name="yolox_nano.onnx",
        model="models/detect/yolox_nano.onnx",
        images="images/coco128_train",
        metric="map50",
        known=0.512,
    ),
    Case(
        name="version-RFB-320.onnx",
        model="models/detect/version-RFB-320.onnx",
        images="images/single",
        metric=None,
        known=None,
    ),
    Case(
        name="yolov8n-cls_weather_best.pt",
        model="models/classify/yolov8n-cls_weather_best.pt",
        images="images/weather_val",
        metric="top1",
        known=0.966,
    ),
    Case(
        name="mobilenet_v2_1.0_224_float.onnx",
        model="models/classify/mobilenet_v2_1.0_224_float.onnx",
        images="images/imagenet_sample350",
        metric="top1",
        known=0.897,
        contract=SQUARE_CROP,
    ),
    Case(
        name="mobilenet_v1_0.25_224.h5",
        model="models/classify/mobilenet_v1_0.25_224.h5",
        images="images/imagenet_sample350",
        metric="top1",
        known=0.606,
        contract=SQUARE_CROP,
    ),
    Case(
        name="cifar10_resnet8.h5",
        model="models/classify/cifar10_resnet8.h5",
        images="images/cifar10_test500",
        metric="top1",
        known=0.752,
    ),
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came out. agreement: the lowest agreement of the float artifacts with the baseline."""

    name: str
    verdict: str
    metric: str
    known: float | None
    measured: float | None
    n: int
    agreement: float | None
    artifacts: str
    seconds: float

    @property
    def holds(self) -> bool:
        """Accepted, and the figure is the known one as far as evaluators agree."""
        if self.verdict != "accepted":
            return False
        if self.known is None or self.measured is None:
            return self.known is None
        return abs(self.measured - self.known) <= TOLERANCE[self.metric]


def main() -> int:
    """Run the cases that were named, print the table, keep the results."""
    words = sys.argv[1:]
    rows = []
    for case in CASES:
        if not words or any(word in case.name for word in words):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            rows.append(run(case))
            print(line(rows[-1]), flush=True)
    if not words:
        keep(rows)
    return 0 if all(row.holds for row in rows) else 1


def run(case: Case) -> Row:
    """init and build one model in a folder of its own."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="phoneproof-acceptance-") as scratch:
        config = Path(scratch, "phoneproof.toml")
        try:
            write_config(case, config)
            outcome = build(load_config(config), workspace=Path(scratch, ".phoneproof"))
        except PhoneproofError as error:
            return refused(case, f"{type(error).__name__}: {error.failed}", started)
        return measured(case, outcome.report, started)


def write_config(case: Case, config: Path) -> None:
    """What `phoneproof init` writes; the user's own knowledge replaces its ``[contract]``."""
    start_project(
        ASSETS / case.model,
        ASSETS / case.images,
        config=config,
        labels=None,
        preset=None,
        task=None,
        overwrite=False,
        listener=lambda event: None,
    )
    if case.contract:
        text = config.read_text()
        before, _, rest = text.partition("\n[contract]\n")
        after = rest[rest.index("\n[targets.") :]
        config.write_text(f"{before}\n[contract]\n{case.contract}\n{after}")


def measured(case: Case, report: Report, started: float) -> Row:
    """The row of a build that ended, accepted or refused."""
    checks = [check for artifact in report.artifacts for check in artifact.checks]
    figures = [c for c in checks if c.name == case.metric]
    agreement = [
        c.value
        for c in checks
        if c.name in ("top1_agreement", "box_agreement") and c.value is not None
    ]
    n = max((data.n for data in report.datasets), default=0)
    return Row(
        name=case.name,
        verdict="accepted" if report.accepted else f"refused: {reasons(report)}",
        metric=case.metric or "agreement",
        known=case.known,
        measured=figures[0].value if figures else None,
        n=n,
        agreement=min(agreement, default=None),
        artifacts=", ".join(f"{a.id} {a.verdict}" for a in report.artifacts),
        seconds=round(time.monotonic() - started, 1),
    )


def reasons(report: Report) -> str:
    """The checks that failed, named."""
    failed: list[tuple[str, Check]] = [("hub", check) for check in report.gate]
    failed += [(a.id, check) for a in report.artifacts for check in a.checks]
    return "; ".join(
        f"{place} {check.name} {check.value}"
        for place, check in failed
        if check.gating and check.verdict != "pass"
    )


def refused(case: Case, why: str, started: float) -> Row:
    """The row of a build that could not be done."""
    return Row(
        name=case.name,
        verdict=why,
        metric=case.metric or "agreement",
        known=case.known,
        measured=None,
        n=0,
        agreement=None,
        artifacts="",
        seconds=round(time.monotonic() - started, 1),
    )


def line(row: Row) -> str:
    """One row as Markdown."""
    mark = "yes" if row.holds else "NO"
    known = "-" if row.known is None else f"{row.known:.3f}"
    value = "-" if row.measured is None else f"{row.measured:.4f}"
    agreement = "-" if row.agreement is None else f"{row.agreement:.4f}"
    return (
        f"| {row.name} | {row.metric} | {known} | {value} | {row.n} | {agreement} "
        f"| {row.verdict} | {mark} |"
    )


HEADER = (
    "| model | metric | known | measured | n | agreement | verdict | holds |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def keep(rows: list[Row]) -> None:
    """Write the results beside the benchmark, and the table into the documentation."""
    versions = tool_versions(("torch", "onnxruntime", "ai-edge-litert", "litert-torch", "numpy"))
    RESULTS.parent.mkdir(exist_ok=True)
    record = {
        "machine": f"{platform.machine()}, {platform.system()}",
        "python": platform.python_version(),
        "versions": dict(versions),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    table = "\n".join([HEADER, *map(line, rows)])
    PAGE.write_text(
        "# Acceptance\n\nMade by `make acceptance`: real models through the whole pipeline, on "
        "images with known figures. *known* was measured elsewhere, with another evaluator; "
        "*agreement* is the lowest share of results that an artifact has in common with the "
        f"source (ties set aside).\n\n{table}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
