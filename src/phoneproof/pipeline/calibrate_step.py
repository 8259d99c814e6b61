"""Calibration: the images picked, and the range of every activation of one float32 file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phoneproof.core.binding import Binding, Format
from phoneproof.core.capture import Hazard
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import content_hash, parse, pretty_bytes
from phoneproof.core.optimization import CalibrationReport
from phoneproof.core.recipe import Ranges
from phoneproof.optimize.read_bounds import RANGES
from phoneproof.pipeline.calibration_pool import Eye, with_predictions
from phoneproof.pipeline.capture_steps import PIXEL_TOOLS
from phoneproof.pipeline.judge_steps import labels_of

if TYPE_CHECKING:
    from phoneproof.optimize.calibrate import Calibration
    from phoneproof.optimize.pick import Picked

CALIBRATION: Final = "calibration.json"
HAZARDS: Final = "calibration_hazards.json"

LOOKED_AT: Final = 1024
"""Of a larger pool, as many images are looked at: those with the lowest hashes, a fair sample."""

_COLOUR_SAMPLE: Final = 32
_SHOWN: Final = 3


@dataclass(frozen=True, kw_only=True)
class CalibrateStep:
    """Calibration images -> ``ranges.json``, ``calibration.json``, ``calibration_hazards.json``.

    artifact: a float32 file. images: the pool to pick from. limit: how many images at most.
    judged_on: the evaluation images, where the pool is a folder of its own: a grey pool is
    refused for a model that is judged on colour.
    """

    label: str
    format: Format
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet
    limit: int = 100
    judged_on: ImageSet | None = None

    tools = (*PIXEL_TOOLS, "ai-edge-litert", "onnx", "onnxruntime")

    @property
    def name(self) -> str:
        """Named by the file."""
        return f"calibrate {self.label}"

    def identity(self) -> object:
        """The file, how it is fed, the pool with its labels, and how many are picked."""
        return (
            self.format,
            self.artifact_sha256,
            self.contract,
            self.binding,
            labels_of(self.images),
            self.limit,
            None if self.judged_on is None else self.judged_on.ref,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Pick the images, run them, and write what was found.

        Raises:
            InvalidInput: too few, blank, identical or grey images.
            OptimizationFailed: an activation that is not finite.
        """
        from phoneproof.optimize.calibrate import calibrate
        from phoneproof.optimize.consumers import file_consumers
        from phoneproof.runtimes.base import RUNTIMES

        eye = Eye(self.contract, self.binding)
        picked = self._picked(eye, progress)
        chosen = {image.sha256 for image in picked.images}
        items = tuple(item for item in self.images.items if item.sha256 in chosen)
        session = RUNTIMES.load(self.format).open_for_trace(self.artifact)
        feeds = eye.feeds(items)
        total = -(-len(items) // max(1, self.binding.image.shape[0]))
        seen = calibrate(session, feeds, total=total, progress=progress)
        consumers = file_consumers(self.artifact, self.format, self.binding)
        ranges = seen.ranges(self.artifact_sha256, consumers)
        (output / RANGES).write_bytes(pretty_bytes(ranges))
        self._report(output, picked, seen)

    def _picked(self, eye: Eye, progress: Progress) -> Picked:
        from phoneproof.optimize.pick import pick, require_colour
        from phoneproof.runtimes.base import RUNTIMES

        items = self.images.items[:LOOKED_AT]
        candidates = eye.candidates(items, progress)
        if self.judged_on is not None and self.contract.image.channels != "gray":
            sample = self.judged_on.items[:_COLOUR_SAMPLE]
            require_colour(candidates, eye.saturations(sample))
        if len(candidates) > self.limit:
            session = RUNTIMES.load(self.format).open(self.artifact)
            candidates = with_predictions(
                candidates, items, session, self.contract, self.binding, progress
            )
        return pick(candidates, self.limit)

    def _report(self, output: Path, picked: Picked, seen: Calibration) -> None:
        from phoneproof.optimize.stability import stability, too_small

        found = stability(seen)
        named = sum(label is not None for label in self.contract.labels)
        report = CalibrationReport(
            images=picked.images,
            pool=len(self.images.items),
            hash=content_hash([image.sha256 for image in picked.images]),
            classes=(len(picked.covered), named) if picked.covered else None,
            stability=found,
        )
        (output / CALIBRATION).write_bytes(pretty_bytes(report))
        hazards = (too_small(found, len(picked.images)), _left_out(picked))
        said = tuple(hazard for hazard in hazards if hazard is not None)
        (output / HAZARDS).write_bytes(pretty_bytes(said))


def ranges_of(folder: Path) -> Ranges:
    """The ranges that a CalibrateStep left in `folder`."""
    return parse((folder / RANGES).read_bytes(), Ranges, what=RANGES)


def calibration_of(folder: Path) -> CalibrationReport:
    """The images that a CalibrateStep took and how stable they are."""
    return parse((folder / CALIBRATION).read_bytes(), CalibrationReport, what=CALIBRATION)


def calibration_hazards(folder: Path) -> tuple[Hazard, ...]:
    """What to know of a calibration: too small a set, images that were left out."""
    return parse((folder / HAZARDS).read_bytes(), tuple[Hazard, ...], what=HAZARDS)


def _left_out(picked: Picked) -> Hazard | None:
    if not picked.left_out:
        return None
    shown = "; ".join(f"{name}: {why}" for name, why in picked.left_out[:_SHOWN])
    more = "; ..." if len(picked.left_out) > _SHOWN else ""
    return Hazard(
        name="calibration images left out",
        found=f"{len(picked.left_out)} say nothing ({shown}{more})",
        next_step="replace them with pictures like those the app will see",
        severity="note",
    )
