"""Core ML has PReLU with one slope a channel for images alone: [N, C, height, width].

Behind a dense layer its input is [N, C]; axes of length 1 make it an image and are taken off again.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch.fx import GraphModule, Node

aten: Final = torch.ops.aten
_AXES: Final = 4


def prelu_on_images(module: GraphModule) -> None:
    """Give every PReLU of two or three axes four of them, in place; its numbers are the same."""
    graph = module.graph
    for node in list(graph.nodes):
        if node.target is not aten.prelu.default:
            continue
        image = cast(Node, node.args[0])
        known = image.meta.get("val")
        if not isinstance(known, torch.Tensor) or not 2 <= known.dim() < _AXES:
            continue
        more = _AXES - known.dim()
        with graph.inserting_before(node):
            for _ in range(more):
                image = graph.call_function(aten.unsqueeze.default, (image, -1))
        node.replace_input_with(cast(Node, node.args[0]), image)
        _squeezed(node, more)
    graph.lint()
    module.recompile()


def _squeezed(node: Node, times: int) -> None:
    """Take axes off behind a node, for all that read it."""
    readers, last = list(node.users), node
    for _ in range(times):
        with node.graph.inserting_after(last):
            last = node.graph.call_function(aten.squeeze.dim, (last, -1))
    for reader in readers:
        reader.replace_input_with(node, last)
