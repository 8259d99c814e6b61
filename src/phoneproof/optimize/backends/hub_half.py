"""A float32 hub program computed as its float16 one would be, before that is written.

Weights and inputs rounded to float16, sums in float32, results rounded: PyTorch's own float16 is
several times slower on CPUs that do not have it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection
from typing import Final, cast

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from phoneproof.optimize.islands import Computation
from phoneproof.runtimes.backends.mil_torch.float16 import rounded

_MOVES: Final = frozenset(
    {
        "alias",
        "cat",
        "chunk",
        "clone",
        "constant_pad_nd",
        "contiguous",
        "dropout",
        "expand",
        "flatten",
        "gather",
        "index",
        "index_select",
        "max_pool2d",
        "max_pool2d_with_indices",
        "narrow",
        "pad",
        "permute",
        "pixel_shuffle",
        "pixel_unshuffle",
        "relu",
        "repeat",
        "reshape",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "t",
        "transpose",
        "unbind",
        "unflatten",
        "unsqueeze",
        "upsample_nearest2d",
        "view",
    }
)
"""Operators whose results are numbers of their inputs: 16 bits hold them already."""

Watch = Callable[[str, Tensor], None]


def computations(module: GraphModule) -> tuple[Computation, ...]:
    """What each node reads and makes, in order."""
    return tuple(
        Computation(
            name=node.name,
            reads=tuple(one.name for one in node.all_input_nodes if one.op != "get_attr"),
            makes=(node.name,),
            moves=moves(node),
        )
        for node in module.graph.nodes
        if node.op == "call_function"
    )


def moves(node: Node) -> bool:
    """Whether what a node makes are numbers that it reads."""
    return node.target is operator.getitem or called(node) in _MOVES


def called(node: Node) -> str:
    """The operator, as ``conv2d``."""
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def narrow(node: Node, arguments: object, named: object) -> object:
    """What one node makes in float16 of float32 arguments that 16 bits hold."""
    target = cast(Callable[..., object], node.target)
    made = target(*cast(tuple[object, ...], arguments), **cast(dict[str, object], named))
    return made if moves(node) else half(made)


class HalfHub(Interpreter):
    """Computes in float16 but for the nodes that are named. Batch norms are folded before."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self._kept: frozenset[str] = frozenset()
        self._watch: Watch | None = None

    def outputs(
        self, pixels: Tensor, kept: Collection[str] | None, watch: Watch | None = None
    ) -> tuple[Tensor, ...]:
        """The outputs, in order.

        Args:
            kept: nodes that compute in float32; null for all of them.
            watch: told every float value that a node makes.
        """
        names = (node.name for node in self.graph.nodes) if kept is None else kept
        self._kept, self._watch = frozenset(names), watch
        with torch.inference_mode():
            return tuple(cast(tuple[Tensor, ...], self.run(pixels)))

    def run_node(self, n: Node) -> object:
        """One node, in the arithmetic that was chosen for it."""
        if n.op != "call_function" or n.name in self._kept:
            made = super().run_node(n)
        else:
            made = narrow(n, *map(half, self.fetch_args_kwargs_from_env(n)))
        is_value = n.op in ("call_function", "placeholder") and isinstance(made, Tensor)
        if self._watch is not None and is_value and cast(Tensor, made).is_floating_point():
            self._watch(n.name, cast(Tensor, made))
        return made


def half(value: object) -> object:
    """Float32 tensors rounded to numbers that 16 bits hold, in lists and records too."""
    if isinstance(value, Tensor):
        return rounded(value) if value.dtype == torch.float32 else value
    if isinstance(value, (list, tuple)):
        return type(value)(half(one) for one in value)
    if isinstance(value, dict):
        return {key: half(one) for key, one in value.items()}
    return value
