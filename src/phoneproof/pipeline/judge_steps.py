"""Steps that judge: measure a run against the baseline, and find the layer that broke it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.binding import Binding, Format, Precision
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import Unsupported
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.report import Divergence
from phoneproof.pipeline.artifact_steps import runtime_info
from phoneproof.pipeline.prediction import PREDICTIONS
from phoneproof.verify.limits import Limits

if TYPE_CHECKING:
    from phoneproof.runtimes.predict import Prediction

MEASURED = "measured.json"
DIVERGENCE = "divergence.json"
LAYER_TOLERANCE: dict[Precision, float] = {
    "float32": 1e-3,
    "float16": 1e-2,
    "mixed": 1e-2,
}
"""How far a layer may move, relative to its largest magnitude, before it is called wrong: float16
rounds every weight by up to 5e-4, and a few dozen layers add that up."""

_STATISTICS_TOOLS = ("numpy", "scipy", "faster-coco-eval")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one run, the score pairs of the confidence plot, and the run it came from.

    against_parent: how far the run left that of the file it was made from; empty where nobody
    asked. None of them gates.
    """

    checks: tuple[Check, ...]
    scores: tuple[tuple[float, float], ...]
    against_parent: tuple[Check, ...] = ()


def measured(folder: Path) -> Measured:
    """What a MeasureStep left in `folder`."""
    return parse((folder / MEASURED).read_bytes(), Measured, what="measurement")


@dataclass(frozen=True, kw_only=True)
class MeasureStep:
    """Two prediction folders -> ``measured.json``. Limits and labels matter only here.

    images: those that count; the runs may hold others too. parent: the run of the file the
    candidate was made from, compared beside the baseline. shown_at: the candidate's own threshold.
    class_maps: outputs of class numbers.
    outputs_kept: false for a candidate that gives nothing but what the app shows.
    """

    label: str
    baseline: Path
    candidate: Path
    images: ImageSet
    contract: Contract
    precision: Precision
    limits: Limits
    is_hub: bool = False
    parent: Path | None = None
    baseline_bytes: int | None = None
    candidate_bytes: int | None = None
    shown_at: float | None = None
    class_maps: frozenset[str] = frozenset()
    outputs_kept: bool = True

    tools = _STATISTICS_TOOLS

    @property
    def name(self) -> str:
        """Named by what is judged."""
        return f"verify {self.label}"

    def identity(self) -> object:
        """Both runs (by their addresses), the labels, and the limits."""
        return (
            self.baseline.name,
            self.candidate.name,
            labels_of(self.images),
            self.contract,
            self.precision,
            self.limits,
            self.is_hub,
            self.parent.name if self.parent is not None else None,
            self.baseline_bytes,
            self.candidate_bytes,
            self.shown_at,
            sorted(self.class_maps),
            self.outputs_kept,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``measured.json``."""
        from phoneproof.verify.measure import hub_equivalence, measure

        del progress
        baseline = predictions_of(self.baseline, self.images)
        candidate = predictions_of(self.candidate, self.images)
        runtime = runtime_info(self.candidate)
        shown = f"{runtime.name} ({runtime.version})"
        if self.is_hub:
            checks = hub_equivalence(
                baseline,
                candidate,
                images=self.images,
                contract=self.contract,
                limits=self.limits,
                runtime=shown,
                device=runtime.device,
                class_maps=self.class_maps,
            )
            result = Measured(checks=checks, scores=())
        else:
            found = measure(
                baseline=baseline,
                candidate=candidate,
                images=self.images,
                contract=self.contract,
                precision=self.precision,
                limits=self.limits,
                runtime=shown,
                device=runtime.device,
                baseline_bytes=self.baseline_bytes,
                candidate_bytes=self.candidate_bytes,
                shown_at=self.shown_at,
                class_maps=self.class_maps,
                outputs_kept=self.outputs_kept,
            )
            result = Measured(
                checks=found.checks,
                scores=found.scores,
                against_parent=self._against_parent(shown, runtime.device),
            )
        (output / MEASURED).write_bytes(pretty_bytes(result))

    def _against_parent(self, runtime: str, device: str) -> tuple[Check, ...]:
        from phoneproof.verify.measure import agreement

        if self.parent is None:
            return ()
        return agreement(
            predictions_of(self.parent, self.images),
            predictions_of(self.candidate, self.images),
            images=self.images,
            contract=self.contract,
            limits=self.limits,
            runtime=runtime,
            device=device,
            class_maps=self.class_maps,
        )


@dataclass(frozen=True, kw_only=True)
class OnLabelsStep:
    """The source's predictions against the labels -> ``measured.json``."""

    run_folder: Path
    images: ImageSet
    contract: Contract

    name = "verify source"
    tools = _STATISTICS_TOOLS

    def identity(self) -> object:
        """The run (by its address) and the labels."""
        return self.run_folder.name, labels_of(self.images), self.contract

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``measured.json``."""
        from phoneproof.runtimes.prediction_store import read_predictions
        from phoneproof.verify.measure import on_labels

        del progress
        runtime = runtime_info(self.run_folder)
        checks = on_labels(
            read_predictions(self.run_folder / PREDICTIONS),
            images=self.images,
            contract=self.contract,
            runtime=f"{runtime.name} ({runtime.version})",
            device=runtime.device,
        )
        (output / MEASURED).write_bytes(pretty_bytes(Measured(checks=checks, scores=())))


def predictions_of(run: Path, images: ImageSet) -> Iterator[Prediction]:
    """The predictions of a run on `images` alone; both are sorted by content hash."""
    from phoneproof.runtimes.prediction_store import read_predictions

    wanted = {item.sha256 for item in images.items}
    return (one for one in read_predictions(run / PREDICTIONS) if one.sha256 in wanted)


def labels_of(images: ImageSet) -> object:
    """What a measurement against labels depends on."""
    labels = [(item.name, item.sha256, item.label, item.boxes) for item in images.items]
    return labels, images.split


@dataclass(frozen=True, kw_only=True)
class DivergeStep:
    """Run hub and artifact layer by layer on one image -> ``divergence.json``."""

    label: str
    hub: Path
    hub_sha256: str
    hub_binding: Binding
    format: Format
    artifact: Path
    artifact_sha256: str
    binding: Binding
    contract: Contract
    image: ImageItem

    tools = ("torch", "onnx", "onnxruntime", "ai-edge-litert", "numpy")

    @property
    def name(self) -> str:
        """Named by the artifact that failed."""
        return f"locate the fault in {self.label}"

    def identity(self) -> object:
        """Both files, how they are fed, and the image."""
        return (
            self.hub_sha256,
            self.hub_binding,
            self.artifact_sha256,
            self.binding,
            self.contract,
            self.image.sha256,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``divergence.json``: a Divergence, or null where every layer agrees."""
        from phoneproof.pixels.image import read_image
        from phoneproof.pixels.preprocess import Preprocessor
        from phoneproof.runtimes.base import RUNTIMES
        from phoneproof.verify.divergence import first_divergence

        del progress
        spec = self.contract.image
        rgb = read_image(self.image.path, spec)
        feeds = [
            {binding.image.tensor: Preprocessor(spec, binding.image).prepare(rgb).tensor}
            for binding in (self.hub_binding, self.binding)
        ]
        try:
            hub = RUNTIMES.load("hub").open_for_trace(self.hub)
            artifact = RUNTIMES.load(self.format).open_for_trace(self.artifact)
        except Unsupported as error:
            unseen = Divergence(layer="not located", explanation=error.failed)
            (output / DIVERGENCE).write_bytes(pretty_bytes(unseen))
            return
        found = first_divergence(
            hub=hub,
            artifact=artifact,
            hub_inputs=feeds[0],
            artifact_inputs=feeds[1],
            tolerance=LAYER_TOLERANCE.get(self.binding.precision, LAYER_TOLERANCE["float32"]),
        )
        located = (
            None if found is None else Divergence(layer=found.layer, explanation=found.explanation)
        )
        (output / DIVERGENCE).write_bytes(pretty_bytes(located))


def divergence(folder: Path) -> Divergence | None:
    """What a DivergeStep left in `folder`."""
    kind: type[Divergence | None] = Divergence | None  # type: ignore[assignment]
    return parse((folder / DIVERGENCE).read_bytes(), kind, what="divergence")
