"""What a phone measured (schema ``phoneproof.device-results/1``), and what is concluded from it.

One document speaks of one artifact on one device. Written by the Apple kit of a bundle and by
Android's self-test alike; `phoneproof verify --results` reads it. A document claims nothing that
is believed: it carries the values that the device's engine gave, and every distance and verdict
is computed here, from them.
"""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

import msgspec

from phoneproof.core.binding import DType
from phoneproof.core.check import Check, Verdict
from phoneproof.core.golden import GoldenBox, GoldenClass
from phoneproof.core.schema import SchemaType

AcceleratorKind = Literal["cpu", "gpu", "npu", "any"]
"""What an engine was allowed to use. gpu, npu: beside the CPU, which takes what they do not."""

Thermal = Literal["nominal", "fair", "serious", "critical", "unknown"]
"""Apple's four states. Of Android's: none is nominal, light and moderate are fair, severe is
serious, everything above is critical."""

Hash = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Text = Annotated[str, msgspec.Meta(max_length=500, pattern=r"^(?![\s\S]*[\x00-\x1f\x7f])")]
"""One line: what an untrusted document says is shown in a terminal."""

SCHEMA: Final = "phoneproof.device-results/1"


class Device(SchemaType, frozen=True, kw_only=True):
    """The device. model: as its maker calls it in software (``iPhone17,3``, ``Pixel 9``). name:
    as people call it (``iPhone 16``), empty where unknown. chip: empty where unknown."""

    model: Text
    name: Text = ""
    os: Text
    os_version: Text
    chip: Text = ""

    @property
    def title(self) -> str:
        """The name, else the model."""
        return self.name or self.model


class MadeBy(SchemaType, frozen=True, kw_only=True):
    """The program that wrote the document."""

    name: Text
    version: Text


class RecordedOutput(SchemaType, frozen=True, kw_only=True):
    """One output tensor of one golden case, as the engine gave it.

    values: base64 (RFC 4648, padded) of the elements 0, every, 2 * every, ... of the flattened
    tensor, little-endian, of the dtype and the step that the golden index gives. max_abs, snr_db:
    the device's own reckoning against the golden values, for whoever stands before it.
    """

    name: Text
    dtype: DType
    every: Annotated[int, msgspec.Meta(ge=1)] = 1
    values: str
    max_abs: float | None = None
    snr_db: float | None = None


class RecordedVector(SchemaType, frozen=True, kw_only=True):
    """What became of one golden case.

    input_sha256: of the input tensor's little-endian bytes as they were fed; null where the
    engine takes pictures. classes, boxes: what the app's own decode made of the outputs, null
    where none ran.
    """

    case: Text
    input_sha256: Hash | None = None
    outputs: tuple[RecordedOutput, ...]
    classes: tuple[GoldenClass, ...] | None = None
    boxes: tuple[GoldenBox, ...] | None = None


class DeviceLatency(SchemaType, frozen=True, kw_only=True):
    """Milliseconds of one inference, pre- and post-processing apart.

    n: timed runs, after `warm_up` others. first_ms: the very first run after loading.
    """

    n: Annotated[int, msgspec.Meta(ge=1)]
    warm_up: Count = 0
    first_ms: float | None = None
    p50_ms: float
    p95_ms: float

    def __post_init__(self) -> None:
        _require_times(("first_ms", self.first_ms), ("p50_ms", self.p50_ms))
        _require_times(("p95_ms", self.p95_ms))
        if self.p95_ms < self.p50_ms:
            raise ValueError("p95_ms is below p50_ms")


class Sustained(SchemaType, frozen=True, kw_only=True):
    """One inference after the other for some time: does it throttle?

    first_p50_ms, last_p50_ms: medians of the first and of the last tenth of the runs.
    """

    seconds: float
    n: Annotated[int, msgspec.Meta(ge=1)]
    first_p50_ms: float
    last_p50_ms: float
    thermal: Thermal = "unknown"

    def __post_init__(self) -> None:
        _require_times(("seconds", self.seconds), ("first_p50_ms", self.first_p50_ms))
        _require_times(("last_p50_ms", self.last_p50_ms))


class Accelerator(SchemaType, frozen=True, kw_only=True):
    """One way to run the model on the device.

    name: as its maker calls it (``Neural Engine``, ``GPU delegate``). threads: where it was set.
    precision: what it was told to compute in where that is less than what the file holds (GPU
    delegates compute float32 files in float16). state: ``unavailable`` where the device or its
    system has no such thing, ``failed`` where it broke; `reason` says why. placed: how many
    operators the engine planned for each kind, where it says so. load_ms: loading and preparing.
    """

    kind: AcceleratorKind
    name: Text
    threads: Annotated[int, msgspec.Meta(ge=1)] | None = None
    precision: Literal["float32", "float16"] | None = None
    state: Literal["ran", "unavailable", "failed"]
    reason: Text = ""
    vectors: tuple[RecordedVector, ...] = ()
    placed: tuple[tuple[Literal["cpu", "gpu", "npu", "unknown"], Count], ...] = ()
    load_ms: float | None = None
    latency: DeviceLatency | None = None
    sustained: Sustained | None = None
    thermal: Thermal = "unknown"

    def __post_init__(self) -> None:
        _require_times(("load_ms", self.load_ms))

    @property
    def title(self) -> str:
        """``CPU, 4 threads``."""
        if self.threads is None:
            return self.name
        return f"{self.name}, {self.threads} thread{'' if self.threads == 1 else 's'}"


class DeviceResults(SchemaType, frozen=True, kw_only=True):
    """Everything one device measured of one artifact.

    created: ISO 8601, UTC. contract, golden: sha256 of the contract and of the bundle's
    ``golden/index.json``. artifact: sha256 that the device computed of the file or folder it
    loaded. engine: what ran it (``Core ML``, ``LiteRT``).
    """

    schema: Literal["phoneproof.device-results/1"] = "phoneproof.device-results/1"
    created: Text
    made_by: MadeBy
    device: Device
    contract: Hash
    golden: Hash
    artifact: Hash
    engine: Text
    engine_version: Text = ""
    accelerators: Annotated[tuple[Accelerator, ...], msgspec.Meta(min_length=1)]


class AcceleratorReport(SchemaType, frozen=True, kw_only=True):
    """One accelerator judged. verdict: null where it was not available on the device."""

    kind: AcceleratorKind
    title: str
    state: Literal["ran", "unavailable", "failed"]
    reason: str = ""
    verdict: Verdict | None = None
    checks: tuple[Check, ...] = ()
    placed: tuple[tuple[str, int], ...] = ()
    load_ms: float | None = None
    latency: DeviceLatency | None = None
    sustained: Sustained | None = None
    thermal: Thermal = "unknown"


class DeviceReport(SchemaType, frozen=True, kw_only=True):
    """One artifact on one device, judged. file: the document's copy in the bundle."""

    file: str
    sha256: str
    artifact: str
    device: Device
    engine: str
    made_by: MadeBy
    created: str
    verdict: Verdict
    accelerators: tuple[AcceleratorReport, ...]


def _require_times(*named: tuple[str, float | None]) -> None:
    for name, value in named:
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a number of zero or more")
