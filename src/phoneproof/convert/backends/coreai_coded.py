"""Small weights of a hub program in the operators that Apple's library stores small.

It knows its operators by their names, and integers of less than a byte by the names of the tensors
they read: ``indices`` and ``lut`` must be part of them (`coreai_torch._compression.utils`).
"""

from __future__ import annotations

from typing import Final, cast

import coreai_torch._compression.custom_layers  # noqa: F401 - makes its operators known
import torch
from torch.fx import GraphModule, Node

from phoneproof.runtimes.backends.coded_ops import FROM_INTEGERS, FROM_MASK, FROM_PALETTES

_INTEGERS: Final[dict[int, torch.dtype]] = {8: torch.int8, 4: torch.int4}  # type: ignore[attr-defined]


def to_core_ai_codes(module: GraphModule) -> None:
    """Replace our operators, in place."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target in (FROM_INTEGERS, FROM_PALETTES, FROM_MASK):
            with graph.inserting_before(node):
                made = _apples(node)
            node.replace_all_uses_with(made)
            graph.erase_node(node)
    graph.lint()
    module.recompile()


def _apples(node: Node) -> Node:
    """The same by Apple's operator, at the graph's insertion point."""
    graph, apple = node.graph, torch.ops.coreai
    if node.target is FROM_INTEGERS:
        codes, scale, bits = node.args
        kind = _INTEGERS[cast(int, bits)]
        return graph.call_function(
            apple.constexpr_blockwise_shift_scale.default, (codes, scale, None, None, kind, None)
        )
    if node.target is FROM_PALETTES:
        indices, lut = node.args
        return graph.call_function(apple.lut_to_dense.default, (indices, lut, 0))
    mask, values = node.args
    return graph.call_function(apple.sparse_to_dense.default, (values, mask))
