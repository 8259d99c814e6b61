"""From what the rounds found to a verdict: the one look at the held-out images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Task
from phoneproof.core.dataset import ImageItem
from phoneproof.core.search import (
    ContractSearch,
    Interval,
    Scored,
    SearchMetric,
    SearchVerdict,
    Tried,
)
from phoneproof.pipeline.search.search import (
    FEWEST_IMAGES,
    Budget,
    Found,
    Observes,
    Seen,
    divide,
    search,
)
from phoneproof.pipeline.search.search_space import SearchSpace, preset_of
from phoneproof.verify.search.compare import (
    is_better,
    likelihood_gain,
    score_gain,
    score_interval,
    score_of,
)
from phoneproof.verify.search.observe import Candidate

CHANCE_MAP50: Final = 0.01
"""Boxes drawn at random hit nothing; a detector below this explains nothing."""

UNDECIDED_MARGIN: Final = 0.05
"""A gain that may still be larger than this leaves the contract unconfirmed."""

_PLACEHOLDER = re.compile(r"class \d+")
_RECORDED: Final[dict[SearchMetric, tuple[str, ...]]] = {
    "top1": ("accuracy_top1", "top1", "val_accuracy", "accuracy"),
    "map50": ("map50(b)", "map50", "map_0.5"),
}
"""How training programs call the two figures, lower case, without a leading ``metrics/``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Confirmation:
    """The held-out images' word on each candidate."""

    space: SearchSpace
    observer: Observes
    images: tuple[int, ...]

    def scored(self, candidate: Candidate) -> Scored:
        observed = self.observer.observe(candidate, self.images)
        return Scored(
            what=self.space.words(candidate),
            n=len(self.images),
            score=score_interval(observed),
            likelihood=float(observed.likelihood.mean()),
        )

    def gains(self, before: Candidate, after: Candidate) -> tuple[Interval, Interval]:
        """(of the likelihood, of the score)."""
        first = self.observer.observe(before, self.images)
        second = self.observer.observe(after, self.images)
        return likelihood_gain(first, second), score_gain(first, second)


def search_contract(
    space: SearchSpace,
    observer: Observes,
    items: Sequence[ImageItem],
    *,
    inspection: Inspection,
    budget: Budget,
) -> ContractSearch:
    """Search, confirm, and say what was found. See `ContractSearch`.

    Args:
        items: labelled images; `observer` knows them by position.
    """
    metric: SearchMetric = "top1" if space.contract.task == "classify" else "map50"
    recorded = _recorded(inspection, metric)
    if len(items) < FEWEST_IMAGES:
        return ContractSearch(
            verdict="inconclusive",
            reason=f"{len(items)} labelled images: at least {FEWEST_IMAGES} are needed",
            metric=metric,
            recorded=recorded,
        )
    divided = divide(items, budget)
    found = search(space, observer, divided.search, budget)
    look = _Confirmation(space=space, observer=observer, images=divided.held_out)
    measured = _measured(found, look, chance_of(space.contract.task, items, divided.held_out))
    return _result(found, look, measured, recorded, searched=len(divided.search))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """The given contract and the best candidate on the held-out images.

    metric: of both scores. surer, gain: of likelihood and score. chance: score of knowing nothing.
    """

    metric: SearchMetric
    current: Scored
    proposed: Scored
    same: bool
    surer: Interval
    gain: Interval
    chance: float

    @property
    def explains(self) -> bool:
        """Whether the better of both says anything at all about the labels."""
        return max(self.current.score.lower, self.proposed.score.lower) > self.chance

    @property
    def better(self) -> bool:
        """Whether the candidate is surely better than the given contract."""
        return not self.same and self.explains and is_better(self.surer, self.gain)


def _measured(found: Found, look: _Confirmation, chance: float) -> _Measured:
    given = look.space.given
    surer, gain = look.gains(given, found.best)
    return _Measured(
        metric="top1" if look.space.contract.task == "classify" else "map50",
        current=look.scored(given),
        proposed=look.scored(found.best),
        same=found.best == given,
        surer=surer,
        gain=gain,
        chance=chance,
    )


def _result(
    found: Found,
    look: _Confirmation,
    measured: _Measured,
    recorded: tuple[tuple[str, float], ...],
    *,
    searched: int,
) -> ContractSearch:
    space, best, better = look.space, found.best, measured.better
    verdict, reason = _verdict(measured)
    equal = _equal(look, best if better else space.given, found) if measured.explains else ()
    winner = measured.proposed if better else measured.current
    return ContractSearch(
        verdict=verdict,
        reason=reason,
        metric=measured.metric,
        searched=searched,
        held_out=len(look.images),
        current=measured.current,
        proposed=measured.proposed if better else None,
        proposal=space.contract_of(best) if better else None,
        preset=preset_of(best.image) if better else "",
        differs=space.differs(best) if better else (),
        gain=None if measured.same else measured.gain,
        likelihood_gain=None if measured.same else measured.surer,
        equal=equal,
        tried=tuple(_tried(one, look) for one in found.seen),
        recorded=recorded,
        fits=tuple(one.what for one in (winner, *equal) if _holds(one, recorded)),
        notes=_notes(space, measured),
    )


def _verdict(measured: _Measured) -> tuple[SearchVerdict, str]:
    name = "top-1" if measured.metric == "top1" else "mAP50"
    n = measured.current.n
    own = f"{name} {_bounded(measured.current.score)} of {n} held-out images"
    if not measured.explains:
        guessing = f"{measured.chance:.3f}"
        return "inconclusive", f"no alternative beats guessing ({guessing}): {own} at best"
    if measured.better:
        other = _bounded(measured.proposed.score)
        return "better_found", f"{own} with this contract, {other} with the proposed one"
    if not measured.same and measured.gain.upper > UNDECIDED_MARGIN:
        most = f"{measured.gain.upper:.3f}"
        return "inconclusive", f"{own}; another contract may be better by up to {most}"
    return "confirmed", f"{own}; no alternative is better"


def _bounded(score: Interval) -> str:
    return f"{score.value:.3f} [{score.lower:.3f}, {score.upper:.3f}]"


def chance_of(task: Task, items: Sequence[ImageItem], images: Sequence[int]) -> float:
    """The score of always naming the commonest class; of a detector `CHANCE_MAP50`."""
    if task != "classify":
        return CHANCE_MAP50
    counts = Counter(items[i].label for i in images)
    return counts.most_common(1)[0][1] / len(images)


def _equal(look: _Confirmation, winner: Candidate, found: Found) -> tuple[Scored, ...]:
    """Candidates that came far and are not surely worse than the winner."""
    others = dict.fromkeys((found.best, *found.finalists))
    return tuple(
        look.scored(one)
        for one in others
        if one != winner and not is_better(*look.gains(one, winner))
    )


def _tried(seen: Seen, look: _Confirmation) -> Tried:
    given = look.observer.observe(look.space.given, seen.images)
    observed = look.observer.observe(seen.candidate, seen.images)
    return Tried(
        differs=look.space.differs(seen.candidate),
        stage=seen.stage,
        n=len(seen.images),
        score=score_of(observed),
        likelihood=float(observed.likelihood.mean()),
        gain=likelihood_gain(given, observed),
    )


def _recorded(inspection: Inspection, metric: SearchMetric) -> tuple[tuple[str, float], ...]:
    """The same figure as the source file states it, where it does."""
    return tuple(
        (name, value)
        for name, value in inspection.evidence.metrics
        if name.lower().rpartition("/")[2] in _RECORDED[metric]
    )


def _holds(scored: Scored, recorded: tuple[tuple[str, float], ...]) -> bool:
    return any(scored.score.lower <= value <= scored.score.upper for _, value in recorded)


def _notes(space: SearchSpace, measured: _Measured) -> tuple[str, ...]:
    notes = []
    labels = space.contract.labels
    if len(space.orders) == 1:
        notes.append("no other place of the classes was possible with these labels")
    elif not measured.explains:
        notes.append("where the classes begin (the label offset) could not be decided")
    if any(label is not None and _PLACEHOLDER.fullmatch(label) for label in labels):
        notes.append("class numbers were measured; the names are placeholders, nobody knows them")
    return tuple(notes)
