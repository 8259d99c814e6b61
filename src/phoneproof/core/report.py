"""The report (schema ``phoneproof.report/1``): what a build measured, and what it concluded.

Numbers are raw (top-1 .897, never 89.7 percent). The HTML page, the model card, the JUnit file
and the summary are all drawn from this one object.
"""

from __future__ import annotations

from typing import Literal

from phoneproof.core.binding import Format, Precision
from phoneproof.core.capture import Capture, Hazard
from phoneproof.core.check import Check, Split, Verdict
from phoneproof.core.device_results import DeviceReport
from phoneproof.core.optimization import (
    CalibrationReport,
    LayerDamage,
    ParetoPoint,
    PhoneCost,
    ReadBack,
    Recommendation,
)
from phoneproof.core.preflight import Preflight, RecordedMetric
from phoneproof.core.schema import SchemaType
from phoneproof.core.search import ContractSearch


class Divergence(SchemaType, frozen=True, kw_only=True):
    """The first layer whose values leave the parent's, where a float step failed."""

    layer: str
    explanation: str


class Attempt(SchemaType, frozen=True, kw_only=True):
    """A candidate that was measured before the one that is reported, or is that one.

    what: how it was made. bytes: its size. failed: the gating checks it did not pass, (name with
    slice, value). rung: of the repair ladder, empty where there is none. macs_above_int8: share of
    the multiply-accumulates that are wider than int8, null where nobody counted. seconds: that
    the try took. losses: the margins measured on the images that ladders look at, (name with
    slice, value, limit). broke: why there is no file, empty where there is one.
    """

    what: str
    bytes: int
    failed: tuple[tuple[str, float | None], ...]
    rung: str = ""
    precision: Precision | None = None
    macs_above_int8: float | None = None
    seconds: float = 0.0
    losses: tuple[tuple[str, float | None, float | None], ...] = ()
    accepted: bool = False
    broke: str = ""


class ArtifactReport(SchemaType, frozen=True, kw_only=True):
    """One artifact, the step that made it and everything measured of it.

    id: format and precision, e.g. ``tflite-float32``. path: relative to the bundle; a folder for
    formats that are folders. bytes: of the file, or of all files of the folder. parent: sha256 of
    what the step read. options: sorted (name, JSON text). tools: (library, version).
    accepted: passed, or undecided with the estimate inside the margin and every bounded check
    passed. attempts: refused candidates before it. limits: all that it was held to, (name, value).
    scores: (baseline, artifact) score pairs of
    matched results, for the confidence plot. read_back: what the file holds. sensitivity: of the
    layers of its float32 parent, worst first. phone: what the phone's delegates take of it.
    confidence: the threshold of this file alone, null where the contract's holds.
    """

    id: str
    format: Format
    requested: Precision
    precision: Precision
    path: str
    bytes: int
    sha256: str
    parent: str
    step: str
    options: tuple[tuple[str, str], ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    peak_rss_bytes: int = 0
    verdict: Verdict
    accepted: bool
    checks: tuple[Check, ...]
    scores: tuple[tuple[float, float], ...] = ()
    divergence: Divergence | None = None
    attempts: tuple[Attempt, ...] = ()
    limits: tuple[tuple[str, float | str | None], ...] = ()
    read_back: ReadBack | None = None
    sensitivity: tuple[LayerDamage, ...] = ()
    phone: tuple[PhoneCost, ...] = ()
    confidence: float | None = None


class RefusedImporter(SchemaType, frozen=True, kw_only=True):
    """A way to the hub program that lost: what was measured of it, or why it gave none.

    importer: its name. reason: the error's words; empty where it was measured. checks: its hub
    against the source.
    """

    importer: str
    reason: str = ""
    checks: tuple[Check, ...] = ()


class ChainLink(SchemaType, frozen=True, kw_only=True):
    """One link of the classic chain, in order from the hub.

    edge: ``hub-onnx``. artifact: the id of what it made. to_parent, to_baseline: the largest
    difference of a probability, or of another output relative to its largest magnitude.
    agreement: share of images or boxes that agree with the parent's (0..1). kept: whether every
    check against the parent keeps float32 limits.
    """

    edge: str
    artifact: str
    to_parent: float | None = None
    to_baseline: float | None = None
    agreement: float | None = None
    kept: bool


class RouteFile(SchemaType, frozen=True, kw_only=True):
    """The same format by one route. ops: (operator, how often). seconds: of all its links.

    difference, agreement: against the baseline, as in `ChainLink`.
    """

    route: Literal["direct", "classic"]
    bytes: int
    seconds: float
    ops: tuple[tuple[str, int], ...]
    difference: float | None = None
    agreement: float | None = None
    verdict: Verdict


class ClassicChain(SchemaType, frozen=True, kw_only=True):
    """The chain hub -> ONNX -> hub -> SavedModel -> TFLite, link by link.

    broken: the edge that broke it. routes: the last file by the direct and the classic route;
    empty where the chain ends before TFLite.
    """

    links: tuple[ChainLink, ...]
    broken: str | None = None
    routes: tuple[RouteFile, ...] = ()


class SplitReport(SchemaType, frozen=True, kw_only=True):
    """One split: its number of images and the hash that checks refer to."""

    split: Split
    n: int
    hash: str


class DatasetReport(SchemaType, frozen=True, kw_only=True):
    """One data set. skipped: (file name, why) of images that were left out."""

    role: Literal["evaluation", "calibration", "production"]
    kind: str
    n: int
    labelled: bool
    splits: tuple[SplitReport, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


class Report(SchemaType, frozen=True, kw_only=True):
    """A whole build. verdict: of the worst requested artifact, or of the capture gate.

    undecided: what the user wants done with undecided checks. created: ISO 8601, UTC; null where
    times are left out. source: what the source's own outputs reach on the labels. gate: the
    checks of the hub against the source; refused_importers: the ways to a hub that were tried
    before. classic: where a target goes that way. hazards: of the source, the steps and the
    images. preflight: production images, where given; recorded: metrics that came with the
    source, measured again. search: alternatives of the contract, where they were measured.
    calibration: the images that ranges come from, where something was quantized with ranges.
    pareto: the accepted artifacts among each other; recommended: one for each target.
    devices: what phones measured of the artifacts, added when their results came.
    seconds: wall time; peak_rss_bytes: of the largest step's process.
    """

    schema: Literal["phoneproof.report/1"] = "phoneproof.report/1"
    verdict: Verdict
    accepted: bool
    undecided: Literal["accept", "fail"] = "accept"
    name: str
    version: str
    created: str | None = None
    capture: Capture
    source: tuple[Check, ...] = ()
    gate: tuple[Check, ...]
    refused_importers: tuple[RefusedImporter, ...] = ()
    artifacts: tuple[ArtifactReport, ...] = ()
    classic: ClassicChain | None = None
    datasets: tuple[DatasetReport, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    hazards: tuple[Hazard, ...] = ()
    preflight: Preflight | None = None
    recorded: tuple[RecordedMetric, ...] = ()
    search: ContractSearch | None = None
    calibration: CalibrationReport | None = None
    pareto: tuple[ParetoPoint, ...] = ()
    recommended: tuple[Recommendation, ...] = ()
    devices: tuple[DeviceReport, ...] = ()
    seconds: float = 0.0
    peak_rss_bytes: int = 0
