"""Final detections of two models, put in step: their order in the file says nothing.

A file that picks its own best K gives near-ties in any order, so row 7 of one artifact may be row
8 of another, and the rows with hardly any score are others altogether. What counts are the rows
above half the app's confidence; each is compared with its partner of the same class, and one
without a partner with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.verify.matching import UNMATCHED, Index, corner_distance, match_one_to_one

CLASSES: Final = "classes"
"""The role by which final detections are told from rows that keep their place."""

Roles = Mapping[str, NDArray[Any]]


def in_step(baseline: Roles, candidate: Roles, floor: float) -> tuple[Roles, Roles]:
    """``boxes`` [R, 4] and ``scores`` [R] of both, row by row the same detection.

    Each baseline row above `floor`, best first, takes the nearest candidate row of its class,
    whatever that row's score; each candidate row above `floor` that is left takes a baseline row
    that is left. Nearness is the largest difference of a coordinate relative to the largest
    coordinate, plus the difference of the scores. A NaN score is above every floor.
    """
    cost = _cost(baseline, candidate)
    rows = _above(baseline["scores"], floor)
    columns = _matched(cost, rows, np.arange(cost.shape[1]))
    left = np.setdiff1d(_above(candidate["scores"], floor), columns, assume_unique=False)
    others = np.setdiff1d(np.arange(cost.shape[0]), rows)
    partners = _matched(cost.T, left, others)
    first = np.concatenate([rows, partners])
    second = np.concatenate([columns, left])
    return _taken(baseline, first), _taken(candidate, second)


def _above(scores: NDArray[Any], floor: float) -> Index:
    """Rows whose score is over the floor, best first, NaN first of all."""
    rows = np.flatnonzero(~(scores <= floor))
    rank = np.where(np.isnan(scores[rows]), np.inf, scores[rows])
    return rows[np.argsort(-rank, kind="stable")]


def _cost(baseline: Roles, candidate: Roles) -> NDArray[np.float64]:
    """float64 [N, M]; infinite between classes, and where a value is not finite."""
    largest = float(np.abs(baseline["boxes"]).max(initial=1.0))
    with np.errstate(invalid="ignore", over="ignore"):
        cost = corner_distance(baseline["boxes"], candidate["boxes"]) / largest
        scores = baseline["scores"].astype(np.float64)
        cost = cost + np.abs(scores[:, None] - candidate["scores"][None])
    same = baseline[CLASSES][:, None] == candidate[CLASSES][None]
    return np.where(same & np.isfinite(cost), cost, np.inf)


def _matched(cost: NDArray[np.float64], rows: Index, columns: Index) -> Index:
    """For each of `rows` one of `columns`, or UNMATCHED."""
    among = cost[np.ix_(rows, columns)]
    places = match_one_to_one(among, np.isfinite(among))
    if not len(columns):
        return places
    return np.where(places == UNMATCHED, UNMATCHED, columns[places])


def _taken(roles: Roles, rows: Index) -> Roles:
    """The rows in that order; zeros where there is none."""
    taken = {}
    for role in ("boxes", "scores"):
        array = roles[role]
        out = np.zeros((len(rows), *array.shape[1:]), array.dtype)
        there = rows != UNMATCHED
        out[there] = array[rows[there]]
        taken[role] = out
    return taken
