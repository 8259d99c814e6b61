"""A ladder on a workbench that makes nothing: what is tried, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Io, Recipe, Static
from phoneproof.core.report import Attempt
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.ladder import climb as ladder
from phoneproof.pipeline.ladder.tries import Rung, Tried, Trunk
from phoneproof.pipeline.ladder.wide import Layer
from phoneproof.pipeline.request import ArtifactRequest
from tests.unit import pruned_files as files

ITEM = ImageItem(name="a.png", path=Path("a.png"), sha256="a")
CALIBRATION = ImageSet(split="calibration", items=())
SELECTION = ImageSet(split="selection", items=(ITEM,))
LAYERS = tuple(
    Layer(name=f"conv_{at}", readers=(f"conv_{at + 1}",) if at < 9 else (), macs=share)
    for at, share in enumerate((0.01, 0.01, 0.01, 0.2, 0.2, 0.2, 0.2, 0.1, 0.06, 0.01))
)
DAMAGE = tuple(
    LayerDamage(layer=layer.name, op="CONV_2D", macs=layer.macs, damage=1.0 / (at + 1))
    for at, layer in enumerate(LAYERS)
)


def made(name: str = "parent") -> MadeArtifact:
    return files.made(Path(name), sha256=name)


def judged(drop: float, split: str = "selection") -> JudgedArtifact:
    return files.judged(drop, file=Path(split), sha256=split)


Drops = Callable[[Rung, str, Recipe], float]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A workbench that makes nothing: a candidate's loss is what `drops` says."""

    drops: Drops
    chain: Any
    wanted: ArtifactRequest
    splits: Splits
    mixes: bool = False
    tail: tuple[str, ...] = ()
    splittable: bool = True
    confirmed: float | None = None
    loses: bool = False
    seen: list[tuple[Rung, str]] = field(default_factory=list)
    judged_on: list[ImageSet] = field(default_factory=list)

    def calibrated(self, trunk: Trunk) -> Trunk:
        return replace(trunk, ranges=Path("ranges"))

    def split(self) -> Trunk:
        if not self.splittable:
            raise OptimizationFailed("the head is of no known kind")
        return Trunk(made=made("split"), words="split heads")

    def repaired(self, trunk: Trunk, repairer: str, recipe: Static, seconds: float) -> Trunk:
        return Trunk(made=made("learned"), words="distill", ranges=Path("ranges"))

    def damage(self, trunk: Trunk, method: str) -> tuple[LayerDamage, ...]:
        return DAMAGE

    def mixed_outputs(self, trunk: Trunk) -> bool:
        return self.mixes and trunk.words == ""

    def tail_layers(self, trunk: Trunk) -> tuple[str, ...]:
        return self.tail

    def layers(self, trunk: Trunk) -> tuple[Layer, ...]:
        return LAYERS

    def attempt(self, rung: Rung, what: str, trunk: Trunk, recipe: Recipe) -> Tried:
        self.seen.append((rung, what))
        found = judged(self.drops(rung, what, recipe))
        wide = len(recipe.float_layers) / 100 if isinstance(recipe, Static) else 1.0
        attempt = Attempt(
            what=what,
            bytes=1,
            failed=(),
            rung=rung,
            accepted=found.accepted,
            macs_above_int8=wide,
        )
        return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt, judged=found)

    def threshold_may_help(self, tried: Tried) -> bool:
        return self.loses

    def own_threshold(self, tried: Tried) -> Tried:
        what = f"{tried.attempt.what}, own threshold"
        return self.attempt("threshold", what, tried.trunk, tried.recipe)

    def judge(self, made: MadeArtifact, images: ImageSet) -> JudgedArtifact:
        self.judged_on.append(images)
        return judged(0.0 if self.confirmed is None else self.confirmed, images.split)


def run(
    monkeypatch: pytest.MonkeyPatch,
    drops: Drops,
    *,
    task: str = "detect",
    precision: str = "static_wi8_ai8",
    repair: bool = True,
    budget: float = 600.0,
    confirmation: tuple[ImageItem, ...] = (),
    io: Io | None = None,
    teaches_itself: bool = False,
    **options: Any,
) -> tuple[JudgedArtifact, Bench]:
    splits = Splits(
        calibration=SELECTION if teaches_itself else CALIBRATION,
        selection=SELECTION,
        confirmation=ImageSet(split="confirmation", items=confirmation)
        if confirmation
        else SELECTION,
    )

    class Future:
        def __init__(self, function: Callable[[], Tried]) -> None:
            self._function = function

        def result(self) -> Tried:
            return self._function()

    chain = SimpleNamespace(
        request=SimpleNamespace(splits=splits, budget=budget, contract=SimpleNamespace(task=task)),
        workshop=SimpleNamespace(call=Future),
    )
    wanted = ArtifactRequest(
        format="tflite", precision=cast(Any, precision), layout="NHWC", repair=repair, io=io or Io()
    )
    bench = Bench(drops=drops, chain=chain, wanted=wanted, splits=splits, **options)
    monkeypatch.setattr(ladder, "Workbench", lambda **_: bench)
    return ladder.climb(cast(ArtifactChain, chain), wanted, made()), bench


def rungs(bench: Bench) -> list[str]:
    return list(dict.fromkeys(rung for rung, _ in bench.seen))
