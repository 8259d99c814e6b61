"""From what the rounds found to a verdict: the one look at the held-out images."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

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
    FEWEST_HELD_OUT,
    FEWEST_IMAGES,
    FULL,
    Budget,
    Found,
    Observes,
    Seen,
    divide,
    search,
)
from phoneproof.pipeline.search.search_space import SearchSpace
from phoneproof.verify.search.compare import (
    is_better,
    likelihood_gain,
    score_gain,
    score_interval,
    score_of,
    shared_confidence,
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
    confidence: float

    def scored(self, candidate: Candidate) -> Scored:
        observed = self.observer.observe(candidate, self.images)
        return Scored(
            what=self.space.words(candidate),
            n=len(self.images),
            score=score_interval(observed),
            likelihood=float(observed.likelihood.mean()),
        )

    def gains(self, before: Candidate, after: Candidate) -> tuple[Interval, Interval]:
        """(of the likelihood, of the score), as sure as the number of comparisons demands."""
        first = self.observer.observe(before, self.images)
        second = self.observer.observe(after, self.images)
        return (
            likelihood_gain(first, second, confidence=self.confidence),
            score_gain(first, second, confidence=self.confidence),
        )


def metric_of(task: Task) -> SearchMetric:
    """Top-1 accuracy, or mAP50 of a detector."""
    return "top1" if task == "classify" else "map50"


def too_few(task: Task, items: Sequence[ImageItem]) -> ContractSearch | None:
    """The outcome where there are not enough labelled images; null where there are.

    Needed are `FEWEST_IMAGES`, and `FEWEST_HELD_OUT` of them on either side of the division.
    """
    divided = divide(items, FULL)
    fewest = min(len(divided.search), len(divided.held_out))
    if len(items) < FEWEST_IMAGES:
        reason = f"{len(items)} labelled images: at least {FEWEST_IMAGES} are needed"
    elif fewest < FEWEST_HELD_OUT:
        reason = (
            f"{len(items)} labelled images, of which {len(divided.search)} fell to the search and "
            f"{len(divided.held_out)} to its confirmation: more are needed"
        )
    else:
        return None
    return ContractSearch(verdict="inconclusive", reason=reason, metric=metric_of(task))


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
        items: labelled images, not `too_few`; `observer` knows them by position.
    """
    recorded = _recorded(inspection, metric_of(space.contract.task))
    divided = divide(items, budget)
    found = search(space, observer, divided.search, budget)
    chance = chance_of(space.contract.task, items, divided.held_out)
    result = confirmed(space, observer, found, divided.held_out, chance=chance)
    known = [one for one in (result.proposed or result.current, *result.equal) if one is not None]
    return msgspec.structs.replace(
        result,
        searched=len(divided.search),
        recorded=recorded,
        fits=tuple(one.what for one in known if _holds(one, recorded)),
    )


def confirmed(
    space: SearchSpace,
    observer: Observes,
    found: Found,
    images: tuple[int, ...],
    *,
    chance: float,
) -> ContractSearch:
    """What the held-out images say of what was found, as a verdict on the given contract.

    Args:
        images: their positions. chance: score on them of knowing nothing.
    """
    rivals = [one for one in _compared(found) if one != space.given]
    look = _Confirmation(
        space=space,
        observer=observer,
        images=images,
        confidence=shared_confidence(len(rivals)),
    )
    best, measured = _measured(found, look, chance)
    return _result(found, look, best, measured)


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


def _compared(found: Found) -> tuple[Candidate, ...]:
    """What the held-out images may put in the given contract's place."""
    return tuple(dict.fromkeys((found.best, found.first)))


def _measured(found: Found, look: _Confirmation, chance: float) -> tuple[Candidate, _Measured]:
    """The preferred candidate, or the first where only that one is better than the given."""
    tries = [(one, _measured_one(one, look, chance)) for one in _compared(found)]
    return next((pair for pair in tries if pair[1].better), tries[0])


def _measured_one(one: Candidate, look: _Confirmation, chance: float) -> _Measured:
    given = look.space.given
    surer, gain = look.gains(given, one)
    return _Measured(
        metric=metric_of(look.space.contract.task),
        current=look.scored(given),
        proposed=look.scored(one),
        same=one == given,
        surer=surer,
        gain=gain,
        chance=chance,
    )


def _result(
    found: Found, look: _Confirmation, best: Candidate, measured: _Measured
) -> ContractSearch:
    space, better = look.space, measured.better
    verdict, reason = _verdict(measured)
    first = best if better else space.given
    equal, behind = _runners_up(look, first, found) if measured.explains else ((), ())
    return ContractSearch(
        verdict=verdict,
        reason=reason,
        metric=measured.metric,
        held_out=len(look.images),
        current=measured.current,
        proposed=measured.proposed if better else None,
        proposal=space.contract_of(best) if better else None,
        preset=space.preset_of(best) if better else "",
        differs=space.differs(best) if better else (),
        gain=None if measured.same else measured.gain,
        likelihood_gain=None if measured.same else measured.surer,
        confidence=look.confidence,
        equal=equal,
        behind=behind,
        tried=tuple(_tried(one, look) for one in found.seen),
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


def _runners_up(
    look: _Confirmation, winner: Candidate, found: Found
) -> tuple[tuple[Scored, ...], tuple[Scored, ...]]:
    """Candidates that came far: those not surely worse than the winner, and the others."""
    equal: list[Scored] = []
    behind: list[Scored] = []
    for one in dict.fromkeys((found.best, found.first, *found.finalists)):
        if one != winner:
            worse = is_better(*look.gains(one, winner))
            (behind if worse else equal).append(look.scored(one))
    return tuple(equal), tuple(sorted(behind, key=lambda one: -one.score.value))


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
