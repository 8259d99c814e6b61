"""Pruning in steps down to the target: the smallest file that is accepted, and the way there."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from phoneproof.convert.routes import ROUTES
from phoneproof.core.binding import Precision
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Prune
from phoneproof.core.report import Attempt
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact, not_passed
from phoneproof.pipeline.artifact_steps import ConvertStep, MadeArtifact, made_artifact
from phoneproof.pipeline.ladder.tries import BROKE, losses
from phoneproof.pipeline.process import BuildStopped
from phoneproof.pipeline.prune_step import PruneStep
from phoneproof.pipeline.request import ArtifactRequest

SHARES: Final = (0.9, 0.75, 0.6, 0.5, 0.35, 0.25)
"""What is left, tried from the largest down to the target."""

HELD_TO: Final[Precision] = "dynamic_wi8"
"""A pruned network gives other numbers everywhere: only losses are judged, as after rounding."""

FOLDER: Final = "artifacts/pruned"


def shares_down_to(target: float) -> tuple[float, ...]:
    """The shares to try, the target last."""
    return (*(share for share in SHARES if share > target + 0.01), target)


def pruned(chain: ArtifactChain, wanted: ArtifactRequest) -> JudgedArtifact:
    """The smallest accepted file down to the target; else the one at the target, refused.

    The attempts are the curve: each share with what it lost. A share that is refused does not end
    the way: where the target itself is accepted, nothing before it matters.

    Raises:
        OptimizationFailed: no share gave a file.
    """
    recipe, splits = wanted.prune, chain.request.splits
    assert recipe is not None, "nothing is to be pruned"
    assert splits is not None, "no images to select on"
    way = _Way(chain=chain, wanted=wanted, recipe=recipe, splits=splits)
    tried = [way.tried(share) for share in shares_down_to(recipe.share)]
    files = [one for _, one in tried if one is not None]
    if not files:
        raise OptimizationFailed(f"no try of {wanted.id} gave a file", found=tried[-1][0].broke)
    best = next((one for one in reversed(files) if one.accepted), files[-1])
    if best.accepted and splits.confirmation.items:
        best = way.judged(best.made, confirm=True)
    return replace(best, attempts=tuple(attempt for attempt, _ in tried))


@dataclass(frozen=True, kw_only=True)
class _Way:
    chain: ArtifactChain
    wanted: ArtifactRequest
    recipe: Prune
    splits: Splits

    def tried(self, share: float) -> tuple[Attempt, JudgedArtifact | None]:
        """One share: its file on the selection images, or why there is none."""
        started = time.monotonic()
        what = f"{share:.0%} of the {self.recipe.of}"
        try:
            judged = self.judged(self._made(share))
        except BuildStopped:
            raise
        except BROKE as error:
            broke = f"{error.failed} ({error.found})" if error.found else error.failed
            return Attempt(what=what, bytes=0, failed=(), rung="pruned", broke=broke), None
        attempt = Attempt(
            what=what,
            bytes=judged.made.artifact.bytes,
            failed=not_passed(judged.checks),
            rung="pruned",
            precision=judged.made.artifact.precision,
            seconds=time.monotonic() - started,
            losses=losses(judged.checks),
            accepted=judged.accepted,
        )
        return attempt, judged

    def judged(self, made: MadeArtifact, *, confirm: bool = False) -> JudgedArtifact:
        """A file on the selection images, or on those that nothing was chosen on."""
        images = self.splits.confirmation if confirm else self.splits.selection
        judged = self.chain.judge(made, images=images, requested=HELD_TO)
        return replace(judged, held_to=HELD_TO)

    def _made(self, share: float) -> MadeArtifact:
        chain = self.chain
        step = PruneStep(
            hub=chain.hub.path,
            hub_sha256=chain.hub.info.sha256,
            contract=chain.request.contract,
            binding=chain.hub.binding,
            recipe=msgspec.structs.replace(self.recipe, share=share),
            images=self.splits.calibration,
        )
        hub = made_artifact(
            chain.workshop.cache.result(step),
            requested="float32",
            parent=chain.hub.info.sha256,
            step=step.name,
        )
        converting = ConvertStep(
            link=ROUTES["direct"][self.wanted.format][0],
            label=f"{self.wanted.id}, {share:.0%}",
            source=hub.path,
            source_sha256=hub.artifact.sha256,
            contract=chain.request.contract,
            binding=hub.artifact.binding,
            layout=self.wanted.layout,
            opset=self.wanted.opset,
        )
        return made_artifact(
            chain.workshop.cache.result(converting),
            requested="float32",
            parent=hub.artifact.sha256,
            step=f"{step.name}, {converting.name}",
            suffix=self.wanted.suffix,
            folder=FOLDER,
        )
