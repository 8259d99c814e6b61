"""What is tried of a compressed Core ML file, in which order, and what wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from phoneproof.core.binding import Format, Precision
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Palette, Recipe, Static, WeightOnly
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.core_ai_float16 import CoreAiFloat16
from phoneproof.pipeline.damage_step import DamageStep
from phoneproof.pipeline.hub_damage_step import HubDamageStep
from phoneproof.pipeline.ladder import apple as ladder
from phoneproof.pipeline.ladder.tries import Rung, Tried, Trunk, broken_attempt, measured_attempt
from phoneproof.pipeline.request import ArtifactRequest
from tests.unit.pruned_files import judged
from tests.unit.pruned_files import splits as two_splits

DAMAGE = tuple(
    LayerDamage(layer=f"conv_{at:02}", op="conv", macs=0.05, damage=1.0 / (at + 1))
    for at in range(20)
)
Drops = Callable[[Recipe], float | None]


class Bench:
    """Losses of a recipe without any file; layers that stay wide cost a byte each."""

    def __init__(self, drops: Drops, splits: Splits, file: Path) -> None:
        self.drops, self.splits, self.file = drops, splits, file
        self.seen: list[tuple[Rung, str]] = []
        self.recipes: list[Recipe] = []
        self.trunks: list[Trunk] = []
        self.confirmed: list[ImageSet] = []
        self.steps: list[object] = []
        self.chain: Any = None
        self.wanted: Any = None

    def calibrated(self, trunk: Trunk) -> Trunk:
        return replace(trunk, ranges=Path("ranges"))

    def attempt(self, rung: Rung, what: str, trunk: Trunk, recipe: Recipe) -> Tried:
        self.seen.append((rung, what))
        self.recipes.append(recipe)
        self.trunks.append(trunk)
        drop = self.drops(recipe)
        if drop is None:
            attempt = broken_attempt(rung, what, OptimizationFailed("nothing smaller"))
            return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt)
        found = judged(drop, file=self.file)
        attempt = measured_attempt(rung, what, found, seconds=1.0)
        attempt = msgspec.structs.replace(attempt, bytes=100 + len(wide(recipe)))
        return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt, judged=found)

    def as_it_is(self, rung: Rung, what: str, trunk: Trunk) -> Tried:
        return self.attempt(rung, what, trunk, WeightOnly())

    def judge(self, made: MadeArtifact, images: ImageSet) -> JudgedArtifact:
        self.confirmed.append(images)
        return judged(0.5, file=self.file)


def wide(recipe: Recipe) -> tuple[str, ...]:
    assert isinstance(recipe, Static | WeightOnly | Palette)
    return recipe.float_layers


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    precision: Precision,
    drops: Drops,
    *,
    repair: bool = True,
    budget: float = 600.0,
    apart: bool = False,
    half_accepted: bool = True,
    half_precision: Precision = "float16",
    format_: Format = "coreml",
) -> tuple[JudgedArtifact, Bench]:
    splits, file = two_splits(apart), folder / "model.mlpackage"
    file.write_bytes(bytes(100))
    bench = Bench(drops, splits, file)

    def result(step: object) -> SimpleNamespace:
        bench.steps.append(step)
        return SimpleNamespace(folder=folder)

    chain = SimpleNamespace(
        request=SimpleNamespace(splits=splits, budget=budget, contract=None),
        workshop=SimpleNamespace(cache=SimpleNamespace(result=result)),
    )
    wanted = ArtifactRequest(format=format_, precision=precision, layout="NCHW", repair=repair)
    bench.chain, bench.wanted = chain, wanted
    half = judged(0.0 if half_accepted else 1.0, file=file)
    narrow = msgspec.structs.replace(half.made.artifact, precision=half_precision)
    half = replace(half, made=replace(half.made, artifact=narrow))
    monkeypatch.setattr(ladder, "Workbench", lambda **_: bench)
    monkeypatch.setattr(ladder, "with_islands", lambda *_: half)
    monkeypatch.setattr(ladder, "damage_of", lambda _: DAMAGE)
    parent = judged(0.0, file=file).made
    if format_ == "coreai":
        pair = CoreAiFloat16(judged=half, hub=hub(half.made, "hub-float16"))
        monkeypatch.setattr(ladder, "core_ai", lambda *_: pair)
        monkeypatch.setattr(ladder, "hub_artifact", lambda _: hub(parent, "hub-float32"))
    found = ladder.compressed(cast(ArtifactChain, cast(Any, chain)), wanted, parent)
    return found, bench


def hub(made: MadeArtifact, id_: str) -> MadeArtifact:
    return replace(made, artifact=msgspec.structs.replace(made.artifact, id=id_, format="hub"))


def test_every_precision_but_zeros_has_a_recipe() -> None:
    from phoneproof.pipeline.config import AVAILABLE_PRECISIONS

    asked = {*AVAILABLE_PRECISIONS["coreml"]} - {"float32", "float16", "sparse"}
    assert {*ladder.RECIPES} == asked
    core_ai = {*AVAILABLE_PRECISIONS["coreai"]} - {"float32", "float16", "sparse"}
    assert core_ai == asked - {"static_wi8_ai8"}


@pytest.mark.parametrize(
    ("accepted", "trunk", "words"),
    [(True, "hub-float16", "the rest float16"), (False, "hub-float32", "")],
)
def test_core_ai_files_are_made_from_the_hub_of_the_float16_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, accepted: bool, trunk: str, words: str
) -> None:
    """And its damage is that of the recipe: no candidate can be looked into."""
    found, bench = run(
        monkeypatch,
        tmp_path,
        "palette4",
        lambda recipe: 0.0 if len(wide(recipe)) >= 2 else 0.1,
        half_accepted=accepted,
        format_="coreai",
    )
    assert {(one.made.artifact.id, one.words) for one in bench.trunks} == {(trunk, words)}
    assert [len(wide(one)) for one in bench.recipes] == [0, 1, 2]
    assert [type(step) for step in bench.steps] == [HubDamageStep]
    assert found.accepted
    _, twin = run(monkeypatch, tmp_path, "palette4", lambda _: 0.1)
    assert [type(step) for step in twin.steps] == [DamageStep]


def test_what_is_accepted_at_once_ends_the_ladder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, bench = run(monkeypatch, tmp_path, "palette6", lambda _: 0.0)
    assert bench.recipes == [Palette(bits=6)]
    assert found.accepted
    assert bench.trunks[0].words == "the rest float16"


def test_as_few_wide_layers_as_the_checks_accept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Six layers are enough: 1, 2, 4 are refused, 8 accepted, then 6, then 5 refused."""
    found, bench = run(
        monkeypatch, tmp_path, "palette4", lambda recipe: 0.0 if len(wide(recipe)) >= 6 else 0.1
    )
    assert [len(wide(one)) for one in bench.recipes] == [0, 1, 2, 4, 8, 6, 5]
    assert wide(bench.recipes[1]) == ("conv_00",)
    assert found.accepted
    assert found.attempts[-1].what.startswith("6 layers in float, 4-bit palettes")
    assert found.sensitivity == DAMAGE


def test_int8_ends_with_larger_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ranges, wide layers, int8 weights alone with wide layers, at last the float16 file."""
    found, bench = run(monkeypatch, tmp_path, "static_wi8_ai8", lambda _: 0.1)
    rungs = list(dict.fromkeys(rung for rung, _ in bench.seen))
    assert rungs == ["int8", "ranges", "wide layers", "weight-only", "float16"]
    assert bench.seen[-1] == ("float16", "float16")
    assert bench.trunks[0].ranges is not None
    assert not found.accepted
    assert all(len(wide(one)) <= len(DAMAGE) / 2 for one in bench.recipes)


@pytest.mark.parametrize(
    ("accepted", "precision", "tried"),
    [
        (True, "float16", True),
        (True, "mixed", True),
        (True, "float32", False),
        (False, "float16", False),
    ],
)
def test_a_float32_file_is_not_tried_as_the_float16_one(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    accepted: bool,
    precision: Precision,
    tried: bool,
) -> None:
    """Islands may make a file mixed, or leave hardly anything in float16."""
    _, bench = run(
        monkeypatch,
        tmp_path,
        "static_wi8_ai8",
        lambda _: 0.1,
        half_accepted=accepted,
        half_precision=precision,
    )
    assert (bench.seen[-1] == ("float16", "float16")) is tried
    assert any(rung == "weight-only" for rung, _ in bench.seen)


def test_the_best_ranges_are_spared_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def drops(recipe: Recipe) -> float:
        better = isinstance(recipe, Static) and recipe.ranges == "mse"
        return (0.02 if better else 0.1) - 0.01 * len(wide(recipe))

    found, bench = run(monkeypatch, tmp_path, "static_wi8_ai8", drops)
    last = bench.recipes[-1]
    assert isinstance(last, Static)
    assert (last.ranges, len(last.float_layers)) == ("mse", 1)
    assert found.accepted


def test_without_repair_the_first_try_stands_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, bench = run(monkeypatch, tmp_path, "weight_only_wi8", lambda _: 0.1, repair=False)
    assert bench.recipes == [WeightOnly()]
    assert not found.accepted


def test_a_spent_budget_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found, bench = run(monkeypatch, tmp_path, "palette4", lambda _: 0.1, budget=-1.0)
    assert len(bench.recipes) == 1
    assert "not tried" in found.attempts[-1].broke


def test_where_no_float16_file_is_accepted_the_float32_one_is_compressed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, bench = run(monkeypatch, tmp_path, "palette6", lambda _: 0.0, half_accepted=False)
    assert bench.trunks[0].words == ""


def test_the_winner_is_confirmed_on_images_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, bench = run(monkeypatch, tmp_path, "palette6", lambda _: 0.0, apart=True)
    assert [one.split for one in bench.confirmed] == ["confirmation"]
    assert not found.accepted


def test_no_file_at_all_is_an_error_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(OptimizationFailed, match="no try of coreml-palette6 gave a file") as caught:
        run(monkeypatch, tmp_path, "palette6", lambda _: None)
    assert "nothing smaller" in caught.value.found
