"""From the hub to judged artifacts: convert, optimise, run, measure, and locate what failed."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from phoneproof.convert.routes import ROUTES
from phoneproof.core.binding import Format, Precision
from phoneproof.core.check import Check, Verdict, artifact_verdict
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16
from phoneproof.core.report import Attempt, Divergence
from phoneproof.decode.heads import class_maps
from phoneproof.pipeline.apple_float16 import with_islands
from phoneproof.pipeline.apple_images import run_on
from phoneproof.pipeline.artifact_steps import (
    PURE,
    ConvertStep,
    MadeArtifact,
    OptimizeStep,
    PredictStep,
    made_artifact,
)
from phoneproof.pipeline.core_ai_float16 import core_ai
from phoneproof.pipeline.gate import Hub, hub_run
from phoneproof.pipeline.judge_steps import (
    DivergeStep,
    Measured,
    MeasureStep,
    divergence,
    measured,
)
from phoneproof.pipeline.nms_step import with_nms
from phoneproof.pipeline.parts import predicted
from phoneproof.pipeline.request import ArtifactRequest, BuildRequest, is_quantized
from phoneproof.pipeline.step import Step, StepResult
from phoneproof.pipeline.workshop import Workshop
from phoneproof.verify.verdicts import accepted

FLOAT32_SHARES = (PURE, 0.1, 0.25)
"""How much of a smaller file may stay float32, tried in this order: at a quarter the file is still
three fifths of its parent, beyond that it is hardly worth making."""


@dataclass(frozen=True, kw_only=True)
class LinkResult:
    """What a chain of conversions knows of one of its links.

    edge: ``hub-onnx``. parent: the id of the artifact before it, null for the captured hub.
    checks: against the parent, none gating. broken: the link that broke the chain, here or
    before. direct: the same file by the direct route, where this is the end of the chain.
    """

    edge: str
    parent: str | None
    checks: tuple[Check, ...]
    broken: str | None = None
    direct: JudgedArtifact | None = None


@dataclass(frozen=True, kw_only=True)
class JudgedArtifact:
    """An artifact with its run, its checks and what they mean.

    attempts: candidates tried on the way. sensitivity: of its float32 parent's layers.
    calibration: the folder of the calibration that its ranges come from. held_to: the precision
    whose limits it was held to; null for the one it was asked for.
    """

    made: MadeArtifact
    run: Path
    measured: Measured
    accepted: bool
    divergence: Divergence | None = None
    attempts: tuple[Attempt, ...] = ()
    sensitivity: tuple[LayerDamage, ...] = ()
    calibration: Path | None = None
    held_to: Precision | None = None
    link: LinkResult | None = None

    @property
    def checks(self) -> tuple[Check, ...]:
        """Everything measured of it."""
        beside = self.link.checks if self.link is not None else ()
        return (*self.measured.checks, *beside)

    @property
    def verdict(self) -> Verdict:
        """That of its worst gating check."""
        return artifact_verdict(self.checks)


@dataclass(frozen=True, kw_only=True)
class ArtifactChain:
    """Everything that follows from one hub, each piece begun as early as it can be."""

    request: BuildRequest
    workshop: Workshop
    hub: Hub
    baseline: Future[StepResult]

    def start(self) -> tuple[Future[JudgedArtifact], ...]:
        """Begin all requested artifacts; futures in the order of the request."""
        from phoneproof.pipeline.classic_chain import ClassicChain
        from phoneproof.pipeline.ladder.prune import start_pruned

        parents = {
            wanted.format: self.workshop.call(partial(self._parent, wanted))
            for wanted in self._float32_requests()
        }
        chained = [wanted for wanted in self.request.artifacts if wanted.route == "classic"]
        classic = ClassicChain(chain=self, wanted=tuple(chained)).start() if chained else {}
        cut = [wanted for wanted in self.request.artifacts if wanted.prune is not None]
        pruned = start_pruned(self, tuple(cut)) if cut else {}
        return tuple(
            classic[wanted.id]
            if wanted.route == "classic"
            else pruned[wanted.id]
            if wanted.prune is not None
            else self.workshop.call(partial(self.finish, wanted, parents[wanted.format]))
            for wanted in self.request.artifacts
        )

    def _float32_requests(self) -> tuple[ArtifactRequest, ...]:
        """One float32 file a format: requested itself, or the parent of what is."""
        by_format: dict[Format, ArtifactRequest] = {}
        direct = [one for one in self.request.artifacts if one.route == "direct" and not one.prune]
        for wanted in sorted(direct, key=lambda one: one.precision != "float32"):
            by_format.setdefault(wanted.format, wanted)
        return tuple(by_format.values())

    def _parent(self, wanted: ArtifactRequest) -> MadeArtifact:
        """What the files of a format are made from: its float32 file; of Core AI, whose smaller
        files are made on the hub, only where that is asked for."""
        from phoneproof.pipeline.ladder.captured import hub_artifact

        if wanted.format == "coreai" and wanted.precision != "float32":
            return hub_artifact(self)
        return self.convert(wanted)

    def convert(self, wanted: ArtifactRequest) -> MadeArtifact:
        """The float32 file of a format, straight from the hub."""
        return self.from_hub(self.conversion(wanted, f"{wanted.format}-float32"))

    def conversion(
        self, wanted: ArtifactRequest, label: str, hub: MadeArtifact | None = None
    ) -> ConvertStep:
        """The step from a hub program (null: the captured one) to the float32 file of a format.

        label: of the file; people see it.
        """
        captured = self.hub
        return ConvertStep(
            link=ROUTES["direct"][wanted.format][0],
            label=label,
            source=captured.path if hub is None else hub.path,
            source_sha256=captured.info.sha256 if hub is None else hub.artifact.sha256,
            contract=self.request.contract,
            binding=captured.binding if hub is None else hub.artifact.binding,
            layout=wanted.layout,
            opset=wanted.opset,
            apple=wanted.apple,
            licence=self.request.inspection.evidence.license,
        )

    def from_hub(self, step: Step) -> MadeArtifact:
        """What a step makes of the captured hub: a float32 file, or a changed hub program."""
        return made_artifact(
            self.workshop.cache.result(step),
            requested="float32",
            parent=self.hub.info.sha256,
            step=step.name,
        )

    def finish(self, wanted: ArtifactRequest, parent: Future[MadeArtifact]) -> JudgedArtifact:
        """What was wanted of a format, judged; as a pipeline with NMS where that is asked for."""
        judged = self._finished(wanted, parent)
        return with_nms(self, wanted, judged) if wanted.nms and judged.accepted else judged

    def _finished(self, wanted: ArtifactRequest, parent: Future[MadeArtifact]) -> JudgedArtifact:
        """Judge what was wanted of a format; locate the fault where a float file fails."""
        made = parent.result()
        if wanted.format in ("coreml", "coreai") and is_quantized(wanted.precision):
            from phoneproof.pipeline.ladder.apple import compressed

            return compressed(self, wanted, made)
        if wanted.precision == "sparse":
            from phoneproof.pipeline.ladder.sparse import sparse

            return sparse(self, wanted, made)
        if is_quantized(wanted.precision):
            from phoneproof.pipeline.ladder.climb import climb

            return climb(self, wanted, made)
        judged = (
            self.judge(made)
            if wanted.precision == "float32"
            else self._first_accepted(wanted, made)
        )
        if artifact_verdict(judged.checks) != "fail":
            return judged
        return replace(judged, divergence=self.locate(judged.made, judged.checks))

    def _first_accepted(self, wanted: ArtifactRequest, parent: MadeArtifact) -> JudgedArtifact:
        """The candidate with the least float32 that is accepted; else the first, refused."""
        if wanted.format == "coreml":
            return with_islands(self, wanted, parent)
        if wanted.format == "coreai":
            return core_ai(self, wanted).judged
        refused: list[JudgedArtifact] = []
        for share in FLOAT32_SHARES:
            judged = self.judge(self._optimize(wanted, parent, share))
            if judged.accepted:
                return replace(judged, attempts=tuple(map(attempt, refused)))
            refused.append(judged)
        return replace(refused[0], attempts=tuple(map(attempt, refused[1:])))

    def _optimize(
        self, wanted: ArtifactRequest, parent: MadeArtifact, float32_share: float
    ) -> MadeArtifact:
        step = OptimizeStep(
            label=f"float16, {float32_share:.0%} float32" if float32_share > PURE else "float16",
            format=wanted.format,
            recipe=Float16(float32_share=float32_share),
            artifact=parent.path,
            artifact_sha256=parent.artifact.sha256,
            contract=self.request.contract,
            binding=parent.artifact.binding,
        )
        result = self.workshop.cache.result(step)
        return made_artifact(
            result,
            requested=wanted.precision,
            parent=parent.artifact.sha256,
            step=step.name,
            suffix=wanted.suffix,
            folder=str(PurePosixPath(parent.artifact.path).parent),
        )

    def judge(
        self,
        made: MadeArtifact,
        *,
        images: ImageSet | None = None,
        requested: Precision | None = None,
        parent: PredictStep | None = None,
    ) -> JudgedArtifact:
        """Run an artifact on images (null: all that its format is judged on) and compare it with
        the baseline.

        requested: what it is held to (null: what it was asked for). A repaired file is held to
        that, not to what it became. parent: runs the file it was made from, to be compared too.
        """
        artifact = made.artifact
        images = images or self._images_for(artifact.format)
        precision = requested or artifact.requested
        limits = self.request.limits_for(precision, artifact.format)
        run = predicted(self.workshop, self.run_of(made, images))
        before = predicted(self.workshop, parent).folder if parent is not None else None
        result = self.workshop.cache.result(
            MeasureStep(
                label=artifact.id,
                baseline=self.baseline.result().folder,
                candidate=run.folder,
                images=images,
                contract=self.request.contract,
                precision=precision,
                limits=limits,
                parent=before,
                baseline_bytes=self.request.inspection.bytes,
                candidate_bytes=artifact.bytes,
                shown_at=artifact.binding.own_confidence,
                class_maps=class_maps(
                    self.request.contract, self.hub.binding, self.request.inspection.outputs
                ),
                outputs_kept=not artifact.binding.rows_vary,
            )
        )
        found = measured(result.folder)
        return JudgedArtifact(
            made=made,
            run=run.folder,
            measured=found,
            accepted=accepted(found.checks, limits),
        )

    def run_of(self, made: MadeArtifact, images: ImageSet | None = None) -> PredictStep:
        """The step that runs an artifact over images (null: all that its format is judged on)."""
        artifact = made.artifact
        return PredictStep(
            label=artifact.id,
            format=artifact.format,
            path=made.path,
            sha256=artifact.sha256,
            contract=self.request.contract,
            binding=artifact.binding,
            images=images or self._images_for(artifact.format),
        )

    def _images_for(self, format_: Format) -> ImageSet:
        return run_on(format_, self.request.images, self.request.contract.image.size)

    def locate(
        self, made: MadeArtifact, checks: tuple[Check, ...], hub: PredictStep | None = None
    ) -> Divergence | None:
        """The first layer that left the hub program which `hub` runs (null: the captured one)."""
        artifact = made.artifact
        hub = hub or hub_run(self.request, self.hub)
        step = DivergeStep(
            label=artifact.id,
            hub=hub.path,
            hub_sha256=hub.sha256,
            hub_binding=hub.binding,
            format=artifact.format,
            artifact=made.path,
            artifact_sha256=artifact.sha256,
            binding=artifact.binding,
            contract=self.request.contract,
            image=worst_image(self.request.images, checks),
        )
        return divergence(self.workshop.cache.result(step).folder)


def attempt(judged: JudgedArtifact) -> Attempt:
    """What a report says of a candidate that was measured on the way."""
    return Attempt(
        what=judged.made.artifact.lineage.step,
        bytes=judged.made.artifact.bytes,
        failed=not_passed(judged.checks),
    )


def not_passed(checks: tuple[Check, ...]) -> tuple[tuple[str, float | None], ...]:
    """(name with slice, value) of every gating check that did not pass."""
    return tuple(
        (f"{check.name} {check.slice}".strip(), check.value)
        for check in checks
        if check.gating and check.verdict != "pass"
    )


def worst_image(images: ImageSet, checks: tuple[Check, ...]) -> ImageItem:
    """The worst image of the first failed gating check that names one; else the first image."""
    by_hash = {item.sha256: item for item in images.items}
    for check in checks:
        if check.gating and check.verdict == "fail" and check.worst:
            return by_hash[check.worst[0].sha256]
    return images.items[0]
