"""The order of the shares of zeros, when the search ends, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Recipe, Sparse
from phoneproof.core.report import Attempt
from phoneproof.data.split import Splits
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.ladder import sparse as ladder
from phoneproof.pipeline.ladder.tries import Rung, Tried, Trunk, broken_attempt, measured_attempt
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.verify.limits import limits_for
from tests.unit.pruned_files import judged
from tests.unit.pruned_files import splits as two_splits

Drops = Callable[[float], float | None]


class Bench:
    """Losses of a share without any file."""

    def __init__(self, drops: Drops, splits: Splits, file: Path) -> None:
        self.drops, self.splits, self.file = drops, splits, file
        self.shares: list[float] = []
        self.confirmed: list[ImageSet] = []

    def attempt(self, rung: Rung, what: str, trunk: Trunk, recipe: Recipe) -> Tried:
        assert isinstance(recipe, Sparse)
        self.shares.append(recipe.share)
        drop = self.drops(recipe.share)
        if drop is None:
            attempt = broken_attempt(rung, what, OptimizationFailed("no weights"))
            return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt)
        found = judged(drop, file=self.file)
        attempt = measured_attempt(rung, what, found, seconds=1.0)
        return Tried(rung=rung, trunk=trunk, recipe=recipe, attempt=attempt, judged=found)

    def judge(self, made: MadeArtifact, images: ImageSet) -> JudgedArtifact:
        self.confirmed.append(images)
        return judged(0.5, file=self.file)


def run(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    drops: Drops,
    *,
    repair: bool = True,
    budget: float = 600.0,
    apart: bool = False,
) -> tuple[tuple[Attempt, ...], bool, Bench]:
    splits, file = two_splits(apart), folder / "model.tflite"
    file.write_bytes(bytes(100))
    bench = Bench(drops, splits, file)
    chain = SimpleNamespace(request=SimpleNamespace(splits=splits, budget=budget))
    monkeypatch.setattr(ladder, "Workbench", lambda **_: bench)
    wanted = ArtifactRequest(format="tflite", precision="sparse", layout="NHWC", repair=repair)
    found = ladder.sparse(cast(ArtifactChain, cast(Any, chain)), wanted, judged(0.0).made)
    return found.attempts, found.accepted, bench


def test_the_most_zeros_that_are_accepted_end_the_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts, accepted, bench = run(monkeypatch, tmp_path, lambda share: share / 100 + 0.0055)
    assert bench.shares == [0.7, 0.5, 0.4]
    assert accepted
    assert [one.accepted for one in attempts] == [False, False, True]
    assert "40% of the weights zero" in attempts[-1].what
    assert "bytes gzip" in attempts[-1].what
    assert not bench.confirmed


def test_where_nothing_is_accepted_the_closest_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts, accepted, bench = run(monkeypatch, tmp_path, lambda share: share)
    assert bench.shares == list(ladder.SHARES)
    assert not accepted
    assert len(attempts) == len(ladder.SHARES)


def test_without_repair_the_first_share_stands_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts, accepted, bench = run(monkeypatch, tmp_path, lambda share: share, repair=False)
    assert bench.shares == [0.7]
    assert len(attempts) == 1
    assert not accepted


def test_a_spent_budget_says_what_was_not_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    attempts, _, bench = run(monkeypatch, tmp_path, lambda share: share, budget=-1.0)
    assert bench.shares == [0.7]
    assert "50% of the weights zero" in attempts[-1].what
    assert "not tried" in attempts[-1].broke


def test_the_winner_is_confirmed_on_images_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, accepted, bench = run(monkeypatch, tmp_path, lambda _: 0.0, apart=True)
    assert [one.split for one in bench.confirmed] == ["confirmation"]
    assert not accepted  # what those images say counts


def test_no_file_at_all_is_an_error_with_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(OptimizationFailed, match="no try of tflite-sparse gave a file") as caught:
        run(monkeypatch, tmp_path, lambda _: None)
    assert "no weights" in caught.value.found


def test_a_sparse_file_is_held_to_the_losses_of_integers() -> None:
    assert limits_for("sparse") == limits_for("static_wi8_ai8")
