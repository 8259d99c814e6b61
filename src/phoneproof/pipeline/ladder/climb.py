"""Climbing: the order of the tries, and when to stop.

Each rung costs more bytes or more time than the one before it, and one that cannot help is left
out: no range helps an output that holds pixels and probabilities on one scale.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.errors import OptimizationFailed, PhoneproofError
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Dynamic, Float16, Io, RangeMethod, Recipe, Static, WeightOnly
from phoneproof.core.report import Attempt
from phoneproof.pipeline.artifact_chain import FLOAT32_SHARES, ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.ladder.tries import BROKE, Rung, Tried, Trunk, broken_attempt
from phoneproof.pipeline.ladder.wide import Layer, doubling, try_fewer, wide_layers
from phoneproof.pipeline.ladder.workbench import Workbench
from phoneproof.pipeline.process import BuildStopped
from phoneproof.pipeline.request import ArtifactRequest

METHODS: Final[tuple[RangeMethod, ...]] = ("percentile_99_999", "mse", "percentile_99_99")
"""Ranges to try after min/max, the most often right one first. Entropy comes after them, and not
for split heads: it ruins what is nearly always zero."""

LEAST_ERROR: Final[tuple[RangeMethod, ...]] = ("mse",)
"""Tried beside the best ranges so far while layers are spared."""

NARROW_MACS: Final = 0.05
WIDE_MACS: Final = 0.3
"""How much of the arithmetic may stay wider than int8: first nearly nothing, in the end less than
a third, beyond which a float16 file is as good."""

LEARNING_SHARE: Final = 0.4
"""Of the whole budget, how much learning takes; not begun where less is left. A share of what is
left would differ from build to build, and nothing learned would ever be found in the cache."""

WITHIN_REACH: Final = 4.0
"""How many times its limits a file may lose for learning to be tried: a detector that lost 19 times
its limit lost as much after 40 % of the budget."""

_CHANGE_THE_FUNCTION: Final = frozenset({"bias", "learned"})

EVENING_SHARE: Final = 0.1
"""The same for equalisation and for bias correction, which take a minute of large models."""


@dataclass(kw_only=True)
class Climb:
    """One ladder while it is climbed. tried: every candidate, in order. damage: of the layers.
    calibration: the folder of the first calibration: which images, and how stable their ranges.
    """

    bench: Workbench
    budget: float
    started: float = field(default_factory=time.monotonic)
    tried: list[Tried] = field(default_factory=list)
    damage: tuple[LayerDamage, ...] = ()
    calibration: Path | None = None

    @property
    def left(self) -> float:
        """Seconds of the budget."""
        return self.budget - (time.monotonic() - self.started)

    @property
    def accepted(self) -> bool:
        """Whether something may ship."""
        return any(one.accepted for one in self.tried)

    def best(self) -> Tried:
        """Of the accepted candidates the one that computes most in int8; else the one whose worst
        loss is the least."""
        return min(
            self.tried,
            key=lambda one: (not one.accepted, one.accepted and one.wide, one.excess),
        )

    def best_static(self) -> tuple[Tried, Static]:
        """The best candidate with int8 activations, and its recipe."""
        found = [(one, one.recipe) for one in self.tried if isinstance(one.recipe, Static)]
        return min(found, key=lambda pair: pair[0].excess)

    def best_static_of_the_function(self) -> tuple[Tried, Static]:
        """The same, of the files whose float32 parent still computes what the original does.

        Bias correction and learning change the parent to make up for its rounding: as a teacher,
        or a mean to be met, it is wrong.
        """
        found = [(one, one.recipe) for one in self.tried if isinstance(one.recipe, Static)]
        kept = [pair for pair in found if pair[0].rung not in _CHANGE_THE_FUNCTION]
        return min(kept, key=lambda pair: pair[0].excess)

    def attempt(self, rung: Rung, trunk: Trunk, *tries: tuple[str, Recipe]) -> None:
        """Make and measure candidates side by side."""
        make = partial(self.bench.attempt, rung)
        call = self.bench.chain.workshop.call
        futures = [call(partial(make, what, trunk, recipe)) for what, recipe in tries]
        self.tried += [future.result() for future in futures]

    def note(self, rung: Rung, trunk: Trunk, error: PhoneproofError) -> None:
        """Record a rung that gave no file."""
        attempt = broken_attempt(rung, rung, error)
        self.tried.append(Tried(rung=rung, trunk=trunk, recipe=WeightOnly(), attempt=attempt))

    def skip(self, trunk: Trunk, rungs: tuple[Rung, ...], why: str = "") -> None:
        """Record rungs that were not tried: for want of time, unless `why` says otherwise."""
        if not rungs:
            return
        why = why or f"the budget of {self.budget:g} s does not reach"
        why = f"not tried, {why}"
        attempt = Attempt(what=", ".join(rungs), bytes=0, failed=(), rung=rungs[0], broke=why)
        self.tried.append(Tried(rung=rungs[0], trunk=trunk, recipe=WeightOnly(), attempt=attempt))


def climb(chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact) -> JudgedArtifact:
    """The smallest file of `wanted` that is accepted; else the closest one, refused.

    Without `wanted.repair` the first try stands or falls alone.

    Raises:
        InvalidInput: calibration images that calibrate nothing.
        OptimizationFailed: an activation that is not finite, or no try gave a file.
    """
    splits = chain.request.splits
    assert splits is not None
    bench = Workbench(chain=chain, wanted=wanted, splits=splits)
    climbing = Climb(bench=bench, budget=chain.request.budget)
    trunk = Trunk(made=parent)
    rungs = _static if wanted.precision == "static_wi8_ai8" else _weights
    for _ in rungs(climbing, trunk):
        if climbing.accepted or not wanted.repair:
            break
        if climbing.left <= 0:
            climbing.skip(trunk, _not_tried(climbing))
            break
    if wanted.repair and not climbing.accepted:
        _larger_files(climbing, trunk)
    return _judged_once(climbing)


def _not_tried(climbing: Climb) -> tuple[Rung, ...]:
    """The costly rungs of full int8 that come after those that were tried."""
    bench = climbing.bench
    if bench.wanted.precision != "static_wi8_ai8":
        return ()
    found: list[Rung] = ["ranges"]
    found += ["split heads"] if bench.chain.request.contract.task == "detect" else []
    found += ["float tail"]
    layerwise: list[Rung] = ["wide layers", "equalised", "bias", "learned"]
    found += layerwise if bench.wanted.format == "tflite" else []
    tried = {one.rung for one in climbing.tried}
    last = max((place for place, rung in enumerate(found) if rung in tried), default=-1)
    return tuple(rung for rung in found[last + 1 :] if rung not in tried)


def _weights(climbing: Climb, trunk: Trunk) -> Iterator[None]:
    """int8 weights, float activations."""
    if climbing.bench.wanted.precision == "dynamic_wi8":
        climbing.attempt("dynamic", trunk, ("dynamic ranges", Dynamic()))
        yield
    climbing.attempt("weight-only", trunk, ("int8 weights alone", WeightOnly()))
    yield


def _static(climbing: Climb, trunk: Trunk) -> Iterator[None]:
    """int8 weights and activations; stops between rungs."""
    bench = climbing.bench
    plain = Static(io=bench.wanted.io)
    trunk = bench.calibrated(trunk)
    climbing.calibration = trunk.ranges
    climbing.attempt("int8", trunk, ("min/max ranges", plain))
    yield
    if not bench.mixed_outputs(trunk):
        climbing.attempt("ranges", trunk, *_by_method(plain, (*METHODS, "entropy")))
        yield
    split = _split(climbing, trunk)
    if split is not None:
        climbing.attempt("split heads", split, *_by_method(plain, ("min_max", *METHODS)))
        yield
    tail = bench.tail_layers(trunk) if split is None else ()
    if tail:  # split heads have none left
        kept = msgspec.structs.replace(plain, float_layers=tail)
        climbing.attempt("float tail", trunk, *_by_method(kept, ("min_max", *METHODS)))
        yield
    yield from _own_threshold(climbing)
    if bench.wanted.format == "tflite":
        yield from _layerwise(climbing)
        yield from _own_threshold(climbing)


def _own_threshold(climbing: Climb) -> Iterator[None]:
    """Where the best candidate only loses detections, the threshold that shows them again."""
    best = climbing.best()
    done = any(
        one.rung == "threshold" and (one.trunk, one.recipe) == (best.trunk, best.recipe)
        for one in climbing.tried
    )
    if not done and climbing.bench.threshold_may_help(best):
        climbing.tried.append(climbing.bench.own_threshold(best))
        yield


def _layerwise(climbing: Climb) -> Iterator[None]:
    """What looks at single layers: keeping some wide, changing weights, and learning."""
    best, recipe = climbing.best_static()
    try:
        climbing.damage = climbing.bench.damage(best.trunk, recipe.ranges)
    except BuildStopped:
        raise
    except BROKE as error:
        climbing.note("wide layers", best.trunk, error)
        return
    yield from _widen(climbing, best.trunk, recipe, NARROW_MACS)
    for rung, repairer, share in _REPAIRS:
        start, rounded = climbing.best_static_of_the_function()
        changed = _repaired(climbing, start.trunk, rounded, rung, repairer, share)
        if changed is not None:
            method: RangeMethod = "learned" if rung == "learned" else rounded.ranges
            better = msgspec.structs.replace(rounded, ranges=method)
            climbing.attempt(rung, changed, (f"{method} ranges", better))
            yield
    best, recipe = climbing.best_static_of_the_function()
    if any(one.rung == "bias" and one.excess < best.excess for one in climbing.tried):
        yield from _widen_corrected(climbing, best.trunk, recipe)
    yield from _widen(climbing, best.trunk, recipe, WIDE_MACS)


_REPAIRS: Final[tuple[tuple[Rung, str, float], ...]] = (
    ("equalised", "tflite-equalise", EVENING_SHARE),
    ("bias", "tflite-bias", EVENING_SHARE),
    ("learned", "tflite-distill", LEARNING_SHARE),
)
"""Rung, repairer, and how much of the budget it takes."""


def _split(climbing: Climb, trunk: Trunk) -> Trunk | None:
    """The calibrated file with split heads; null where they cannot be split."""
    if climbing.bench.chain.request.contract.task != "detect":
        return None
    try:
        return climbing.bench.calibrated(climbing.bench.split())
    except BuildStopped:
        raise
    except BROKE as error:
        climbing.note("split heads", trunk, error)
        return None


def _repaired(
    climbing: Climb, trunk: Trunk, recipe: Static, rung: Rung, repairer: str, share: float
) -> Trunk | None:
    """The trunk after a repair, where there is time for it and something that it could change."""
    bench, excess = climbing.bench, climbing.best().excess
    if rung == "learned" and excess > WITHIN_REACH:
        far = f"the best file so far loses {excess:.1f} times what it may"
        climbing.skip(trunk, (rung,), f"{far}, learning is for {WITHIN_REACH:g} times at most")
        return None
    if rung == "learned" and bench.splits.calibration_judges:
        climbing.skip(trunk, (rung,), "the same images would teach and judge")
        return None
    seconds = climbing.budget * share
    if climbing.left < seconds:
        climbing.skip(trunk, (rung,))
        return None
    try:
        return bench.repaired(trunk, repairer, recipe, seconds)
    except BuildStopped:
        raise
    except BROKE as error:
        climbing.note(rung, trunk, error)
        return None


def _widen(climbing: Climb, trunk: Trunk, recipe: Static, macs: float) -> Iterator[None]:
    """1, 2, 4 ... of the most harmful layers in float, as long as they hold at most `macs`; then
    fewer than the first count that is accepted, as far as that goes in a few tries.
    """
    graph = climbing.bench.layers(trunk)
    refused = 0
    for count in doubling(len(climbing.damage)):
        _, share = wide_layers(graph, climbing.damage, count)
        if share > macs:
            break
        if not _spare(climbing, trunk, recipe, graph, count):
            continue
        if climbing.accepted:
            accepts = partial(_spare_accepted, climbing, trunk, recipe, graph)
            try_fewer(refused, count, accepts)
        yield
        refused = count


def _widen_corrected(climbing: Climb, trunk: Trunk, recipe: Static) -> Iterator[None]:
    """The same where corrected biases help, as far as 5 %: corrected anew for each count, since a
    correction answers the rounding of exactly the layers that are rounded."""
    graph = climbing.bench.layers(trunk)
    for count in doubling(len(climbing.damage)):
        kept, share = wide_layers(graph, climbing.damage, count)
        both = tuple(sorted({*recipe.float_layers, *kept}))
        wider = msgspec.structs.replace(recipe, float_layers=both)
        if share > NARROW_MACS:
            break
        changed = _repaired(climbing, trunk, wider, "bias", "tflite-bias", EVENING_SHARE)
        if changed is None:
            break
        climbing.attempt(
            "wide layers", changed, (f"{_counted(count)}{recipe.ranges} ranges", wider)
        )
        yield


def _counted(count: int) -> str:
    return f"{count} layer{'s' * (count > 1)} in float, "


def _spare(
    climbing: Climb, trunk: Trunk, recipe: Static, graph: tuple[Layer, ...], count: int
) -> bool:
    """Try the recipe with `count` layers in float; false where that was tried before."""
    kept, _ = wide_layers(graph, climbing.damage, count)
    both = tuple(sorted({*recipe.float_layers, *kept}))
    # What was best while the worst layers were rounded need not be best without them.
    methods = dict.fromkeys((recipe.ranges, *LEAST_ERROR))
    wider = msgspec.structs.replace(recipe, float_layers=both)
    known = [one.recipe for one in climbing.tried]
    tries = [
        one for one in _by_method(wider, tuple(methods), _counted(count)) if one[1] not in known
    ]
    climbing.attempt("wide layers", trunk, *tries)
    return bool(tries)


def _spare_accepted(
    climbing: Climb, trunk: Trunk, recipe: Static, graph: tuple[Layer, ...], count: int
) -> bool:
    """The same; whether something that was tried now is accepted."""
    before = len(climbing.tried)
    _spare(climbing, trunk, recipe, graph, count)
    return any(one.accepted for one in climbing.tried[before:])


def _larger_files(climbing: Climb, trunk: Trunk) -> None:
    """What nearly always works: float32 arithmetic on smaller weights."""
    wanted = climbing.bench.wanted
    if wanted.io != Io():
        why = "these files have float32 inputs and outputs, and io asks for others"
        climbing.skip(trunk, ("weight-only", "float16"), why)
        return
    if wanted.precision == "static_wi8_ai8":
        climbing.attempt("weight-only", trunk, ("int8 weights alone", WeightOnly()))
    for share in FLOAT32_SHARES:
        if climbing.accepted:
            return
        what = f"float16, {share:.0%} of the weights float32"
        climbing.attempt("float16", trunk, (what, Float16(float32_share=share)))


def _judged_once(climbing: Climb) -> JudgedArtifact:
    """The winner on the confirmation images, with everything that was tried."""
    winner = climbing.best()
    if winner.judged is None:
        raise OptimizationFailed(
            f"no try of {climbing.bench.wanted.id} gave a file", found=winner.attempt.broke
        )
    judged = winner.judged
    splits = climbing.bench.splits
    if winner.accepted and splits.judged_again:
        judged = climbing.bench.judge(judged.made, splits.confirmation)
    # What is reported comes last where it was accepted: several of one rung may be.
    in_order = sorted(climbing.tried, key=lambda one: one.accepted and one is winner)
    return replace(
        judged,
        attempts=tuple(one.attempt for one in in_order),
        sensitivity=climbing.damage,
        calibration=climbing.calibration,
    )


def _by_method(
    recipe: Static, methods: tuple[RangeMethod, ...], words: str = ""
) -> tuple[tuple[str, Static], ...]:
    return tuple(
        (f"{words}{method} ranges", msgspec.structs.replace(recipe, ranges=method))
        for method in methods
    )
