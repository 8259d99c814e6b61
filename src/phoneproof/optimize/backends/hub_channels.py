"""Which channels of a hub program belong together: what must go when one of them goes.

Every layer with weights makes new channels. What lies between two such layers passes channels on,
moves them (Concat, padding, flattening) or ties them together (a residual addition). So each
tensor gets, along one axis, the numbers of the channels it holds. Operators that only move data
are not described here one by one: they are run on the numbers themselves. Channels that meet an
operator which is not known stay, and so do those of the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch.fx import GraphModule, Node

from phoneproof.optimize.backends.channel_groups import Cut, Groups, Labels, Layer, Numbers
from phoneproof.optimize.backends.channel_ops import (
    BATCH_NORMS,
    BINARY,
    CAT,
    CONVOLUTIONS,
    GETITEM,
    LINEAR,
    MOVES,
    PADS,
    PASSES,
    POOLS,
    PRELU,
    REDUCES,
    SLICE,
    SPLITS,
    Linear,
    dense,
    grouped,
    padding,
    run_on,
)
from phoneproof.optimize.backends.hub_graph import output_nodes, shape_of
from phoneproof.optimize.backends.hub_layers import constant_of

_ROW: Final = 0
_COLUMN: Final = 1


@dataclass(kw_only=True)
class Channels:
    """The channels of one program.

    labels: of each tensor that has any. cuts: what goes with them. layers: in the graph's order.
    """

    module: GraphModule
    labels: dict[Node, Labels] = field(default_factory=dict)
    pieces: dict[Node, tuple[Labels | None, ...]] = field(default_factory=dict)
    cuts: list[Cut] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    _ties: Groups = field(default_factory=Groups)

    @classmethod
    def of(cls, module: GraphModule) -> Channels:
        """Look at every node, in order."""
        found = cls(module=module)
        for node in module.graph.nodes:
            if node.op == "call_function":
                found._visit(node)
        for node in output_nodes(module):
            found._keep(node)
        return found

    @property
    def count(self) -> int:
        """How many numbers were given."""
        return self._ties.count

    def groups(self) -> Numbers:
        """The group of each number: int64 [count], the least number of it."""
        return self._ties.least()

    def prunable(self) -> NDArray[np.bool_]:
        """Whether a number's group may go: bool [count]."""
        return self._ties.free()

    def _visit(self, node: Node) -> None:
        target = node.target
        if target in CONVOLUTIONS:
            self._convolution(node)
        elif target in LINEAR:
            self._linear(node)
        elif target in BATCH_NORMS or target is PRELU:
            self._per_channel(node)
        elif target in PASSES or target in POOLS:
            self._pass(node)
        elif target in BINARY:
            self._binary(node)
        elif target in REDUCES or target in MOVES or target is CAT:
            self._move(node)
        elif target in PADS:
            self._pad(node)
        elif target in SPLITS:
            self._split(node)
        elif target is GETITEM:
            self._item(node)
        else:
            self._unknown(node)

    # Layers with weights

    def _convolution(self, node: Node) -> None:
        read = grouped(self.module, node)
        source = cast(Node, node.args[0])
        found = self.labels.get(source)
        known = found is not None and found.axis == 1
        if read is None or not self._own(read.constants) or (read.groups > 1 and not known):
            self._unknown(node)
            return
        outputs, inputs = read.weight_shape[:2]
        columns = found.numbers if found is not None and known else None
        if read.groups == 1:
            rows = self._ties.new(outputs)
            self._cut_columns(source, read.weight, _COLUMN, columns)
        elif inputs == 1 and columns is not None:
            rows, columns = np.repeat(columns, outputs // len(columns)), None
        else:
            self._unknown(node)
            return
        self.layers.append(
            Layer(
                node=node,
                reads=source,
                rows=rows,
                columns=columns,
                outputs=outputs,
                inputs=inputs,
                kernel=int(np.prod(read.weight_shape[2:])),
                positions=int(np.prod(shape_of(node)[2:])),
                depthwise=read.groups > 1,
            )
        )
        self._cut_rows(read.weight, read.bias, _ROW, rows)
        self.labels[node] = Labels(axis=1, numbers=rows)

    def _linear(self, node: Node) -> None:
        read: Linear | None = dense(self.module, node)
        if read is None or not self._own(read.constants):
            self._unknown(node)
            return
        found = self.labels.get(read.source)
        last = len(shape_of(read.source)) - 1
        columns = found.numbers if found is not None and found.axis == last else None
        shape = shape_of(read.weight)
        outputs, inputs = shape[read.row_axis], shape[1 - read.row_axis]
        rows = self._ties.new(outputs)
        self._cut_columns(read.source, read.weight, 1 - read.row_axis, columns)
        self.layers.append(
            Layer(
                node=node,
                reads=read.source,
                rows=rows,
                columns=columns,
                outputs=outputs,
                inputs=inputs,
                kernel=1,
                positions=int(np.prod(shape_of(node)[:-1])),
            )
        )
        self._cut_rows(read.weight, read.bias, read.row_axis, rows)
        self.labels[node] = Labels(axis=len(shape_of(node)) - 1, numbers=rows)

    def _cut_columns(self, source: Node, weight: Node, axis: int, columns: Numbers | None) -> None:
        if columns is None:
            self._keep(source)
        else:
            self.cuts.append(Cut(constant=weight, axis=axis, numbers=columns))

    def _cut_rows(self, weight: Node, bias: Node | None, axis: int, rows: Numbers) -> None:
        self.cuts.append(Cut(constant=weight, axis=axis, numbers=rows))
        if bias is not None and shape_of(bias)[-1:] == rows.shape:
            last = len(shape_of(bias)) - 1
            self.cuts.append(Cut(constant=bias, axis=last, numbers=rows))

    def _own(self, constants: Sequence[Node]) -> bool:
        """Whether no other operator reads the same weights."""
        names = [str(node.target) for node in constants]
        readers = [
            len(node.users)
            for node in self.module.graph.nodes
            if node.op == "get_attr" and str(node.target) in names
        ]
        return len(readers) == len(names) and all(count == 1 for count in readers)

    # What stands between them

    def _per_channel(self, node: Node) -> None:
        source = cast(Node, node.args[0])
        found = self.labels.get(source)
        constants = [one for one in node.all_input_nodes if one is not source]
        sizes = {shape_of(one) for one in constants}
        tied = found is not None and found.axis == 1
        shared = all(size == (1,) for size in sizes) and node.target is PRELU
        if found is None or not tied or not (shared or self._own(constants)):
            self._unknown(node)
            return
        if not shared:
            for one in constants:
                self.cuts.append(Cut(constant=one, axis=0, numbers=found.numbers))
        self._give(node, found)

    def _pass(self, node: Node) -> None:
        (source, *_) = node.all_input_nodes
        found = self.labels.get(source)
        if (
            found is None
            or len(node.all_input_nodes) > 1
            or (node.target in POOLS and found.axis >= len(shape_of(source)) - 2)
        ):
            self._unknown(node)
        else:
            self._give(node, found)

    def _binary(self, node: Node) -> None:
        """Operands aligned at their last axis; the same channels on the same axis, or none."""
        operands = [one for one in node.args[:2] if isinstance(one, Node)]
        rank = len(shape_of(node))
        places = {
            one: self.labels[one].axis + rank - len(shape_of(one))
            for one in operands
            if one in self.labels
        }
        if len(set(places.values())) != 1 or not self._fits(node, operands, places):
            self._unknown(node)
            return
        (axis,) = set(places.values())
        tied = [self.labels[one].numbers for one in operands if one in places]
        for other in tied[1:]:
            self._ties.tie(tied[0], other)
        for one in operands:
            at = axis - rank + len(shape_of(one))
            if one not in places and at >= 0 and shape_of(one)[at] > 1:
                self.cuts.append(Cut(constant=one, axis=at, numbers=tied[0]))
        self.labels[node] = Labels(axis=axis, numbers=tied[0])

    def _fits(self, node: Node, operands: list[Node], places: dict[Node, int]) -> bool:
        """Whether every operand holds each channel, or one number for all of them."""
        (axis,) = set(places.values())
        rank, size = len(shape_of(node)), shape_of(node)[axis]
        for one in operands:
            at = axis - rank + len(shape_of(one))
            width = shape_of(one)[at] if at >= 0 else 1
            if one in places:
                fits = width == size
            else:
                known = constant_of(self.module, one) is not None and self._own([one])
                fits = width == 1 or known
            if not fits:
                return False
        return True

    def _move(self, node: Node) -> None:
        sources = node.all_input_nodes
        if not any(one in self.labels for one in sources):
            return
        if node.target is SLICE and len(node.args) > 4 and self._strides(node):
            self._unknown(node)
            return
        for one in sources:
            if one not in self.labels and not self._number(node, one):
                self._unknown(node)
                return
        values = {one: self._spread(one) for one in sources}
        moved = run_on(node, values)
        labels = self._read(moved) if isinstance(moved, torch.Tensor) else None
        if labels is None:
            self._unknown(node)
        else:
            self.labels[node] = labels

    def _strides(self, node: Node) -> bool:
        """Whether a slice with a step takes every so-manieth channel: not to be said of fewer."""
        (source,) = node.all_input_nodes
        axis = cast(int, node.args[1]) % len(shape_of(source))
        return axis == self.labels[source].axis and cast(int, node.args[4]) != 1

    def _number(self, node: Node, source: Node) -> bool:
        """Numbers for a tensor without any that is joined to others: they stay."""
        if node.target is not CAT:
            return False
        rank = len(shape_of(source))
        axis = cast(int, node.args[1]) % rank if len(node.args) > 1 else 0
        numbers = self._ties.new(shape_of(source)[axis])
        self._ties.keep(numbers)
        self.labels[source] = Labels(axis=axis, numbers=numbers)
        return True

    def _pad(self, node: Node) -> None:
        source = cast(Node, node.args[0])
        found = self.labels.get(source)
        if found is None:
            return
        before, after = padding(node, found.axis)
        if min(before, after) < 0:
            self._unknown(node)
            return
        numbers = np.concatenate([self._ties.new(before), found.numbers, self._ties.new(after)])
        self.labels[node] = Labels(axis=found.axis, numbers=numbers)

    def _split(self, node: Node) -> None:
        (source,) = node.all_input_nodes
        if source not in self.labels:
            return
        moved = run_on(node, {source: self._spread(source)})
        parts = [self._read(one) for one in cast("tuple[torch.Tensor, ...]", moved)]
        if any(one is None for one in parts):
            self._unknown(node)
        else:
            self.pieces[node] = tuple(parts)

    def _item(self, node: Node) -> None:
        (source,) = node.all_input_nodes
        place = cast(int, node.args[1])
        found = self.pieces.get(source, ())
        labels = found[place] if place < len(found) else None
        if labels is not None:
            self.labels[node] = labels

    def _give(self, node: Node, labels: Labels) -> None:
        if isinstance(node.meta.get("val"), (tuple, list)):
            self.pieces[node] = (labels,)
        else:
            self.labels[node] = labels

    def _unknown(self, node: Node) -> None:
        for one in node.all_input_nodes:
            self._keep(one)

    def _keep(self, node: Node) -> None:
        for labels in (self.labels.get(node), *self.pieces.get(node, ())):
            if labels is not None:
                self._ties.keep(labels.numbers)

    # Numbers

    def _spread(self, node: Node) -> torch.Tensor:
        """A tensor of the node's shape that holds its channels' numbers; float64 is exact."""
        labels, shape = self.labels[node], shape_of(node)
        numbers = torch.from_numpy(labels.numbers.astype(np.float64))
        wide = [1] * len(shape)
        wide[labels.axis] = len(labels.numbers)
        return numbers.reshape(wide).expand(shape).contiguous()

    @staticmethod
    def _read(spread: torch.Tensor) -> Labels | None:
        """The axis along which a tensor of numbers varies; null for several, or for none."""
        values = spread.numpy()
        axes = [
            axis
            for axis, size in enumerate(values.shape)
            if size > 1 and (values != np.take(values, [0], axis)).any()
        ]
        if len(axes) != 1:
            return None
        at: list[slice | int] = [0] * values.ndim
        at[axes[0]] = slice(None)
        return Labels(axis=axes[0], numbers=values[tuple(at)].astype(np.int64))
