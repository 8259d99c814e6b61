"""The weights of a hub program, and the same in few bits (`optimize.weight_codes`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import torch
from torch.fx import GraphModule, Node

from phoneproof.core.recipe import Palette, WeightOnly
from phoneproof.formats.coreml.packed import packed_size
from phoneproof.optimize.backends.hub_fold import constant
from phoneproof.optimize.backends.hub_graph import shape_of
from phoneproof.optimize.backends.hub_layers import counts
from phoneproof.optimize.weight_codes import Weights, by_block, by_channel, palette
from phoneproof.runtimes.backends.coded_ops import FROM_INTEGERS, FROM_MASK, FROM_PALETTES

BLOCK: Final = 32
"""Input channels that share a scale at 4 bits; GROUP: output channels that share a palette. The
same as in Core ML files."""
GROUP: Final = 16

_ATEN: Final = torch.ops.aten
_CONVOLUTION: Final = (0, 1)
_TRANSPOSED: Final = (1, 0)
_AXES: Final[dict[object, tuple[int, int]]] = {
    _ATEN.conv1d.default: _CONVOLUTION,
    _ATEN.conv2d.default: _CONVOLUTION,
    _ATEN.conv2d.padding: _CONVOLUTION,
    _ATEN.convolution.default: _CONVOLUTION,
    _ATEN.linear.default: _CONVOLUTION,
    _ATEN.conv_transpose1d.default: _TRANSPOSED,
    _ATEN.conv_transpose2d.input: _TRANSPOSED,
    _ATEN.addmm.default: (-1, -2),
    _ATEN.mm.default: (-1, -2),
    _ATEN.bmm.default: (-1, -2),
    _ATEN.matmul.default: (-1, -2),
}
"""Operator -> the axes of output and input channels in its weights."""
_TURNS: Final = (_ATEN.t.default, _ATEN.transpose.int, _ATEN.permute.default)
_FLOATS: Final = (torch.float32, torch.float16)
_IS_TRANSPOSED: Final = 6
"""Which argument of ``convolution`` says that it is a transposed one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A layer that reads weights. place: of its arguments. is_turned: the last two axes change
    places on the way."""

    layer: Node
    place: int
    is_turned: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """A constant that is the weights of one or several layers.

    output, input: its axes of output and input channels.
    """

    node: Node
    readings: tuple[Reading, ...]
    values: Weights
    output: int
    input: int

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers by name."""
        return tuple(one.layer.name for one in self.readings)


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """Weights in few bits.

    operator: expands them. tensors: its first arguments, by names that Apple's library knows
    (`convert.backends.coreai_coded`). settings: the others. bytes:
    that a file needs for them. weights: what they stand for.
    """

    operator: object
    tensors: Mapping[str, Weights]
    settings: tuple[int, ...] = ()
    bytes: int
    weights: Weights


def weighted(module: GraphModule) -> tuple[Weighted, ...]:
    """The float weights of a program that come from training, in its order."""
    found: dict[str, Weighted] = {}
    for node in module.graph.nodes:
        reading = _reading(node)
        if reading is None:
            continue
        source = _source(reading)
        values = constant(module, source)
        # 0, 1, 2, ... are the bins of a head (DFL): nobody's training, and exact in whole numbers.
        if values is None or values.dtype not in _FLOATS or values.dim() < 2 or counts(values):
            continue
        name = str(source.target)
        before = found[name].readings if name in found else ()
        output, input_ = _axes(reading, values.dim())
        found[name] = Weighted(
            node=source,
            readings=(*before, reading),
            values=values.numpy(),
            output=output,
            input=input_,
        )
    return tuple(found.values())


def coded(one: Weighted, recipe: WeightOnly | Palette) -> Code | None:
    """The weights by a recipe; null where they would not get smaller."""
    code = _code(one, recipe)
    return code if code.bytes < one.values.nbytes else None


def masked(values: Weights) -> Code | None:
    """Weights as a mask of bits and the numbers that are not zero; null where that is larger."""
    mask = values != 0
    size = packed_size(mask.size, 1) + values[mask].nbytes
    if size >= values.nbytes or not mask.any():
        return None
    return Code(
        operator=FROM_MASK,
        tensors={"mask": mask, "values": values[mask]},
        bytes=size,
        weights=values,
    )


def write_code(module: GraphModule, one: Weighted, code: Code, number: int) -> None:
    """Let every reader of a constant read its expanded code, in place.

    number: of the constant; its tensors are called by it.
    """
    graph = module.graph
    with graph.inserting_before(one.node):
        tensors = []
        for name, value in code.tensors.items():
            attribute = f"coded_{number}_{name}"
            module.register_buffer(attribute, torch.from_numpy(np.ascontiguousarray(value)))
            tensors.append(graph.get_attr(attribute))
        expanded = graph.call_function(code.operator, (*tensors, *code.settings))  # type: ignore[arg-type]
    expanded.meta["val"] = one.node.meta.get("val")
    for node in [node for node in graph.nodes if _reads_the_same(node, one.node)]:
        node.replace_all_uses_with(expanded)


def _reads_the_same(node: Node, other: Node) -> bool:
    return node.op == "get_attr" and node.target == other.target


def _reading(node: Node) -> Reading | None:
    if node.target not in _AXES:
        return None
    place = 2 if node.target is _ATEN.addmm.default else 1
    given = node.args[place]
    if not isinstance(given, Node):
        return None
    if given.op == "get_attr":
        return Reading(layer=node, place=place, is_turned=False)
    return Reading(layer=node, place=place, is_turned=True) if _swaps_last(given) else None


def _source(reading: Reading) -> Node:
    given = reading.layer.args[reading.place]
    assert isinstance(given, Node)
    source = given.args[0] if reading.is_turned else given
    assert isinstance(source, Node)
    return source


def _swaps_last(node: Node) -> bool:
    source = node.args[0] if node.target in _TURNS else None
    if not isinstance(source, Node) or source.op != "get_attr":
        return False
    if node.target is _ATEN.t.default:
        return True
    rank = len(shape_of(source))
    if node.target is _ATEN.permute.default:
        axes = cast(list[int], node.args[1])
        return [axis % rank for axis in axes] == [*range(rank - 2), rank - 1, rank - 2]
    return {cast(int, axis) % rank for axis in node.args[1:3]} == {rank - 1, rank - 2}


def _axes(reading: Reading, rank: int) -> tuple[int, int]:
    node = reading.layer
    output, input_ = (axis % rank for axis in _AXES[node.target])
    is_transposed = node.target is _ATEN.convolution.default and bool(node.args[_IS_TRANSPOSED])
    return (input_, output) if reading.is_turned or is_transposed else (output, input_)


def _code(one: Weighted, recipe: WeightOnly | Palette) -> Code:
    values, number = one.values, one.values.dtype.itemsize
    if isinstance(recipe, Palette):
        return _palettes(one, recipe.bits)
    if recipe.bits == 4:
        affine = by_block(values, one.output, one.input, BLOCK)
    else:
        affine = by_channel(values, one.output)
    return Code(
        operator=FROM_INTEGERS,
        tensors={"codes": affine.codes, "scale": affine.scale},
        settings=(recipe.bits,),
        bytes=packed_size(values.size, recipe.bits) + affine.scale.size * number,
        weights=affine.weights,
    )


def _palettes(one: Weighted, bits: int) -> Code:
    values, axis = one.values, one.output
    channels = values.shape[axis]
    groups = channels // GROUP if channels % GROUP == 0 else 1
    parts = [palette(part, bits) for part in np.split(values, groups, axis=axis)]
    sides = [groups if index == axis else 1 for index in range(values.ndim)]
    tables = np.stack([part.palette for part in parts]).reshape(*sides, 1 << bits, 1)
    return Code(
        operator=FROM_PALETTES,
        tensors={
            "indices": np.concatenate([part.indices for part in parts], axis=axis),
            "lut": tables,
        },
        bytes=packed_size(values.size, bits) + tables.nbytes,
        weights=np.concatenate([part.weights for part in parts], axis=axis),
    )
