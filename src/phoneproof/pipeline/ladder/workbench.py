"""What the ladder does with its hands: makes float32 trunks, candidates from them, and measures."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import msgspec

from phoneproof.core.artifact import Artifact
from phoneproof.core.binding import Precision
from phoneproof.core.contract import Decode
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16, RangeMethod, Recipe, Split, Static
from phoneproof.core.report import Attempt
from phoneproof.data.split import Splits
from phoneproof.optimize.read_bounds import RANGES
from phoneproof.pipeline.apple_images import run_on
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact, not_passed
from phoneproof.pipeline.artifact_steps import MadeArtifact, OptimizeStep, made_artifact
from phoneproof.pipeline.calibrate_step import CalibrateStep, calibration_of, ranges_of
from phoneproof.pipeline.classic_chain import FOLDER
from phoneproof.pipeline.core_ai_float16 import converted
from phoneproof.pipeline.ladder.threshold import OwnThreshold
from phoneproof.pipeline.ladder.tries import (
    BROKE,
    Rung,
    Tried,
    Trunk,
    broken_attempt,
    measured_attempt,
)
from phoneproof.pipeline.ladder.wide import Layer
from phoneproof.pipeline.process import BuildStopped
from phoneproof.pipeline.prune_step import FOLDER as PRUNED
from phoneproof.pipeline.rebind_step import RebindStep
from phoneproof.pipeline.repair_step import RepairStep
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.pipeline.sensitivity_step import SensitivityStep, sensitivity_of
from phoneproof.pipeline.step import Step


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """Everything that serves one wanted artifact.

    chain: what the build has. splits: the images to calibrate, select and confirm on.
    """

    chain: ArtifactChain
    wanted: ArtifactRequest
    splits: Splits

    def calibrated(self, trunk: Trunk) -> Trunk:
        """The trunk with the ranges of its activations.

        Raises:
            InvalidInput: too few calibration images, or blank or identical ones.
            OptimizationFailed: an activation that is not finite.
        """
        artifact = trunk.made.artifact
        step = CalibrateStep(
            label=_named(artifact.id, trunk.words),
            format=artifact.format,
            artifact=trunk.made.path,
            artifact_sha256=artifact.sha256,
            contract=self.chain.request.contract,
            binding=artifact.binding,
            images=self.splits.calibration,
            judged_on=self.splits.selection,
        )
        folder = self.chain.workshop.cache.result(step).folder
        picked = {image.sha256 for image in calibration_of(folder).images}
        items = tuple(one for one in self.splits.calibration.items if one.sha256 in picked)
        return replace(trunk, ranges=folder, taught_by=ImageSet(split="calibration", items=items))

    def split(self) -> Trunk:
        """A float32 file with outputs of their own for what does not share a range.

        Raises:
            OptimizationFailed: the head is of no known kind, or the split one is another model.
        """
        chain, contract = self.chain, self.chain.request.contract
        step = OptimizeStep(
            label="split heads",
            format="hub",
            recipe=Split(layout=self.wanted.layout),
            artifact=chain.hub.path,
            artifact_sha256=chain.hub.info.sha256,
            contract=contract,
            binding=chain.hub.binding,
        )
        trunk = Trunk(made=self._converted(chain.from_hub(step)), words="split heads")
        self._require_same(trunk)
        return trunk

    def repaired(self, trunk: Trunk, repairer: str, recipe: Static, seconds: float) -> Trunk:
        """The trunk after one of the repairs before rounding, with its ranges.

        Raises:
            OptimizationFailed: nothing that this repair could change.
        """
        artifact = trunk.made.artifact
        step = RepairStep(
            repairer=repairer,
            label=_named(artifact.id, trunk.words),
            artifact=trunk.made.path,
            artifact_sha256=artifact.sha256,
            contract=self.chain.request.contract,
            binding=artifact.binding,
            recipe=recipe,
            ranges=_folder(trunk),
            images=trunk.taught_by,
            seconds=seconds,
        )
        result = self.chain.workshop.cache.result(step)
        made = made_artifact(result, requested="float32", parent=artifact.sha256, step=step.name)
        word = repairer.partition("-")[2]
        changed = Trunk(made=made, words=f"{trunk.words}, {word}".removeprefix(", "))
        if (result.folder / RANGES).is_file():
            return replace(changed, ranges=result.folder, taught_by=trunk.taught_by)
        return self.calibrated(changed)

    def damage(self, trunk: Trunk, method: RangeMethod) -> tuple[LayerDamage, ...]:
        """The layers of a calibrated trunk, the most harmful to quantize first."""
        step = SensitivityStep(
            label=_named(trunk.made.artifact.id, trunk.words),
            artifact=trunk.made.path,
            artifact_sha256=trunk.made.artifact.sha256,
            contract=self.chain.request.contract,
            binding=trunk.made.artifact.binding,
            ranges=_folder(trunk),
            method=method,
            images=trunk.taught_by,
        )
        return sensitivity_of(self.chain.workshop.cache.result(step).folder)

    def attempt(self, rung: Rung, what: str, trunk: Trunk, recipe: Recipe) -> Tried:
        """Make one candidate and measure it on the selection images."""
        started = time.monotonic()
        words = _named(what, trunk.words)
        try:
            made = self._optimized(words, trunk, recipe)
            judged = self.judge(made, self.splits.selection)
        except BuildStopped:
            raise
        except BROKE as error:
            attempt = broken_attempt(rung, words, error)
            return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt)
        attempt = _measured(rung, words, judged, started)
        return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt, judged=judged)

    def as_it_is(self, rung: Rung, what: str, trunk: Trunk) -> Tried:
        """The trunk's own file, which is a float16 one, measured as a candidate."""
        started = time.monotonic()
        artifact = msgspec.structs.replace(trunk.made.artifact, requested=self.wanted.precision)
        made = self._named_apart(replace(trunk.made, artifact=artifact))
        judged = self.judge(made, self.splits.selection)
        attempt = _measured(rung, what, judged, started)
        recipe = Float16(float32_share=0.0)
        return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt, judged=judged)

    def threshold_may_help(self, tried: Tried) -> bool:
        """Whether lost detections are all that refuses a candidate."""
        return tried.judged is not None and self._thresholds.may_help(tried.judged)

    def own_threshold(self, tried: Tried) -> Tried:
        """A candidate again with a threshold of its own, fitted on the calibration images."""
        started = time.monotonic()
        assert tried.judged is not None, "no file to fit a threshold for"
        made = tried.judged.made
        words = f"{tried.attempt.what}, own threshold"
        try:
            decode = self._thresholds.fitted(made)
            words = f"{words} {decode.confidence:g}"
            judged = self.judge(self._rebound(made, decode), self.splits.selection)
            self._thresholds.require_gain(judged, self.splits.selection)
        except BuildStopped:
            raise
        except BROKE as error:
            attempt = broken_attempt("threshold", words, error)
            return replace(tried, rung="threshold", attempt=attempt, judged=None)
        attempt = _measured("threshold", words, judged, started)
        return replace(tried, rung="threshold", attempt=attempt, judged=judged)

    @property
    def _thresholds(self) -> OwnThreshold:
        return OwnThreshold(chain=self.chain, splits=self.splits)

    def _rebound(self, made: MadeArtifact, decode: Decode) -> MadeArtifact:
        artifact = made.artifact
        step = RebindStep(
            label=artifact.id,
            format=artifact.format,
            artifact=made.path,
            artifact_sha256=artifact.sha256,
            contract=self.chain.request.contract,
            binding=artifact.binding,
            decode=decode,
        )
        return self._candidate(step, artifact)

    def judge(self, made: MadeArtifact, images: ImageSet) -> JudgedArtifact:
        """A candidate on some images, as many as its runtime has time for, held to what was asked
        for."""
        some = run_on(made.artifact.format, images, self.chain.request.contract.image.size)
        return self.chain.judge(made, images=some, requested=self.wanted.precision)

    def mixed_outputs(self, trunk: Trunk) -> bool:
        """Whether an output holds what one int8 scale cannot hold together."""
        from phoneproof.optimize.mixed_outputs import mixed_outputs

        return bool(mixed_outputs(trunk.made.artifact.binding, ranges_of(_folder(trunk))))

    def tail_layers(self, trunk: Trunk) -> tuple[str, ...]:
        """The operators behind the last learned weights: the decode that is inside the file."""
        if self.wanted.format == "onnx":
            from phoneproof.formats.onnx_layers import tail_layers

            return tail_layers(trunk.made.path)
        from phoneproof.formats.tflite import read_tflite
        from phoneproof.formats.tflite_layers import tail_layers as tflite_tail_layers

        return tflite_tail_layers(read_tflite(trunk.made.path))

    def layers(self, trunk: Trunk) -> tuple[Layer, ...]:
        """The operators of a trunk, who reads them, and what they cost."""
        from phoneproof.formats.tflite import read_tflite
        from phoneproof.formats.tflite_layers import readers
        from phoneproof.formats.tflite_read_back import layer_macs

        graph = read_tflite(trunk.made.path)
        macs = layer_macs(graph)
        total = sum(macs.values()) or 1
        return tuple(
            Layer(name=name, readers=read_by, macs=macs.get(name, 0) / total)
            for name, read_by in readers(graph).items()
        )

    def _converted(self, hub: MadeArtifact) -> MadeArtifact:
        label = f"{self.wanted.format}-float32, split heads"
        step = self.chain.conversion(self.wanted, label, hub)
        return made_artifact(
            self.chain.workshop.cache.result(step),
            requested="float32",
            parent=hub.artifact.sha256,
            step=step.name,
        )

    def _require_same(self, trunk: Trunk) -> None:
        # A pruned program lost something before: its outputs are not those of the baseline.
        held_to: Precision = "float32" if self.wanted.prune is None else self.wanted.precision
        judged = self.chain.judge(trunk.made, images=self.splits.selection, requested=held_to)
        if not judged.accepted:
            raise OptimizationFailed(
                "the file with split heads is not the same model",
                found=", ".join(f"{name} {value}" for name, value in not_passed(judged.checks)),
            )

    def _optimized(self, words: str, trunk: Trunk, recipe: Recipe) -> MadeArtifact:
        parent = trunk.made.artifact
        step = OptimizeStep(
            label=words,
            format=parent.format,
            recipe=recipe,
            artifact=trunk.made.path,
            artifact_sha256=parent.sha256,
            contract=self.chain.request.contract,
            binding=parent.binding,
            ranges=trunk.ranges if isinstance(recipe, Static) else None,
        )
        if parent.format == "hub":
            return self._through_hub(step, parent)
        return self._candidate(step, parent)

    def _through_hub(self, step: OptimizeStep, parent: Artifact) -> MadeArtifact:
        """A recipe changes the hub; the converter takes that as it stands (decision 0027)."""
        hub = made_artifact(
            self.chain.workshop.cache.result(step),
            requested=self.wanted.precision,
            parent=parent.sha256,
            step=step.name,
        )
        label = f"{self.wanted.format}-{step.label}"
        return self._named_apart(converted(self.chain, self.wanted, hub, label))

    def _candidate(self, step: Step, parent: Artifact) -> MadeArtifact:
        """What a step makes of `parent` as an answer to what is wanted."""
        made = made_artifact(
            self.chain.workshop.cache.result(step),
            requested=self.wanted.precision,
            parent=parent.sha256,
            step=step.name,
            suffix=self.wanted.suffix,
            folder=self._shelf,
        )
        return self._named_apart(made)

    @property
    def _shelf(self) -> str:
        """Where the files of this route, or of a pruned program, lie in a bundle."""
        if self.wanted.prune is not None:
            return PRUNED
        return FOLDER if self.wanted.route == "classic" else "artifacts"

    def _named_apart(self, made: MadeArtifact) -> MadeArtifact:
        """Under a name that no other artifact of the build can have."""
        artifact, wanted = made.artifact, self.wanted.precision
        others = {
            one.precision
            for one in self.chain.request.artifacts
            if one.format == artifact.format and one.precision != wanted
        }
        if artifact.precision == wanted or not _may_clash(artifact.precision, others):
            return made
        path = PurePosixPath(artifact.path)
        suffix = f"-for-{wanted}"
        apart = msgspec.structs.replace(
            artifact,
            id=artifact.id + suffix,
            path=str(path.with_name(f"{path.stem}{suffix}{path.suffix}")),
        )
        return replace(made, artifact=apart)


def _folder(trunk: Trunk) -> Path:
    """Where a calibrated trunk has its ranges."""
    assert trunk.ranges is not None, "calibrate the trunk first"
    return trunk.ranges


def _may_clash(precision: Precision, others: set[Precision]) -> bool:
    """Whether another request of the format may end with the same precision."""
    return precision in others or bool(others - {"float32"})


def _named(what: str, words: str) -> str:
    return f"{what}, {words}" if words else what


def _measured(rung: Rung, words: str, judged: JudgedArtifact, started: float) -> Attempt:
    return measured_attempt(
        rung,
        words,
        judged,
        seconds=round(time.monotonic() - started, 1),
        macs_above_int8=_macs_above_int8(judged.made),
    )


def _macs_above_int8(made: MadeArtifact) -> float | None:
    from phoneproof.formats.read_back import contents, macs_above_int8

    found = contents(made.path, made.artifact.format)
    return None if found is None else macs_above_int8(found)
