"""Compressed Core ML and Core AI files: integers and palettes in a file whose rest computes in
float16.

They are made from the float16 file that is accepted, islands included: Apple's Neural Engine
computes in float16, and a compressed file with float32 arithmetic would never reach it. Of Core AI
it is the hub of that file: what its converter writes cannot be changed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from phoneproof.core.binding import Precision
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Palette, RangeMethod, Static, WeightOnly
from phoneproof.pipeline.apple_float16 import with_islands
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.core_ai_float16 import core_ai
from phoneproof.pipeline.damage_step import damage_of, damage_step
from phoneproof.pipeline.hub_damage_step import HubDamageStep
from phoneproof.pipeline.ladder.captured import CAPTURED, hub_artifact
from phoneproof.pipeline.ladder.sparse import sparse
from phoneproof.pipeline.ladder.tries import BROKE, Rung, Tried, Trunk, untried_attempt
from phoneproof.pipeline.ladder.wide import doubling, try_fewer
from phoneproof.pipeline.ladder.workbench import Workbench
from phoneproof.pipeline.process import BuildStopped
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.pipeline.step import Step

Compressed = Static | WeightOnly | Palette

RECIPES: Final[dict[Precision, Compressed]] = {
    "static_wi8_ai8": Static(),
    "weight_only_wi8": WeightOnly(bits=8),
    "weight_only_wi4": WeightOnly(bits=4),
    "palette6": Palette(bits=6),
    "palette4": Palette(bits=4),
}
"""What each precision begins with; Core AI has no integer activations here."""

METHODS: Final[tuple[RangeMethod, ...]] = ("mse", "percentile_99_999")
"""Ranges of activations to try after min/max."""

WIDE_SHARE: Final = 0.5
"""Of the layers, how many may stay float16: with more the float16 file is as good."""

_WORDS: Final = "the rest float16"


def float16_parent(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
) -> MadeArtifact:
    """The float16 file to compress; the float32 one where no float16 file is accepted, or where
    nothing in it became float16."""
    half = replace(wanted, precision="float16")
    if wanted.format == "coreai":
        found = core_ai(chain, half)
        return found.hub if _is_narrow(found.judged) else hub_artifact(chain)
    judged = with_islands(chain, half, parent)
    return judged.made if _is_narrow(judged) else parent


def _is_narrow(judged: JudgedArtifact) -> bool:
    return judged.accepted and judged.made.artifact.precision != "float32"


def compressed(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
) -> JudgedArtifact:
    """The smallest file of `wanted` that is accepted; else the closest one, refused.

    Without `wanted.repair` the first try stands or falls alone.

    Raises:
        InvalidInput: calibration images that calibrate nothing.
        OptimizationFailed: an activation that is not finite, or no try gave a file.
    """
    splits = chain.request.splits
    assert splits is not None, "no images to select on"
    half = float16_parent(chain, wanted, parent)
    if wanted.precision == "sparse":
        return sparse(chain, wanted, half)
    is_wide = half is parent or half.artifact.id == CAPTURED
    words = "" if is_wide else _WORDS
    bench = Workbench(chain=chain, wanted=wanted, splits=splits)
    climbing = _Climb(bench=bench, trunk=Trunk(made=half, words=words), budget=chain.request.budget)
    for _ in climbing.rungs(RECIPES[wanted.precision]):
        if climbing.accepted or not wanted.repair or climbing.late:
            break
    return climbing.result()


@dataclass(kw_only=True)
class _Climb:
    """One ladder while it is climbed. damage: of the layers, of the recipe as it stands."""

    bench: Workbench
    trunk: Trunk
    budget: float
    started: float = field(default_factory=time.monotonic)
    tried: list[Tried] = field(default_factory=list)
    damage: tuple[LayerDamage, ...] = ()

    @property
    def late(self) -> bool:
        return time.monotonic() - self.started > self.budget

    @property
    def accepted(self) -> bool:
        return any(one.accepted for one in self.tried)

    def rungs(self, recipe: Compressed) -> Iterator[None]:
        """From the smallest file to the largest; stops between tries."""
        if isinstance(recipe, Static):
            yield from self._static(recipe)
            recipe = WeightOnly()
        self._attempt("weight-only", _words(recipe), recipe)
        yield
        yield from self._spared(recipe)
        # The trunk is the float32 file where no float16 file is accepted: no answer to int8.
        narrow = self.trunk.made.artifact.precision != "float32"
        if self.bench.wanted.precision == "static_wi8_ai8" and narrow:
            self.tried.append(self.bench.as_it_is("float16", "float16", self.trunk))

    def _static(self, plain: Static) -> Iterator[None]:
        self.trunk = self.bench.calibrated(self.trunk)
        self._attempt("int8", "min/max ranges", plain)
        yield
        for method in METHODS:
            other = msgspec.structs.replace(plain, ranges=method)
            self._attempt("ranges", f"{method} ranges", other)
            yield
        best = min(self.tried, key=lambda one: one.excess).recipe
        assert isinstance(best, Static), "nothing else was tried"
        yield from self._spared(best)

    def _spared(self, recipe: Compressed) -> Iterator[None]:
        """1, 2, 4 ... of the most harmful layers stay wide; then fewer than the first count that
        is accepted, as far as that goes in a few tries."""
        self.damage = self._damage(recipe)
        refused = 0
        for count in doubling(int(len(self.damage) * WIDE_SHARE)):
            if self._spare(recipe, count):
                try_fewer(refused, count, lambda some: self._spare(recipe, some))
                yield
                return
            yield
            refused = count

    def _spare(self, recipe: Compressed, count: int) -> bool:
        layers = tuple(sorted(one.layer for one in self.damage[:count]))
        words = f"{count} layer{'s' * (count > 1)} in float, {_words(recipe)}"
        wider = msgspec.structs.replace(recipe, float_layers=layers)
        return self._attempt("wide layers", words, wider).accepted

    def _attempt(self, rung: Rung, words: str, recipe: Compressed) -> Tried:
        self.tried.append(self.bench.attempt(rung, words, self.trunk, recipe))
        return self.tried[-1]

    def _damage(self, recipe: Compressed) -> tuple[LayerDamage, ...]:
        """Of the layers that a recipe changes, the most harmful first; none where it failed."""
        made = next((one for one in self.tried if one.recipe == recipe and one.judged), None)
        if made is None or made.judged is None:
            return ()
        step = self._damage_step(recipe, made.judged.made)
        try:
            return damage_of(self.bench.chain.workshop.cache.result(step).folder)
        except BuildStopped:
            raise
        except BROKE:
            return ()

    def _damage_step(self, recipe: Compressed, candidate: MadeArtifact) -> Step:
        parent = self.trunk.made
        if parent.artifact.format == "hub":
            assert not isinstance(recipe, Static), "no such recipe for a hub"
            return HubDamageStep(
                label=candidate.artifact.id,
                artifact=parent.path,
                artifact_sha256=parent.artifact.sha256,
                recipe=recipe,
                contract=self.bench.chain.request.contract,
                binding=parent.artifact.binding,
                images=self.bench.splits.selection,
            )
        return damage_step(
            parent, candidate, self.bench.chain.request.contract, self.bench.splits.selection
        )

    def result(self) -> JudgedArtifact:
        """The winner on the confirmation images, with everything that was tried."""
        best = min(self.tried, key=_worth)
        if best.judged is None:
            raise OptimizationFailed(
                f"no try of {self.bench.wanted.id} gave a file", found=best.attempt.broke
            )
        judged = best.judged
        if best.accepted and self.bench.splits.judged_again:
            judged = self.bench.judge(judged.made, self.bench.splits.confirmation)
        in_order = sorted(self.tried, key=lambda one: one.accepted and one is best)
        attempts = [one.attempt for one in in_order]
        if self.late and not self.accepted:
            attempts.append(untried_attempt("wide layers", "what would come next", self.budget))
        return replace(
            judged,
            attempts=tuple(attempts),
            sensitivity=self.damage,
            calibration=self.trunk.ranges,
        )


def _worth(one: Tried) -> tuple[bool, float]:
    """Accepted before refused; of the accepted the smallest, of the refused the closest."""
    return not one.accepted, one.attempt.bytes if one.accepted else one.excess


def _words(recipe: Compressed) -> str:
    if isinstance(recipe, Static):
        return f"{recipe.ranges} ranges"
    return f"{recipe.bits}-bit {'palettes' if isinstance(recipe, Palette) else 'weights alone'}"
