"""Padding of minus infinity in front of a max pool: the pool does the same by itself."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.fx import Graph, GraphModule

from phoneproof.convert.backends.pool_padding import pads_into_pools

aten = torch.ops.aten
Around = tuple[int, int, int, int]


def padded_pool(
    image: torch.Tensor, around: Around, kernel: int, step: int, value: float = -math.inf
) -> GraphModule:
    """What importers make of TensorFlow's SAME padding. around: left, right, top, bottom."""
    graph = Graph()
    node = graph.placeholder("image")
    node.meta["val"] = image
    pad = graph.call_function(aten.constant_pad_nd.default, (node, list(around), value))
    pool = graph.call_function(aten.max_pool2d.default, (pad, [kernel] * 2, [step] * 2))
    graph.output((pool,))
    return GraphModule(torch.nn.Module(), graph)


def pads(module: GraphModule) -> int:
    return sum(node.target is aten.constant_pad_nd.default for node in module.graph.nodes)


@given(
    height=st.integers(5, 17),
    width=st.integers(5, 17),
    kernel=st.integers(2, 4),
    step=st.integers(1, 3),
    around=st.tuples(*[st.integers(0, 3)] * 4),
)
def test_a_pool_gives_what_it_gave(
    height: int, width: int, kernel: int, step: int, around: Around
) -> None:
    image = torch.randn(1, 2, height, width, generator=torch.Generator().manual_seed(0)) - 5
    module = padded_pool(image, around, kernel, step)
    (expected,) = module(image)
    pads_into_pools(module)
    (found,) = module(image)
    assert torch.equal(found, expected)


def test_the_padding_of_keras_is_taken_out() -> None:
    image = torch.randn(1, 2, 32, 32) - 5
    module = padded_pool(image, (0, 1, 0, 1), 3, 2)
    (expected,) = module(image)
    pads_into_pools(module)
    (found,) = module(image)
    assert pads(module) == 0
    assert torch.equal(found, expected)


def test_other_padding_is_left() -> None:
    image = torch.randn(1, 2, 32, 32) - 5
    module = padded_pool(image, (0, 1, 0, 1), 3, 2, value=0.0)
    pads_into_pools(module)
    (found,) = module(image)
    assert pads(module) == 1
    assert (found == 0).any()
