"""Minus infinity around a max pool becomes the pool's own padding.

Importers write TensorFlow's uneven padding as an operator of its own. The result is the same, but
a value of minus infinity in the middle of a file has no rounding error and no range to speak of,
and what phones make of it in float16 nobody says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, cast

import torch
from torch.fx import GraphModule, Node

from phoneproof.convert.backends.eager_ops import all_arguments

aten: Final = torch.ops.aten
_POOLS: Final = (aten.max_pool2d.default, aten.max_pool2d_with_indices.default)


def pads_into_pools(module: GraphModule) -> None:
    """Take such padding out, in place, wherever a pool can do the same; the rest is left."""
    graph = module.graph
    for pool in list(graph.nodes):
        pad = pool.args[0] if pool.target in _POOLS else None
        if isinstance(pad, Node) and pad.target is aten.constant_pad_nd.default:
            _joined(pool, pad)
    graph.eliminate_dead_code()
    graph.lint()
    module.recompile()


def _joined(pool: Node, pad: Node) -> None:
    image, amounts, value = all_arguments(pad)
    _, kernel, stride, padding, dilation, ceil = all_arguments(pool)
    known = cast(Node, image).meta.get("val")
    around = cast(list[int], amounts)
    if value != -math.inf or ceil or len(around) != 4 or not isinstance(known, torch.Tensor):
        return
    sides = _pair(kernel)
    steps = _pair(stride) if stride else sides
    inner = _pair(padding)
    before = [around[2] + inner[0], around[0] + inner[1]]
    behind = [around[3] + inner[0], around[1] + inner[1]]
    if (
        min(around) < 0
        or _pair(dilation) != [1, 1]
        or any(one > side // 2 for one, side in zip(before, sides, strict=True))
    ):
        return
    axes = list(zip(known.shape[2:], before, behind, sides, steps, strict=True))
    for up in (False, True):
        if all(_windows(n, a, a, k, s, up=up) == _windows(n, a, b, k, s) for n, a, b, k, s in axes):
            pool.args = (image, sides, steps, before, [1, 1], up)
            pool.kwargs = {}
            return


def _windows(n: int, before: int, behind: int, kernel: int, step: int, *, up: bool = False) -> int:
    """How many windows PyTorch lays over a side. Two pools that begin at the same place and have
    as many read the same numbers. up: of ``ceil_mode``; none then begins behind the last number.
    """
    reach = n + before + behind - kernel
    count = (math.ceil(reach / step) if up else reach // step) + 1
    return count - 1 if up and (count - 1) * step >= n + before else count


def _pair(argument: object) -> list[int]:
    """An argument of one or two numbers, for height and width."""
    numbers = list(argument) if isinstance(argument, Sequence) else [cast(int, argument)]
    return numbers * 2 if len(numbers) == 1 else numbers
