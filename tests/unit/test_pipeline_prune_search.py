"""Which shares are tried, when the search ends, and what becomes of the file afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConfigError, OptimizationFailed, PhoneproofError
from phoneproof.core.recipe import Prune
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.capture_steps import HubInfo
from phoneproof.pipeline.gate import Hub
from phoneproof.pipeline.ladder import prune as ladder
from phoneproof.pipeline.ladder.prune import Pruned, pruned, quantized
from phoneproof.pipeline.prune_step import PruneStep
from phoneproof.pipeline.request import ArtifactRequest
from tests.unit.pruned_files import judged, made, splits

Outcome = float | PhoneproofError


@dataclass
class Chain:
    """Losses of a share without any hub or image."""

    losses: Callable[[float], Outcome]
    budget: float = 600.0
    apart: bool = False
    steps: list[PruneStep] = field(default_factory=list)
    confirmed: int = 0

    @property
    def request(self) -> Any:
        return SimpleNamespace(splits=splits(self.apart), budget=self.budget, contract=None)

    @property
    def hub(self) -> Hub:
        info = HubInfo(importer="torch", outputs=(), sha256="captured")
        return Hub(path=Path("hub.pt2"), info=info, binding=made().artifact.binding)

    @property
    def workshop(self) -> Any:
        return SimpleNamespace(cache=SimpleNamespace(result=lambda step: step))

    def from_hub(self, step: PruneStep) -> MadeArtifact:
        self.steps.append(step)
        found = self.losses(step.recipe.share)
        if isinstance(found, PhoneproofError):
            raise found
        return made(Path("pruned.pt2"), f"{step.recipe.share:g}")

    def conversion(self, wanted: ArtifactRequest, label: str, hub: MadeArtifact) -> Any:
        return SimpleNamespace(name=label, share=float(hub.artifact.sha256))

    def judge(self, one: MadeArtifact, *, images: ImageSet, requested: str) -> JudgedArtifact:
        assert requested == ladder.HELD_TO
        self.confirmed += images.split == "confirmation"
        found = self.losses(float(one.artifact.sha256))
        assert isinstance(found, float)
        return judged(found, sha256=one.artifact.sha256)


@pytest.fixture(autouse=True)
def _files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        ladder, "made_artifact", lambda result, **_: made(sha256=f"{result.share:g}")
    )


def search(chain: Chain, share: float = 0.5, seconds: float = 10.0) -> tuple[list[float], Pruned]:
    wanted = ArtifactRequest(
        format="tflite",
        precision="float32",
        layout="NHWC",
        suffix="-pruned",
        prune=Prune(share=share, seconds=seconds),
    )
    found = pruned(cast(ArtifactChain, cast(Any, chain)), wanted)
    return [step.recipe.share for step in chain.steps], found


def losing_below(share: float) -> Callable[[float], Outcome]:
    """Accepted from a share on; what is refused loses more the less is left."""
    return lambda left: 0.0 if left >= share else 0.02 + share - left


def test_a_target_that_is_accepted_ends_the_search() -> None:
    tried, found = search(Chain(losing_below(0.3)))
    assert tried == [0.5]
    assert found.judged.accepted
    assert found.hub.artifact.sha256 == "0.5"


@pytest.mark.parametrize(
    ("good", "tried", "shipped"),
    [
        (0.55, [0.5, 0.75, 0.6], "0.6"),
        (0.7, [0.5, 0.75, 0.6], "0.75"),
        (0.8, [0.5, 0.75, 0.9], "0.9"),
    ],
)
def test_the_smallest_accepted_share_is_found_by_halving(
    good: float, tried: list[float], shipped: str
) -> None:
    shares, found = search(Chain(losing_below(good)))
    assert shares == tried
    assert found.judged.accepted
    assert found.judged.made.artifact.sha256 == shipped
    assert [one.what for one in found.judged.attempts] == [
        f"{one:.0%} of the macs" for one in tried
    ]


def test_where_nothing_is_accepted_the_closest_is_refused() -> None:
    shares, found = search(Chain(losing_below(2.0)))
    assert shares == [0.5, 0.75, 0.9]
    assert not found.judged.accepted
    assert found.judged.made.artifact.sha256 == "0.9"


def test_a_budget_that_is_used_up_ends_the_search_and_says_so() -> None:
    def slow(share: float) -> Outcome:
        time.sleep(0.05)
        return 0.5

    shares, found = search(Chain(slow, budget=0.02), seconds=0.0)
    assert shares == [0.5]
    last = found.judged.attempts[-1]
    assert last.what == "60% of the macs, 75% of the macs, 90% of the macs"
    assert last.broke == "not tried, the budget of 0.02 s does not reach"


def test_a_try_that_learns_longer_than_what_is_left_is_not_begun() -> None:
    chain = Chain(losing_below(2.0), budget=100.0)
    shares, found = search(chain, seconds=100.0)
    assert shares == [0.5]
    assert found.judged.attempts[-1].broke.startswith("not tried")


def test_no_try_learns_longer_than_the_budget() -> None:
    chain = Chain(losing_below(0.0), budget=30.0)
    search(chain, seconds=100.0)
    assert chain.steps[0].recipe.seconds == 30.0


def test_a_share_that_cannot_be_reached_is_noted_and_the_next_one_tried() -> None:
    def floor(share: float) -> Outcome:
        return OptimizationFailed("cannot be pruned", found="70%") if share < 0.7 else 0.0

    shares, found = search(Chain(floor))
    assert shares == [0.5, 0.75, 0.6]
    assert found.judged.made.artifact.sha256 == "0.75"
    assert found.judged.attempts[0].broke == "cannot be pruned (70%)"


def test_no_file_at_all_is_an_error_with_its_reason() -> None:
    with pytest.raises(OptimizationFailed, match="no try of tflite-float32-pruned") as caught:
        search(Chain(lambda _: OptimizationFailed("there is no image to learn from")))
    assert "no image" in caught.value.found


def test_an_error_of_the_users_code_ends_the_build() -> None:
    chain = Chain(lambda _: ConfigError("the finetune mine:recover failed"))
    with pytest.raises(ConfigError, match="mine:recover failed"):
        search(chain)
    assert len(chain.steps) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_the_winner_is_judged_once_more_where_other_images_confirm(apart: bool) -> None:
    chain = Chain(losing_below(0.0), apart=apart)
    _, found = search(chain)
    assert chain.confirmed == int(apart)
    assert found.judged.held_to == ladder.HELD_TO


@pytest.mark.parametrize("accepted", [True, False])
def test_integers_are_made_of_the_pruned_hub(
    accepted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    climbed: list[tuple[ArtifactChain, ArtifactRequest, MadeArtifact]] = []

    def climb(
        chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
    ) -> JudgedArtifact:
        climbed.append((chain, wanted, parent))
        return judged(0.0)

    monkeypatch.setattr(ladder, "climb", climb)
    request: Any = SimpleNamespace(budget=1.0)
    chain = ArtifactChain(
        request=request,
        workshop=cast(Any, None),
        hub=Chain(losing_below(0.0)).hub,
        baseline=cast(Any, None),
    )
    wanted = ArtifactRequest(
        format="tflite", precision="static_wi8_ai8", layout="NHWC", suffix="-pruned"
    )
    parent = Pruned(judged=judged(0.0 if accepted else 0.5), hub=made(Path("p.pt2"), "pruned"))
    quantized(chain, wanted, parent)
    ((smaller, asked, source),) = climbed
    assert (smaller.hub.path, smaller.hub.info.sha256) == (Path("p.pt2"), "pruned")
    assert asked.repair is accepted  # what is refused in float is not repaired in integers
    assert source is parent.judged.made
