"""A build as data: everything decided before the first step runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from phoneproof.capture.base import Factory
from phoneproof.capture.factory_files import FactoryFiles
from phoneproof.convert.routes import Route
from phoneproof.core.apple import AppleForm
from phoneproof.core.binding import Binding, Format, Layout, Precision
from phoneproof.core.capture import Hazard, Inspection
from phoneproof.core.contract import Contract, Size
from phoneproof.core.dataset import ImageSet
from phoneproof.core.engine import AndroidEngine
from phoneproof.core.errors import ConfigError
from phoneproof.core.recipe import Io, Prune
from phoneproof.data.split import Splits
from phoneproof.pipeline.capture_steps import BaselineStep
from phoneproof.pipeline.config_types import ChecksConfig, TargetName
from phoneproof.pipeline.live import LiveBaselineStep
from phoneproof.pipeline.step import Step
from phoneproof.verify.limits import Limits, limits_for

DEFAULT_BUDGET = 600.0
"""Seconds of one repair ladder, unless the user says otherwise."""

TARGET_LAYOUT: dict[Format, Layout] = {
    "hub": "NCHW",
    "onnx": "NCHW",
    "saved_model": "NHWC",
    "tflite": "NHWC",
    "coreml": "NCHW",
    "coreai": "NCHW",
}
"""What each format's users expect (DESIGN section 8)."""


INTEGERS: frozenset[Precision] = frozenset({"dynamic_wi8", "weight_only_wi8", "static_wi8_ai8"})
"""What the repair ladder climbs to."""


def is_quantized(precision: Precision) -> bool:
    """Whether a precision rounds to integers or to zeros, and so has to be found by a ladder."""
    return precision not in ("float32", "float16")


class BuildSource(Protocol):
    """Where the trained model is: a file, or a live module in this process."""

    @property
    def name(self) -> str:
        """What people call it; no folder."""
        ...

    @property
    def sha256(self) -> str:
        """Of everything that decides what the model computes."""
        ...

    def hub_step(self, *, inspection: Inspection, size: Size, batch: int, importer: int) -> Step:
        """The step that writes the hub program."""
        ...

    def baseline_step(
        self, *, contract: Contract, binding: Binding, images: ImageSet
    ) -> BaselineStep | LiveBaselineStep:
        """The step that writes the source's own predictions."""
        ...


@dataclass(frozen=True, kw_only=True)
class Finetune:
    """The user's own training of a pruned network. files: what it consists of. sha256: theirs when
    the build began.
    """

    code: Factory
    files: FactoryFiles
    sha256: str

    def require_unchanged(self) -> None:
        """Its result is kept under the hash of the beginning, hours later perhaps.

        Raises:
            ConfigError: a file was edited, moved or removed since then.
        """
        try:
            found = self.files.sha256
        except OSError as error:
            found = f"{type(error).__name__}: {error}"
        if found != self.sha256:
            raise ConfigError(
                f"the code of {self.code.called} {self.code.target} changed since the build began",
                found=found
                if " " in found
                else f"hash {found[:12]} in place of {self.sha256[:12]}",
                next_step="build again; what was finished is kept",
            )


@dataclass(frozen=True, kw_only=True)
class ArtifactRequest:
    """One artifact the user asked for. `opset` matters to ONNX alone.

    route: how it is reached. suffix: of the id, where another route makes the same format. io:
    types at the border of a file with int8 activations. repair: whether other recipes than the
    first are tried where that one is refused. prune: how much of the model shall be left, where it
    shall lose channels. finetune: who trains what is left; null: the original. apple: how a Core
    ML file is written. nms: whether a Core ML file ends in Core ML's own suppression.
    """

    format: Format
    precision: Precision
    layout: Layout
    opset: int = 12
    route: Route = "direct"
    suffix: str = ""
    io: Io = field(default_factory=Io)
    repair: bool = True
    prune: Prune | None = None
    finetune: Finetune | None = None
    apple: AppleForm = field(default_factory=AppleForm)
    nms: bool = False

    @property
    def id(self) -> str:
        """Format and precision, as in the report."""
        return f"{self.format}-{self.precision}{self.suffix}"


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What to build from what, and what to hold it to.

    hub_binding: how the hub program will carry the contract. targets: that were asked for. golden:
    the user's own pictures that may ship; none means generated ones. production: unlabelled
    pictures as the app will see them, where named. splits: what quantization calibrates, selects
    and confirms on; null where nothing is quantized. budget: seconds that one artifact's repair
    ladder may take. engine: of the Android app; null: no app. destination: the bundle's folder.
    """

    source: BuildSource
    inspection: Inspection
    contract: Contract
    hub_binding: Binding
    images: ImageSet
    dataset_kind: str
    artifacts: tuple[ArtifactRequest, ...]
    targets: tuple[TargetName, ...] = ()
    checks: ChecksConfig = field(default_factory=ChecksConfig)
    hazards: tuple[Hazard, ...] = ()
    golden: tuple[Path, ...] = ()
    production: ImageSet | None = None
    splits: Splits | None = None
    budget: float = DEFAULT_BUDGET
    engine: AndroidEngine | None = None
    destination: Path

    def limits_for(self, precision: Precision, format_: Format) -> Limits:
        """The default limits of a precision in a format under what ``[checks]`` says."""
        given = {name: getattr(self.checks, name) for name in self.checks.__struct_fields__}
        return msgspec.structs.replace(
            limits_for(precision, format_),
            **{name: v for name, v in given.items() if v is not None},
        )
