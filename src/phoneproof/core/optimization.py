"""What the report says of optimisation: calibration, damage, attempts, what a phone makes of it."""

from __future__ import annotations

from typing import Literal

from phoneproof.core.binding import Format, Precision
from phoneproof.core.schema import SchemaType


class CalibrationImage(SchemaType, frozen=True, kw_only=True):
    """One image of the manifest, and why it was picked: ``class``, ``extreme`` or ``spread``."""

    name: str
    sha256: str
    reason: Literal["class", "extreme", "spread"]


class Stability(SchemaType, frozen=True, kw_only=True):
    """Two disjoint halves of the calibration images, compared.

    spread: the median over the tensors of how far the two halves' ranges differ, relative to the
    wider one (0 equal, 1 disjoint). worst_tensor, worst: the tensor that differs most. limit:
    beyond it the set is called too small.
    """

    spread: float
    worst_tensor: str
    worst: float
    limit: float
    enough: bool


class CalibrationReport(SchemaType, frozen=True, kw_only=True):
    """The images that ranges were taken from. pool: how many there were to pick from.

    hash: over the content hashes. classes: (covered, labelled classes of the contract).
    """

    images: tuple[CalibrationImage, ...]
    pool: int
    hash: str
    classes: tuple[int, int] | None = None
    stability: Stability | None = None


class LayerDamage(SchemaType, frozen=True, kw_only=True):
    """What quantizing one layer alone does to the outputs, to first order.

    op: the file's operator. macs: its share of all multiply-accumulates (0..1). damage: expected
    noise power on all outputs relative to their signal power. by_output: the same for each.
    """

    layer: str
    op: str
    macs: float
    damage: float
    by_output: tuple[tuple[str, float], ...] = ()


class Share(SchemaType, frozen=True, kw_only=True):
    """How much of a file is of one type, read back from it (0..1 each)."""

    dtype: str
    ops: float
    weights: float
    macs: float


class ReadBack(SchemaType, frozen=True, kw_only=True):
    """What a file really holds. macs: multiply-accumulates of one inference. fused: operators
    that carry an activation or that were merged, (what, how often). gzip_bytes: of the file
    compressed as stores and CDNs do (gzip level 9). zeros: of the float32 weights, the share (0..1)
    that is exactly zero; null where there are none.
    """

    macs: int
    shares: tuple[Share, ...]
    fused: tuple[tuple[str, int], ...] = ()
    gzip_bytes: int | None = None
    zeros: float | None = None


class PhoneOp(SchemaType, frozen=True, kw_only=True):
    """An operator that an accelerator does not take. rewrite: what avoids it, where known."""

    op: str
    count: int
    reason: str
    rewrite: str = ""


class PhoneCost(SchemaType, frozen=True, kw_only=True):
    """Which operators one delegate takes, from its published list.

    taken: share of the operators (0..1). partitions: pieces the graph falls into. source: what
    was read, with its date.
    """

    delegate: Literal["xnnpack", "gpu", "nnapi"]
    taken: float
    partitions: int
    left: tuple[PhoneOp, ...]
    source: str


class ParetoPoint(SchemaType, frozen=True, kw_only=True):
    """One accepted artifact among the others.

    accuracy: top-1 or mAP50-95 on `images` images (artifacts may have been measured on different
    ones: only losses compare), with the one-sided 95 % bounds of its loss seen from the baseline's.
    loss: drop against the baseline's. agreement: share of images or boxes that agree with the
    baseline's (0..1). latency_ms: median of one inference on this host, one
    thread: an order of magnitude, not a phone's figure. best: nothing beats it in both accuracy
    and bytes.
    """

    artifact: str
    format: Format
    precision: Precision
    accuracy: float | None = None
    bounds: tuple[float, float] | None = None
    loss: float | None = None
    agreement: float | None = None
    images: int | None = None
    bytes: int
    gzip_bytes: int | None = None
    macs: int | None = None
    latency_ms: float | None = None
    best: bool = False


class Recommendation(SchemaType, frozen=True, kw_only=True):
    """Which artifact to ship on a target, and why."""

    target: Literal["android", "ios", "server"]
    artifact: str
    reason: str
