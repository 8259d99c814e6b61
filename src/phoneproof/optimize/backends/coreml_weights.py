"""The weights of a Core ML program in fewer bits: constants become ``constexpr_`` operations,
which the system expands when it loads the model or while it computes.

Systems read: int8 by channel, one palette for a layer and sparse weights from iOS 16, blocks of
4-bit integers and palettes by groups of channels from iOS 18 (coremltools' MIL ops by version).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.recipe import Palette, Static, WeightOnly
from phoneproof.formats.coreml.packed import packed, packed_size
from phoneproof.formats.coreml.precision import WEIGHTS_AT
from phoneproof.optimize.backends.coreml_program import (
    MilOp,
    OpenProgram,
    changing,
    clean,
    layer_name,
)
from phoneproof.optimize.weight_codes import Weights, by_block, by_channel, palette

Coding = WeightOnly | Palette | Static

BLOCK: Final = 32
"""Input channels that share a scale at 4 bits, as coremltools does by default."""
GROUP: Final = 16
"""Output channels that share a palette from iOS 18 on."""

_AXES: Final = {"conv": (0, 1), "linear": (0, 1), "conv_transpose": (1, 0)}
"""Axes of the output and the input channels in the weights."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighted:
    """A constant that is the weights of one or several layers.

    output, input: its axes of output and input channels.
    """

    constant: MilOp
    layers: tuple[str, ...]
    output: int
    input: int

    @property
    def values(self) -> Weights:
        """float32 or float16."""
        return np.asarray(self.constant.outputs[0].val)


def weighted(opened: OpenProgram) -> tuple[Weighted, ...]:
    """The float weights of a program, in its order; those of two or more axes."""
    found: dict[int, Weighted] = {}
    for op in opened.layers:
        given = op.inputs.get(WEIGHTS_AT.get(op.op_type, ""))
        constant = None if given is None else given.op
        if constant is None or constant.op_type != "const":
            continue
        values = np.asarray(given.val)
        if values.dtype not in (np.float32, np.float16) or values.ndim < 2:
            continue
        before = found[id(constant)].layers if id(constant) in found else ()
        output, input_ = _axes(op, values.ndim)
        found[id(constant)] = Weighted(
            constant=constant, layers=(*before, layer_name(op)), output=output, input=input_
        )
    return tuple(found.values())


def _axes(op: MilOp, rank: int) -> tuple[int, int]:
    if op.op_type != "matmul":
        return _AXES[op.op_type]
    flipped = op.transpose_y is not None and bool(op.transpose_y.val)
    return (rank - 2, rank - 1) if flipped else (rank - 1, rank - 2)


def compress(opened: OpenProgram, recipe: Coding, float_layers: Collection[str]) -> int:
    """Code the weights of every layer but those named, in place.

    Weights that would not get smaller (the table of a palette counts) stay as they are.

    Returns:
        How many constants were coded.

    Raises:
        OptimizationFailed: the library broke.
    """
    grouped = opened.reads(18)
    count = 0
    with changing(opened) as builder:
        for one in weighted(opened):
            if not any(name in float_layers for name in one.layers):
                count += _code(one, recipe, grouped, builder, opened)
        clean(opened)
    return count


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """One way to store weights. bytes: that it takes, tables included. make: name -> the value."""

    bytes: int
    make: Callable[[str], Any]


def _code(one: Weighted, recipe: Coding, grouped: bool, builder: Any, opened: OpenProgram) -> bool:
    form = _form(one, recipe, grouped, builder)
    if form.bytes >= one.values.nbytes:
        return False
    replace_constant(opened, one.constant, form.make(f"{one.constant.name}_coded"))
    return True


def _form(one: Weighted, recipe: Coding, grouped: bool, builder: Any) -> _Form:
    values, number = one.values, one.values.dtype.itemsize
    if isinstance(recipe, Palette):
        groups = _groups(one, grouped)
        table = groups * number << recipe.bits
        make = partial(_palettes, one, recipe.bits, groups if grouped else 0, builder)
        return _Form(bytes=packed_size(values.size, recipe.bits) + table, make=make)
    channels = values.shape[one.output]
    if isinstance(recipe, WeightOnly) and recipe.bits == 4:
        scales = channels * max(1, values.shape[one.input] // BLOCK)
        size = packed_size(values.size, 4) + scales * number
        return _Form(bytes=size, make=partial(_blocks, one, builder))
    return _Form(bytes=values.size + channels * number, make=partial(_channels, one, builder))


def replace_constant(opened: OpenProgram, constant: MilOp, made: Any) -> None:
    """Let every reader of a constant read another value."""
    opened.block.replace_uses_of_var_after_op(
        anchor_op=constant,
        old_var=constant.outputs[0],
        new_var=made,
        no_check_var_types=True,
    )
    opened.block.remove_ops([constant])


def _channels(one: Weighted, builder: Any, name: str) -> Any:
    coded = by_channel(one.values, one.output)
    return builder.constexpr_affine_dequantize(
        quantized_data=coded.codes,
        zero_point=np.int8(0),
        scale=coded.scale.reshape(-1),
        axis=np.int32(one.output),
        before_op=one.constant,
        name=name,
    )


def _blocks(one: Weighted, builder: Any, name: str) -> Any:
    from coremltools.converters.mil.mil import types

    coded = by_block(one.values, one.output, one.input, BLOCK)
    return builder.constexpr_blockwise_shift_scale(
        data=coded.codes.astype(types.nptype_from_builtin(types.int4)),
        scale=coded.scale,
        before_op=one.constant,
        name=name,
    )


def _groups(one: Weighted, grouped: bool) -> int:
    channels = one.values.shape[one.output]
    return channels // GROUP if grouped and channels % GROUP == 0 else 1


def _palettes(one: Weighted, bits: int, groups: int, builder: Any, name: str) -> Any:
    """groups: tables; 0 for the one table of a system before iOS 18."""
    parts = [palette(part, bits) for part in np.split(one.values, groups or 1, axis=one.output)]
    indices = np.concatenate([part.indices for part in parts], axis=one.output)
    if not groups:
        return builder.constexpr_lut_to_dense(
            indices=packed(indices.reshape(-1), bits),
            lut=parts[0].palette,
            shape=np.array(indices.shape, np.uint32),
            before_op=one.constant,
            name=name,
        )
    from coremltools.converters.mil.mil import types

    kind = types.nptype_from_builtin(types.string_to_builtin(f"uint{bits}"))
    sides = [groups if axis == one.output else 1 for axis in range(indices.ndim)]
    return builder.constexpr_lut_to_dense(
        indices=indices.astype(kind),
        lut=np.stack([part.palette for part in parts]).reshape(*sides, 1 << bits, 1),
        before_op=one.constant,
        name=name,
    )


def sparse_constants(opened: OpenProgram, changed: Iterable[tuple[Weighted, Weights]]) -> int:
    """Store weights as a mask and the numbers that are not zero, in place.

    Args:
        changed: constants with the values that they shall have.

    Returns:
        How many constants got smaller by it.

    Raises:
        OptimizationFailed: the library broke.
    """
    count = 0
    grouped = opened.reads(18)
    with changing(opened) as builder:
        for one, values in changed:
            mask = values != 0
            if packed_size(mask.size, 1) + values[mask].nbytes >= values.nbytes or not mask.any():
                made = builder.const(val=values, before_op=one.constant)
            else:
                count += 1
                made = _sparse(one, values, mask, grouped, builder)
            replace_constant(opened, one.constant, made)
        clean(opened)
    return count


def _sparse(
    one: Weighted, values: Weights, mask: NDArray[np.bool_], grouped: bool, builder: Any
) -> Any:
    name = f"{one.constant.name}_sparse"
    if not grouped:
        return builder.constexpr_sparse_to_dense(
            nonzero_data=values[mask],
            mask=np.packbits(mask.reshape(-1), bitorder="little"),
            shape=np.array(values.shape, np.uint32),
            before_op=one.constant,
            name=name,
        )
    from coremltools.converters.mil.mil import types

    return builder.constexpr_sparse_to_dense(
        nonzero_data=values[mask],
        mask=mask.astype(types.nptype_from_builtin(types.uint1)),
        before_op=one.constant,
        name=name,
    )
