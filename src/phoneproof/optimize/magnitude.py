"""Which weights are set to zero: the smallest, seen from the larger ones of their own layer.

The score of a weight is LAMP of Lee et al. 2021 (Layer-adaptive Sparsity for the Magnitude-based
Pruning, arXiv 2010.07865): its square over the sum of the squares of all weights of the layer that
are not smaller. One threshold on the scores divides the share among the layers: a plain threshold
on magnitudes empties layers that batch normalisation made small, and the same share of every layer
takes as much of a layer of a thousand weights as of one of a million.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Precision
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.recipe import Sparse
from phoneproof.optimize.base import OptimizeRequest

Weights = NDArray[np.float32]


def sparse_share(request: OptimizeRequest, starts: tuple[Precision, ...] = ("float32",)) -> float:
    """The share that the request's recipe sets to zero.

    starts: the precisions that the optimizer starts from.

    Raises:
        InvalidInput: an artifact of another precision, or sparse already.
        OptimizationFailed: another recipe, or a share that is not between 0 and 1.
    """
    if not isinstance(request.recipe, Sparse):
        raise OptimizationFailed(
            "this optimizer sets weights to zero alone", found=repr(request.recipe)
        )
    if not 0 < request.recipe.share < 1:
        raise OptimizationFailed(
            "the share of weights to set to zero lies between 0 and 1",
            found=f"{request.recipe.share:g}",
        )
    if request.binding.precision not in starts:
        raise InvalidInput(
            f"{request.artifact.name} is no {starts[0]} model: optimizers start from one",
            found=f"precision {request.binding.precision}",
            next_step="give the float32 file that it was made from",
        )
    return request.recipe.share


def zeroed(layers: Mapping[str, Weights], share: float) -> dict[str, Weights]:
    """The layers' weights with the least of them at zero.

    Args:
        layers: name -> weights of any shape, in the file's order. The first layer stays: it has
            few weights, and everything behind it reads them.
        share: how many of all others are zero afterwards (0..1).

    Returns:
        The layers that may change, each in its own shape.

    Raises:
        OptimizationFailed: none may change, or a weight is not finite; its layer is named.
    """
    for name, weights in layers.items():
        if not np.isfinite(weights).all():
            raise OptimizationFailed(
                f"weights of {name!r} are not finite",
                found=f"{np.count_nonzero(~np.isfinite(weights))} of {weights.size}",
                next_step="look at the trained weights of that layer",
            )
    open_ = dict(list(layers.items())[1:])
    if not any(weights.size for weights in open_.values()):
        raise OptimizationFailed(
            "the file has no weights that may be set to zero",
            found=f"{len(layers)} layers with float32 weights, of which the first one stays",
            next_step='leave "sparse" out of the precisions of this target',
        )
    masks = smallest(list(open_.values()), share)
    return {
        name: np.where(gone, np.float32(0), weights)
        for (name, weights), gone in zip(open_.items(), masks, strict=True)
    }


def smallest(layers: Sequence[Weights], share: float) -> list[NDArray[np.bool_]]:
    """True where a weight goes: `share` of all, those of the lowest scores.

    Of equal scores the first go; zeros have the lowest.
    """
    scores = [layer_scores(weights) for weights in layers]
    flat = np.concatenate(scores)
    count = round(share * flat.size)
    gone = np.zeros(flat.size, bool)
    if count:
        limit = np.partition(flat, count - 1)[count - 1]
        gone = flat < limit
        ties = np.flatnonzero(flat == limit)
        gone[ties[: count - np.count_nonzero(gone)]] = True
    parts = np.split(gone, np.cumsum([one.size for one in scores])[:-1])
    return [part.reshape(one.shape) for part, one in zip(parts, layers, strict=True)]


def layer_scores(weights: Weights) -> NDArray[np.float64]:
    """The score of each weight, flat: above 0 and at most 1, 0 for zeros."""
    squares = weights.astype(np.float64).ravel() ** 2
    order = np.argsort(squares, kind="stable")
    upwards = squares[order]
    not_smaller = np.cumsum(upwards[::-1])[::-1]
    scores = np.zeros(squares.size)
    scores[order] = np.divide(
        upwards, not_smaller, out=np.zeros(squares.size), where=not_smaller > 0
    )
    return scores
