"""Pruning to a target: the smallest file that is accepted, and the way there."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import msgspec

from phoneproof.core.binding import Format, Precision
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Prune
from phoneproof.core.report import Attempt
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact, made_artifact
from phoneproof.pipeline.gate import Hub
from phoneproof.pipeline.ladder.climb import climb
from phoneproof.pipeline.ladder.tries import (
    BROKE,
    broken_attempt,
    excess,
    measured_attempt,
    untried_attempt,
)
from phoneproof.pipeline.process import BuildStopped
from phoneproof.pipeline.prune_step import FOLDER, PruneStep
from phoneproof.pipeline.request import ArtifactRequest

SHARES: Final = (0.9, 0.75, 0.6, 0.5, 0.35, 0.25)
"""What may be left, where the target itself is refused."""

HELD_TO: Final[Precision] = "dynamic_wi8"
"""A pruned network gives other numbers everywhere: only losses are judged, as after rounding."""

RUNG: Final = "pruned"


@dataclass(frozen=True, kw_only=True)
class Pruned:
    """The float32 file that came of it, and the hub program that it was made from."""

    judged: JudgedArtifact
    hub: MadeArtifact


def start_pruned(
    chain: ArtifactChain, wanted: tuple[ArtifactRequest, ...]
) -> dict[str, Future[JudgedArtifact]]:
    """Begin the pruned artifacts; futures by id. Those of integers are made from the float32 one
    of their format.
    """
    call = chain.workshop.call
    plain = {one.format: one for one in wanted if one.precision == "float32"}
    found = {name: call(partial(pruned, chain, one)) for name, one in plain.items()}

    def finished(one: ArtifactRequest, parents: dict[Format, Future[Pruned]]) -> JudgedArtifact:
        parent = parents[one.format].result()
        return parent.judged if one.precision == "float32" else quantized(chain, one, parent)

    return {one.id: call(partial(finished, one, found)) for one in wanted}


def larger_shares(target: float) -> tuple[float, ...]:
    """The shares to fall back on, the smallest first."""
    return tuple(share for share in reversed(SHARES) if share > target + 0.01)


def pruned(chain: ArtifactChain, wanted: ArtifactRequest) -> Pruned:
    """The smallest accepted file down to the target; else the closest one, refused.

    The target is tried first, and ends the search where it is accepted. Else the smallest larger
    share that is accepted is looked for by halving: what one share loses, a smaller one loses too.

    Raises:
        OptimizationFailed: no share gave a file.
    """
    recipe, splits = wanted.prune, chain.request.splits
    assert recipe is not None, "nothing is to be pruned"
    assert splits is not None, "no images to select on"
    way = _Way(chain=chain, wanted=wanted, recipe=recipe, splits=splits)
    if not way.accepts(recipe.share):
        way.search(larger_shares(recipe.share))
    return way.best()


def quantized(chain: ArtifactChain, wanted: ArtifactRequest, parent: Pruned) -> JudgedArtifact:
    """The pruned file in integers, by the ladder; one try where the float one is refused already.

    Raises:
        OptimizationFailed: no try gave a file.
    """
    info = msgspec.structs.replace(chain.hub.info, sha256=parent.hub.artifact.sha256)
    hub = Hub(path=parent.hub.path, info=info, binding=parent.hub.artifact.binding)
    if not parent.judged.accepted:
        wanted = replace(wanted, repair=False)
    return climb(replace(chain, hub=hub), wanted, parent.judged.made)


@dataclass(kw_only=True)
class _Way:
    """The tries of one artifact. found: share -> what was made for it, where something was."""

    chain: ArtifactChain
    wanted: ArtifactRequest
    recipe: Prune
    splits: Splits
    started: float = field(default_factory=time.monotonic)
    attempts: list[Attempt] = field(default_factory=list)
    found: dict[float, Pruned] = field(default_factory=dict)

    def search(self, shares: tuple[float, ...]) -> None:
        """Look for the smallest accepted of some shares; a try that there is no time for is not
        begun, and said.
        """
        first, end = 0, len(shares)
        while first < end:
            if self._is_spent():
                words = ", ".join(map(self._words, shares[first:end]))
                untried = untried_attempt(RUNG, words, self.chain.request.budget)
                self.attempts.append(untried)
                return
            middle = (first + end) // 2
            if self.accepts(shares[middle]):
                end = middle
            else:
                first = middle + 1

    def accepts(self, share: float) -> bool:
        """Try one share on the selection images."""
        started, words = time.monotonic(), self._words(share)
        try:
            one = self._made(share)
        except BuildStopped:
            raise
        except BROKE as error:
            self.attempts.append(broken_attempt(RUNG, words, error))
            return False
        self.found[share] = one
        seconds = round(time.monotonic() - started, 1)
        self.attempts.append(measured_attempt(RUNG, words, one.judged, seconds=seconds))
        return one.judged.accepted

    def best(self) -> Pruned:
        """With all attempts; an accepted one as the confirmation images show it.

        Raises:
            OptimizationFailed: there is none.
        """
        if not self.found:
            broke = self.attempts[0].broke
            raise OptimizationFailed(f"no try of {self.wanted.id} gave a file", found=broke)
        one = min(self.found.items(), key=_rank)[1]
        judged = one.judged
        if judged.accepted and self.splits.judged_again:
            judged = self._judged(judged.made, self.splits.confirmation)
        return replace(one, judged=replace(judged, attempts=tuple(self.attempts)))

    @property
    def _seconds(self) -> float:
        """That one try may learn. Never a share of what is left of the budget: that would differ
        from build to build, and nothing learned would be found in the cache.
        """
        return min(self.recipe.seconds, self.chain.request.budget)

    def _is_spent(self) -> bool:
        left = self.chain.request.budget - (time.monotonic() - self.started)
        return left <= 0 or left < self._seconds

    def _words(self, share: float) -> str:
        return f"{share:.0%} of the {self.recipe.of}"

    def _made(self, share: float) -> Pruned:
        chain = self.chain
        step = PruneStep(
            hub=chain.hub.path,
            hub_sha256=chain.hub.info.sha256,
            contract=chain.request.contract,
            binding=chain.hub.binding,
            recipe=msgspec.structs.replace(self.recipe, share=share, seconds=self._seconds),
            images=self.splits.calibration,
            finetune=self.wanted.finetune,
        )
        hub = chain.from_hub(step)
        converting = chain.conversion(self.wanted, f"{self.wanted.id}, {share:.0%}", hub)
        made = made_artifact(
            chain.workshop.cache.result(converting),
            requested="float32",
            parent=hub.artifact.sha256,
            step=f"{step.name}, {converting.name}",
            suffix=self.wanted.suffix,
            folder=FOLDER,
        )
        return Pruned(judged=self._judged(made, self.splits.selection), hub=hub)

    def _judged(self, made: MadeArtifact, images: ImageSet) -> JudgedArtifact:
        judged = self.chain.judge(made, images=images, requested=HELD_TO)
        return replace(judged, held_to=HELD_TO)


def _rank(one: tuple[float, Pruned]) -> tuple[bool, float]:
    """Accepted ones first, the smallest first; of refused ones the one that lost least."""
    share, found = one
    if found.judged.accepted:
        return False, share
    return True, excess(found.judged.checks)
