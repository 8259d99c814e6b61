"""Layers that make one number of many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch

from phoneproof.runtimes.backends.coreml_network.layer import Function, Layer, one

Axes = tuple[int, ...]
Reduction = Callable[[torch.Tensor, Axes, bool], torch.Tensor]


def _product(x: torch.Tensor, axes: Axes, keep: bool) -> torch.Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


REDUCTIONS: Final[dict[str, Reduction]] = {
    "Sum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "Mean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "Prod": _product,
    "LogSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "SumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
    "LogSumExp": lambda x, axes, keep: x.logsumexp(axes, keepdim=keep),
    "L1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "L2": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt(),
    "Max": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "Min": lambda x, axes, keep: x.amin(axes, keepdim=keep),
}
_MODES: Final = ("Sum", "Mean", "Prod", "LOGSUM", "SumSquare", "L1", "L2", "Max", "Min", "ARGMAX")
_AXES: Final[tuple[Axes, ...]] = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))


def reduce(layer: Layer) -> Function:
    """The older layer: axes by name, all of them kept with size 1."""
    params = layer.params
    if params.mode >= len(_MODES) or params.axis >= len(_AXES):
        raise layer.unsupported(f"mode {params.mode}, axis {params.axis}")
    mode, axes = _MODES[params.mode], _AXES[params.axis]
    if mode == "LOGSUM":
        epsilon = params.epsilon or 1e-6
        return one(lambda x: (x + epsilon).log().sum(axes, keepdim=True))
    if mode == "ARGMAX":
        if len(axes) != 1:
            raise layer.damaged("the place of the largest along several axes")
        return one(lambda x: x.argmax(axes[0], keepdim=True).to(x.dtype))
    return one(lambda x: REDUCTIONS[mode](x, axes, True))


def reduced(name: str) -> Callable[[Layer], Function]:
    """The newer layers: one for each way, axes by number."""

    def make(layer: Layer) -> Function:
        params = layer.params
        given = tuple(int(axis) for axis in params.axes)

        def function(x: torch.Tensor) -> torch.Tensor:
            every = params.reduceAll or not given
            axes = tuple(range(x.dim())) if every else given
            return REDUCTIONS[name](x, axes, params.keepDims)

        return one(function)

    return make
