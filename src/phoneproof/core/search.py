"""What the preprocessing search found: alternatives of a contract, measured against the labels."""

from __future__ import annotations

from typing import Literal

from phoneproof.core.contract import Contract
from phoneproof.core.schema import SchemaType

SearchVerdict = Literal["confirmed", "better_found", "inconclusive"]
SearchMetric = Literal["top1", "map50"]
SearchStage = Literal["values", "geometry", "details"]


class Interval(SchemaType, frozen=True, kw_only=True):
    """A figure with its lower and upper bounds, one-sided; 95 % each where nothing else is said."""

    value: float
    lower: float
    upper: float


class Scored(SchemaType, frozen=True, kw_only=True):
    """One alternative on the held-out images.

    what: the alternative in words. score: top-1 accuracy or mAP50. likelihood: mean log-likelihood
    of the labels, in nats an image (classification) or an object (detection).
    """

    what: str
    n: int
    score: Interval
    likelihood: float


class Tried(SchemaType, frozen=True, kw_only=True):
    """One alternative on the images that were searched on: `n` of them before it was left behind.

    differs: what is otherwise than in the contract that was given; empty for that contract.
    gain: of the mean log-likelihood over the given contract's, on the same images.
    """

    differs: tuple[str, ...]
    stage: SearchStage
    n: int
    score: float
    likelihood: float
    gain: Interval


class ContractSearch(SchemaType, frozen=True, kw_only=True):
    """The outcome of a search.

    verdict: "better_found" only where the held-out images, which nothing was chosen on, show it.
    reason: the verdict in a sentence. searched, held_out: numbers of images. runs: of the model.
    current, proposed: on the held-out images. proposal: the better contract; preset: its preset.
    differs: what the proposal changes. gain: of the score, paired over the held-out images;
    likelihood_gain: of the mean log-likelihood. confidence: of each bound of these two; more than
    95 % because several comparisons share the images. equal: alternatives that explain the labels
    as well as the best one; behind: runners-up that are surely worse, both on the held-out images.
    recorded: (name, value) of the same figure in the source file; fits:
    alternatives in whose interval it lies. notes: what could not be decided.
    """

    verdict: SearchVerdict
    reason: str
    metric: SearchMetric
    searched: int = 0
    held_out: int = 0
    runs: int = 0
    current: Scored | None = None
    proposed: Scored | None = None
    proposal: Contract | None = None
    preset: str = ""
    differs: tuple[str, ...] = ()
    gain: Interval | None = None
    likelihood_gain: Interval | None = None
    confidence: float = 0.95
    equal: tuple[Scored, ...] = ()
    behind: tuple[Scored, ...] = ()
    tried: tuple[Tried, ...] = ()
    recorded: tuple[tuple[str, float], ...] = ()
    fits: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
