"""How operators treat channels: which pass them on, which move them, which read or make them."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import torch
from torch.fx import GraphModule, Node

from phoneproof.optimize.backends.hub_graph import shape_of
from phoneproof.optimize.backends.hub_layers import constant_of

_ATEN: Final = torch.ops.aten

CAT: Final = _ATEN.cat.default
GETITEM: Final = operator.getitem
PRELU: Final = _ATEN.prelu.default
PADS: Final = frozenset({_ATEN.pad.default, _ATEN.constant_pad_nd.default})
CONVOLUTIONS: Final = frozenset(
    {_ATEN.conv2d.default, _ATEN.conv2d.padding, _ATEN.convolution.default}
)
LINEAR: Final = frozenset({_ATEN.linear.default, _ATEN.addmm.default, _ATEN.mm.default})
BATCH_NORMS: Final = frozenset(
    {_ATEN.batch_norm.default, _ATEN._native_batch_norm_legit_no_training.default}
)
PASSES: Final = frozenset(
    {
        _ATEN.relu.default,
        _ATEN.relu_.default,
        _ATEN.relu6.default,
        _ATEN.silu.default,
        _ATEN.silu_.default,
        _ATEN.sigmoid.default,
        _ATEN.tanh.default,
        _ATEN.hardtanh.default,
        _ATEN.hardtanh_.default,
        _ATEN.hardswish.default,
        _ATEN.hardswish_.default,
        _ATEN.hardsigmoid.default,
        _ATEN.leaky_relu.default,
        _ATEN.leaky_relu_.default,
        _ATEN.elu.default,
        _ATEN.gelu.default,
        _ATEN.mish.default,
        _ATEN.softplus.default,
        _ATEN.clamp.default,
        _ATEN.clamp_min.default,
        _ATEN.clamp_max.default,
        _ATEN.exp.default,
        _ATEN.neg.default,
        _ATEN.abs.default,
        _ATEN.sqrt.default,
        _ATEN.pow.Tensor_Scalar,
        _ATEN.dropout.default,
        _ATEN.clone.default,
        _ATEN.contiguous.default,
        _ATEN.detach.default,
        _ATEN.alias.default,
    }
)
"""One tensor, element by element."""

POOLS: Final = frozenset(
    {
        _ATEN.max_pool2d.default,
        _ATEN.max_pool2d_with_indices.default,
        _ATEN.avg_pool2d.default,
        _ATEN.adaptive_avg_pool2d.default,
        _ATEN._adaptive_avg_pool2d.default,
        _ATEN.upsample_nearest2d.default,
        _ATEN.upsample_nearest2d.vec,
        _ATEN.upsample_bilinear2d.default,
        _ATEN.upsample_bilinear2d.vec,
    }
)
"""Over the last two axes."""

BINARY: Final = frozenset(
    {
        _ATEN.add.Tensor,
        _ATEN.add_.Tensor,
        _ATEN.sub.Tensor,
        _ATEN.mul.Tensor,
        _ATEN.mul_.Tensor,
        _ATEN.div.Tensor,
        _ATEN.maximum.default,
        _ATEN.minimum.default,
    }
)

REDUCES: Final = frozenset({_ATEN.mean.dim, _ATEN.sum.dim_IntList, _ATEN.amax.default})
RESHAPES: Final = frozenset(
    {_ATEN.view.default, _ATEN.reshape.default, _ATEN._unsafe_view.default, _ATEN.expand.default}
)
"""Take the new shape as their second argument."""

MOVES: Final = RESHAPES | {
    _ATEN.permute.default,
    _ATEN.transpose.int,
    _ATEN.t.default,
    _ATEN.unsqueeze.default,
    _ATEN.squeeze.dim,
    _ATEN.squeeze.dims,
    _ATEN.flatten.using_ints,
    _ATEN.slice.Tensor,
}
SLICE: Final = _ATEN.slice.Tensor
SPLITS: Final = frozenset({_ATEN.split_with_sizes.default, _ATEN.split.Tensor, _ATEN.chunk.default})
SPLIT: Final = _ATEN.split_with_sizes.default
_TURNED: Final = frozenset({_ATEN.t.default, _ATEN.transpose.int, _ATEN.permute.default})


def run_on(node: Node, values: Mapping[Node, torch.Tensor]) -> object:
    """What a node that moves data makes of other values.

    A mean of equal numbers is that number; of others it is 0 everywhere, which is no channel axis.
    """
    if node.target in REDUCES:
        (value,) = values.values()
        axes = cast("list[int]", node.args[1]) or list(range(value.ndim))
        keep = bool(node.args[2]) if len(node.args) > 2 else False
        high, low = torch.amax(value, axes, keep), torch.amin(value, axes, keep)
        return high if torch.equal(high, low) else torch.zeros_like(high)
    args = torch.fx.node.map_arg(node.args, lambda one: values[one])
    target = cast("torch._ops.OpOverload", node.target)
    return target(*args, **node.kwargs)


def padding(node: Node, axis: int) -> tuple[int, int]:
    """How many entries a padding puts before and after an axis; amounts are last axis first."""
    amounts = cast("list[int]", node.args[1])
    at = 2 * (len(shape_of(node)) - 1 - axis)
    return (amounts[at], amounts[at + 1]) if at < len(amounts) else (0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grouped:
    """A convolution's constants. weight_shape: [outputs, inputs of one group, height, width]."""

    weight: Node
    bias: Node | None
    weight_shape: tuple[int, ...]
    groups: int

    @property
    def constants(self) -> tuple[Node, ...]:
        """Weight and bias."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)


def grouped(module: GraphModule, node: Node) -> Grouped | None:
    """A convolution with constant weights; null for others, and for transposed ones."""
    args = list(node.args)
    weight, bias = args[1], args[2] if len(args) > 2 else None
    if node.target is _ATEN.convolution.default:
        transposed, groups = args[6], args[8]
    else:
        transposed, groups = False, args[6] if len(args) > 6 else node.kwargs.get("groups", 1)
    if transposed or not _constant(module, weight) or not (bias is None or _constant(module, bias)):
        return None
    kernel = cast(Node, weight)
    return Grouped(
        weight=kernel,
        bias=cast("Node | None", bias),
        weight_shape=shape_of(kernel)
        or tuple(cast("torch.Tensor", constant_of(module, kernel)).shape),
        groups=cast(int, groups),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Linear:
    """A matrix product with constants. row_axis: of the constant, where its outputs lie."""

    source: Node
    weight: Node
    bias: Node | None
    row_axis: int

    @property
    def constants(self) -> tuple[Node, ...]:
        """Weight and bias."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)


def dense(module: GraphModule, node: Node) -> Linear | None:
    """A matrix product with a constant matrix on its right; null for others."""
    args = list(node.args)
    bias: object = None
    if node.target is _ATEN.addmm.default:
        bias, source, weight = args[:3]
    else:
        source, weight = args[:2]
        bias = args[2] if len(args) > 2 else None
    row_axis = 0 if node.target is _ATEN.linear.default else 1
    if isinstance(weight, Node) and weight.target in _TURNED and len(shape_of(weight)) == 2:
        weight, row_axis = weight.args[0], 1 - row_axis
    if not _constant(module, weight) or not (bias is None or _constant(module, bias)):
        return None
    return Linear(
        source=cast(Node, source),
        weight=cast(Node, weight),
        bias=cast("Node | None", bias),
        row_axis=row_axis,
    )


def _constant(module: GraphModule, node: object) -> bool:
    return constant_of(module, node) is not None
