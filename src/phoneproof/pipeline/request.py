"""A build as data: everything decided before the first step runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from phoneproof.core.binding import Binding, Format, Layout, Precision
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.pipeline.capture_steps import Source
from phoneproof.verify.limits import Limits

TARGET_LAYOUT: dict[Format, Layout] = {"onnx": "NCHW", "tflite": "NHWC"}
"""What each format's users expect (DESIGN section 8)."""


@dataclass(frozen=True, kw_only=True)
class ArtifactRequest:
    """One artifact the user asked for. `opset` matters to ONNX alone."""

    format: Format
    precision: Precision
    layout: Layout
    opset: int = 12

    @property
    def id(self) -> str:
        """Format and precision, as in the report."""
        return f"{self.format}-{self.precision}"


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build from what, and what to hold it to.

    hub_binding: how the hub program will carry the contract. golden: the user's own pictures
    that may ship; none means generated ones. destination: the bundle's folder.
    """

    source: Source
    inspection: Inspection
    contract: Contract
    hub_binding: Binding
    images: ImageSet
    dataset_kind: str
    artifacts: tuple[ArtifactRequest, ...]
    limits: Limits = field(default_factory=Limits)
    golden: tuple[Path, ...] = ()
    destination: Path
