"""A threshold of its own for a candidate that only shows less: fitted here, judged there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.contract import Decode
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.data.split import Splits
from phoneproof.decode.results import Detections
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.gate import hub_run
from phoneproof.pipeline.judge_steps import predictions_of
from phoneproof.pipeline.parts import predicted
from phoneproof.pipeline.rebind_step import with_decode
from phoneproof.verify.refit import Refit, RefitRow, fit_threshold, refit_row, threshold_gain
from phoneproof.verify.verdicts import accepted

MOST_TO_FIT: Final = 256
"""More images would not move a threshold of whole hundredths."""

LEAST_TO_FIT: Final = 20
"""Fewer images give intervals that decide nothing."""

LOWEST_SHARE: Final = 0.5
"""Of the contract's threshold: a file whose scores fell further is another model."""


_OF_WHAT_IS_SHOWN: Final = frozenset({"lost_share", "box_agreement"})
"""The checks that speak of what the app shows: those that a threshold changes."""


@dataclass(frozen=True, kw_only=True)
class OwnThreshold:
    """Finds one for files of a build. splits: fitted on the calibration images."""

    chain: ArtifactChain
    splits: Splits

    @property
    def images(self) -> ImageSet:
        """Calibration images that no file is judged on."""
        judged = {
            item.sha256
            for images in (self.splits.selection, self.splits.confirmation)
            for item in images.items
        }
        free = [item for item in self.splits.calibration.items if item.sha256 not in judged]
        return ImageSet(split="calibration", items=tuple(free[:MOST_TO_FIT]))

    def may_help(self, judged: JudgedArtifact) -> bool:
        """Whether all that refuses a file is what it shows, and there are images to fit on."""
        request, artifact = self.chain.request, judged.made.artifact
        if judged.accepted or request.contract.task != "detect":
            return False
        rest = tuple(check for check in judged.checks if check.name not in _OF_WHAT_IS_SHOWN)
        limits = request.limits_for(artifact.requested, artifact.format)
        return accepted(rest, limits) and len(self.images.items) >= LEAST_TO_FIT

    def fitted(self, made: MadeArtifact) -> Decode:
        """The contract's decode with the threshold that this file needs.

        Raises:
            OptimizationFailed: its scores did not surely move, or following them gains nothing.
        """
        usual = self._usual
        lowest = round(usual.confidence * LOWEST_SHARE, 2)
        probe = msgspec.structs.replace(usual, confidence=lowest)
        binding = with_decode(made.artifact.binding, probe)
        artifact = msgspec.structs.replace(made.artifact, binding=binding)
        found = self._fit(replace(made, artifact=artifact), lowest)
        if not found.proposed or found.threshold > usual.confidence:
            raise OptimizationFailed("no other threshold would surely help", found=found.words)
        return msgspec.structs.replace(usual, confidence=found.threshold)

    def require_gain(self, judged: JudgedArtifact, images: ImageSet) -> None:
        """Hold a file with a threshold of its own to images that it was not fitted on.

        Raises:
            OptimizationFailed: there the app would not agree with the baseline any better.
        """
        own = judged.made.artifact.binding.own_confidence
        assert own is not None, "a file without a threshold of its own"
        rows = _rows(self.chain.baseline.result().folder, judged.run, images)
        gain = threshold_gain(rows, self._usual.confidence, own)
        if not gain.value > 0:
            raise OptimizationFailed(
                "its own threshold does not hold on other images than those it was fitted on",
                found=f"{own:g} saves {gain.value:.2f} disagreements an image there",
            )

    @property
    def _usual(self) -> Decode:
        decode = self.chain.request.contract.decode
        assert decode is not None, "detectors have a decode"
        return decode

    def _fit(self, probed: MadeArtifact, lowest: float) -> Refit:
        images = self.images
        step = replace(self.chain.run_of(probed, images), keeps_outputs=False)
        run = predicted(self.chain.workshop, step).folder
        rows = _rows(self._baseline(images), run, images)
        return fit_threshold(rows, self._usual.confidence, lowest=lowest)

    def _baseline(self, images: ImageSet) -> Path:
        """The build's baseline where it holds these images; else a run of the hub on them."""
        request = self.chain.request
        known = {item.sha256 for item in request.images.items}
        if all(item.sha256 in known for item in images.items):
            return self.chain.baseline.result().folder
        step = replace(hub_run(request, self.chain.hub), images=images, keeps_outputs=False)
        return predicted(self.chain.workshop, step).folder


def _rows(baseline: Path, candidate: Path, images: ImageSet) -> list[RefitRow]:
    pairs = zip(predictions_of(baseline, images), predictions_of(candidate, images), strict=True)
    return [
        refit_row(before.app, after.app)
        for before, after in pairs
        if isinstance(before.app, Detections) and isinstance(after.app, Detections)
    ]
