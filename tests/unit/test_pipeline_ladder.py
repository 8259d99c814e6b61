"""The order of the rungs, and when the ladder stops."""

from __future__ import annotations

from dataclasses import replace

import pytest

from phoneproof.core.check import Check, CheckName
from phoneproof.core.errors import Unsupported
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16, Io, Recipe, Static, WeightOnly
from phoneproof.pipeline.ladder import climb as ladder
from phoneproof.pipeline.ladder.tries import Rung, Trunk, excess
from phoneproof.pipeline.ladder.wide import wide_layers
from tests.unit.ladder_bench import DAMAGE, ITEM, LAYERS, Bench, run, rungs


def test_the_first_accepted_file_ends_the_climb(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.0)
    assert found.accepted
    assert rungs(bench) == ["int8"]


def test_every_rung_in_order_when_nothing_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.03, tail=("softmax",))
    assert not found.accepted
    assert rungs(bench) == [
        "int8",
        "ranges",
        "split heads",
        "wide layers",
        "equalised",
        "bias",
        "learned",
        "weight-only",
        "float16",
    ]
    assert [one.rung for one in found.attempts] == [rung for rung, _ in bench.seen]
    assert found.sensitivity == DAMAGE


def test_ranges_are_not_tried_where_outputs_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(
        monkeypatch, lambda rung, *_: 0.0 if rung == "split heads" else 0.5, mixes=True
    )
    assert found.accepted
    assert rungs(bench) == ["int8", "split heads"]


def test_a_threshold_of_its_own_comes_before_what_looks_at_layers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        return 0.0 if rung == "threshold" else 0.5

    found, bench = run(monkeypatch, drops, loses=True)
    assert found.accepted
    assert rungs(bench) == ["int8", "ranges", "split heads", "threshold"]


def test_a_threshold_is_not_fitted_to_the_same_candidate_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, _ = run(monkeypatch, lambda *_: 0.5, loses=True)
    fitted = [one.what for one in found.attempts if one.rung == "threshold"]
    assert fitted
    assert len(fitted) == len(set(fitted))


def test_a_classifier_has_no_heads_to_split(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bench = run(monkeypatch, lambda *_: 0.5, task="classify")
    assert "split heads" not in rungs(bench)


def test_a_head_of_no_known_kind_is_noted_and_its_decode_stays_float(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.5, splittable=False, tail=("softmax",))
    assert any("no known kind" in one.broke for one in found.attempts)
    assert rungs(bench)[2] == "float tail"


def test_the_least_bad_recipe_is_refined(monkeypatch: pytest.MonkeyPatch) -> None:
    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        if not isinstance(recipe, Static):
            return 0.5
        if rung == "wide layers":
            return 0.0 if len(recipe.float_layers) >= 3 and recipe.ranges == "mse" else 0.2
        return 0.1 if recipe.ranges == "mse" else 0.3

    found, bench = run(monkeypatch, drops, task="classify")
    assert found.accepted
    assert bench.seen[-1] == ("wide layers", "2 layers in float, mse ranges")


def test_no_more_layers_are_wide_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "WIDE_MACS", 1.0)

    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        enough = isinstance(recipe, Static) and len(recipe.float_layers) >= 7
        return 0.0 if rung == "wide layers" and enough else 0.5

    found, bench = run(monkeypatch, drops, task="classify")
    tried = dict.fromkeys(what.split()[0] for rung, what in bench.seen if rung == "wide layers")
    assert list(tried) == ["1", "2", "4", "8", "6", "5"]
    assert found.attempts[-1].what.startswith("6 layers")


def test_wide_layers_stay_within_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Static] = []

    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        if rung == "wide layers" and isinstance(recipe, Static):
            kept.append(recipe)
        return 0.5

    run(monkeypatch, drops, task="classify")
    macs = {layer.name: layer.macs for layer in LAYERS}
    assert kept
    assert all(sum(macs[name] for name in one.float_layers) <= ladder.WIDE_MACS for one in kept)


def test_without_repair_the_first_try_stands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.5, repair=False)
    assert not found.accepted
    assert rungs(bench) == ["int8"]


def test_a_spent_budget_leaves_the_cheap_rungs(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda rung, *_: 0.0 if rung == "float16" else 0.5, budget=0.0)
    assert found.accepted
    assert rungs(bench) == ["int8", "weight-only", "float16"]
    (untried,) = [one for one in found.attempts if one.broke]
    assert untried.what == "ranges, split heads, float tail, wide layers, equalised, bias, learned"
    assert "not tried, the budget of 0 s" in untried.broke


def test_too_little_time_to_learn_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "_REPAIRS", (("learned", "tflite-distill", 2.0),))
    found, _ = run(monkeypatch, lambda *_: 0.03)
    assert [one.what for one in found.attempts if one.broke] == ["learned"]


def test_learning_is_for_what_is_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.5)
    assert "learned" not in rungs(bench)
    (skipped,) = [one for one in found.attempts if one.broke]
    assert "50.0 times what it may" in skipped.broke


def test_learning_is_taught_by_the_original_whatever_bias_correction_made_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_rung = {"equalised": 0.025, "bias": 0.02, "learned": 0.0}
    starts: list[str] = []
    repaired = Bench.repaired

    def noting(bench: Bench, trunk: Trunk, repairer: str, recipe: Static, seconds: float) -> Trunk:
        starts.append(trunk.words)
        made = repaired(bench, trunk, repairer, recipe, seconds)
        return replace(made, words=f"after {repairer}")

    monkeypatch.setattr(Bench, "repaired", noting)
    found, _ = run(monkeypatch, lambda rung, *_: by_rung.get(rung, 0.03))
    assert found.accepted
    assert starts[-2:] == ["after tflite-equalise", "after tflite-equalise"]


def test_layers_in_float_get_biases_corrected_for_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    corrected: list[int] = []
    repaired = Bench.repaired

    def noting(bench: Bench, trunk: Trunk, repairer: str, recipe: Static, seconds: float) -> Trunk:
        if repairer == "tflite-bias":
            corrected.append(len(recipe.float_layers))
        return repaired(bench, trunk, repairer, recipe, seconds)

    monkeypatch.setattr(Bench, "repaired", noting)
    by_rung = {"bias": 0.02, "learned": 0.03}
    run(monkeypatch, lambda rung, *_: by_rung.get(rung, 0.04))
    assert len(corrected) > 1
    assert corrected[0] == 0
    assert all(corrected[1:])


def test_biases_that_did_not_help_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    corrected: list[str] = []
    repaired = Bench.repaired

    def noting(bench: Bench, trunk: Trunk, repairer: str, recipe: Static, seconds: float) -> Trunk:
        corrected.append(repairer)
        return repaired(bench, trunk, repairer, recipe, seconds)

    monkeypatch.setattr(Bench, "repaired", noting)
    run(monkeypatch, lambda *_: 0.03)
    assert corrected.count("tflite-bias") == 1


def test_images_that_judge_teach_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.03, teaches_itself=True)
    assert "learned" not in rungs(bench)
    assert any("teach and judge" in one.broke for one in found.attempts)


def test_an_integer_input_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(monkeypatch, lambda *_: 0.5, io=Io(input="int8"))
    assert not {"weight-only", "float16"} & set(rungs(bench))
    assert "float32 inputs" in found.attempts[-1].broke


def test_an_analysis_that_breaks_does_not_end_the_climb(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Bench, trunk: Trunk, method: str) -> tuple[LayerDamage, ...]:
        raise Unsupported("an operator that nobody simulates")

    monkeypatch.setattr(Bench, "damage", broken)
    found, _ = run(monkeypatch, lambda rung, *_: 0.0 if rung == "float16" else 0.5)
    assert found.accepted
    assert any("nobody simulates" in one.broke for one in found.attempts)


def test_a_gain_is_no_loss() -> None:
    def check(name: CheckName, value: float) -> Check:
        return Check(name=name, kind="margin", value=value, limit=0.01, n=9, verdict="pass")

    assert excess((check("top1_drop", -0.03),)) == 0
    assert excess((check("top1_drop", 0.015),)) == pytest.approx(1.5)
    assert excess((check("score_shift", -0.03),)) == pytest.approx(3.0)


def test_of_several_accepted_files_the_best_is_reported_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    losses = {"percentile_99_999": 0.006, "mse": 0.001, "percentile_99_99": 0.004}

    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        return losses.get(recipe.ranges, 0.5) if isinstance(recipe, Static) else 0.5

    found, _ = run(monkeypatch, drops)
    assert found.attempts[-1].what == "mse ranges"
    assert [one.accepted for one in found.attempts] == [False, True, True, False, True]


def test_other_integer_precisions_have_short_ladders(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bench = run(monkeypatch, lambda *_: 0.5, precision="dynamic_wi8")
    assert rungs(bench) == ["dynamic", "weight-only", "float16"]
    _, bench = run(monkeypatch, lambda *_: 0.5, precision="weight_only_wi8")
    assert rungs(bench) == ["weight-only", "float16"]


def test_the_winner_is_confirmed_once_on_other_images(monkeypatch: pytest.MonkeyPatch) -> None:
    found, bench = run(
        monkeypatch, lambda *_: 0.0, confirmation=(ITEM,), confirmed=0.3, task="classify"
    )
    assert [one.split for one in bench.judged_on] == ["confirmation"]
    assert not found.accepted
    assert found.attempts[0].accepted


def test_what_is_refused_is_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    _, bench = run(monkeypatch, lambda *_: 0.5, confirmation=(ITEM,), task="classify")
    assert bench.judged_on == []


def test_readers_of_a_wide_value_are_wide_too() -> None:
    kept, share = wide_layers(LAYERS, DAMAGE, 2)
    assert kept == ("conv_0", "conv_1", "conv_2")
    assert share == pytest.approx(0.03)


def test_larger_files_come_in_the_order_of_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Recipe] = []

    def drops(rung: Rung, what: str, recipe: Recipe) -> float:
        tried.append(recipe)
        return 0.5

    run(monkeypatch, drops, precision="weight_only_wi8")
    assert isinstance(tried[0], WeightOnly)
    shares = [one.float32_share for one in tried if isinstance(one, Float16)]
    assert shares == sorted(shares)
