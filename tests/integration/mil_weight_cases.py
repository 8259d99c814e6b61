"""Compressed weights and quantised activations: every form, against coremltools' own expansion
where it has one and NumPy where it has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Array, Case, Draw, builder, tensor


def _added(weights: Any, values: Array, opset: str) -> Case:
    """A program that adds expanded weights to its input; `weights` gets the builder."""
    x = np.zeros(values.shape, np.float32) + 0.25
    return Case(
        body=lambda mb, x: mb.add(x=x, y=weights(mb), name="out"),
        feeds=[x],
        expected=[tensor(x) + tensor(np.asarray(values, np.float32))],
        opset=opset,
    )


def _sub_byte(array: Array, name: str) -> Array:
    """Whole numbers in one of coremltools' types of few bits."""
    builder()
    from coremltools.converters.mil.mil import types

    found: Array = array.astype(types.nptype_from_builtin(types.string_to_builtin(name)))
    return found


def affine(draw: Draw) -> Case:
    shape = draw.shape(2, 4)
    axis, signed, vector = draw.integer(0, len(shape) - 1), draw.flag(), draw.flag()
    kind, low, high = (np.int8, -128, 127) if signed else (np.uint8, 0, 255)
    data = draw.whole(shape, low, high).astype(kind)
    size = (shape[axis],) if vector else ()
    scale, zero = draw.array(size, 0.01, 0.1), draw.whole(size, max(low, -9), 9).astype(kind)
    wide = [1] * len(shape)
    wide[axis] = -1
    broad = (scale.reshape(wide), zero.reshape(wide)) if vector else (scale, zero)
    values = (data.astype(np.float32) - broad[1].astype(np.float32)) * broad[0]
    return _added(
        lambda mb: mb.constexpr_affine_dequantize(
            quantized_data=data,
            scale=scale if vector else np.float32(scale),
            zero_point=zero if vector else kind(zero),
            axis=np.int32(axis),
        ),
        values,
        "iOS16",
    )


def blockwise(draw: Draw) -> Case:
    rows, columns, block = draw.integer(1, 4), draw.integer(1, 3), draw.integer(1, 4)
    kind, low, high = draw.choice([("int4", -8, 7), ("uint4", 0, 15), ("int8", -128, 127)])
    data = draw.whole((rows, columns * block), low, high)
    scale = draw.array((rows, columns), 0.01, 0.1)
    offset = draw.whole((rows, columns), 0, 5) if draw.flag() else None
    shifted = data - (0 if offset is None else np.repeat(offset, block, 1))
    given = {} if offset is None else {"offset": _sub_byte(offset, kind)}
    return _added(
        lambda mb: mb.constexpr_blockwise_shift_scale(
            data=_sub_byte(data, kind), scale=scale, **given
        ),
        shifted.astype(np.float32) * np.repeat(scale, block, 1),
        "iOS18",
    )


def _pack(indices: Array, bits: int) -> Array:
    each = (indices.reshape(-1, 1) >> np.arange(bits)) & 1
    return np.packbits(each.astype(np.uint8).reshape(-1), bitorder="little")


def palette(draw: Draw) -> Case:
    if draw.flag():
        return _palette_of_blocks(draw)
    shape, bits = draw.shape(1, 4), draw.choice([1, 2, 4, 6, 8])
    indices, lut = draw.whole(shape, 0, 2**bits - 1), draw.array((2**bits,))
    return _added(
        lambda mb: mb.constexpr_lut_to_dense(
            lut=lut, indices=_pack(indices, bits), shape=np.array(shape, np.uint32)
        ),
        lut[indices],
        "iOS16",
    )


def _palette_of_blocks(draw: Draw) -> Case:
    blocks, block, columns = draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 4)
    bits, vector = draw.choice([1, 2, 3, 4, 6]), draw.choice([1, 1, 2])
    indices = draw.whole((blocks * block, columns), 0, 2**bits - 1)
    lut = draw.array((blocks, 1, 2**bits, vector))
    axis = draw.integer(0, 1)
    wide = np.zeros((*indices.shape, vector), np.float32)
    for place in np.ndindex(*indices.shape):
        wide[place] = lut[place[0] // block, 0, indices[place]]
    values = wide.transpose(0, 2, 1) if axis == 0 else wide
    values = values.reshape(-1, columns) if axis == 0 else wide.reshape(len(indices), -1)
    given = {} if vector == 1 else {"vector_axis": np.int32(axis)}
    return _added(
        lambda mb: mb.constexpr_lut_to_dense(
            indices=_sub_byte(indices, f"uint{bits}"), lut=lut, **given
        ),
        values if vector > 1 else wide[..., 0],
        "iOS18",
    )


def _mask(draw: Draw, shape: tuple[int, ...]) -> Array:
    mask = draw.whole(shape, 0, 1)
    mask.reshape(-1)[0] = 1  # something must be kept
    return mask


def sparse(draw: Draw) -> Case:
    shape = draw.shape(1, 3)
    mask = _mask(draw, shape)
    nonzero = draw.array((int(mask.sum()),))
    values = np.zeros(shape, np.float32)
    values[mask != 0] = nonzero
    if draw.flag():
        return _added(
            lambda mb: mb.constexpr_sparse_to_dense(
                nonzero_data=nonzero, mask=_pack(mask, 1), shape=np.array(shape, np.uint32)
            ),
            values,
            "iOS16",
        )
    return _added(
        lambda mb: mb.constexpr_sparse_to_dense(
            nonzero_data=nonzero, mask=_sub_byte(mask, "uint1")
        ),
        values,
        "iOS18",
    )


def sparse_palette(draw: Draw) -> Case:
    bits = draw.choice([1, 2, 4])
    mask = _mask(draw, draw.shape(2, 2))
    indices = draw.whole((int(mask.sum()),), 0, 2**bits - 1)
    lut = draw.array((1, 1, 2**bits, 1))
    values = np.zeros(mask.shape, np.float32)
    values[mask != 0] = lut.reshape(-1)[indices]

    def weights(mb: Any) -> Any:
        kept, numbers = mb.constexpr_lut_to_sparse(
            indices_mask=_sub_byte(mask, "uint1"),
            indices_nonzero_data=_sub_byte(indices, f"uint{bits}"),
            lut=lut,
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=numbers, mask=kept)

    return _added(weights, values, "iOS18")


def sparse_blockwise(draw: Draw) -> Case:
    mask = _mask(draw, draw.shape(2, 2))
    data = draw.whole((int(mask.sum()),), -128, 127)
    scale = draw.array((1, mask.shape[1]), 0.01, 0.1)
    dense = np.zeros(mask.shape, np.float32)
    dense[mask != 0] = data

    def weights(mb: Any) -> Any:
        kept, numbers = mb.constexpr_sparse_blockwise_shift_scale(
            data_mask=_sub_byte(mask, "uint1"), nonzero_data=data.astype(np.int8), scale=scale
        )
        return mb.constexpr_sparse_to_dense(nonzero_data=numbers, mask=kept)

    return _added(weights, dense * scale, "iOS18")


def constexpr_cast(draw: Draw) -> Case:
    values = draw.array(draw.shape(1, 3)).astype(np.float16)
    return _added(
        lambda mb: mb.constexpr_cast(source_val=values, output_dtype="fp32"),
        values.astype(np.float32),
        "iOS16",
    )


def _grid(draw: Draw) -> tuple[Array, dict[str, Any], str, torch.Tensor, torch.Tensor]:
    """An array, the operation's arguments, the type, and scale and zero point to broadcast."""
    x = draw.array(draw.shape(2, 3), -4.0, 4.0)
    kind = draw.choice(["int8", "uint8"])
    axis = draw.integer(0, x.ndim - 1) if draw.flag() else None
    size = () if axis is None else (x.shape[axis],)
    scale = draw.array(size, 0.02, 0.1)
    zero = draw.whole(size, 0, 9).astype(kind)
    given: dict[str, Any] = {"scale": scale if size else np.float32(scale)}
    given["zero_point"] = zero if size else zero[()]
    wide = [1] * x.ndim
    if axis is not None:
        given["axis"] = np.int32(axis)
        wide[axis] = -1
    broad = tensor(scale).reshape(wide), tensor(zero.astype(np.float32)).reshape(wide)
    return x, given, kind, *broad


def quantize(draw: Draw) -> Case:
    """There and back: Core ML has no outputs of 8 bits."""
    x, given, kind, scale, zero = _grid(draw)
    low, high = (-128, 127) if kind == "int8" else (0, 255)
    steps = (torch.round(tensor(x) / scale) + zero).clamp(low, high)
    return Case(
        body=lambda mb, x: mb.dequantize(
            input=mb.quantize(input=x, output_dtype=kind, **given), name="out", **given
        ),
        feeds=[x],
        expected=[(steps - zero) * scale],
    )


WEIGHT_CASES: Mapping[str, MakeCase] = {
    "constexpr_affine_dequantize": affine,
    "constexpr_blockwise_shift_scale": blockwise,
    "constexpr_cast": constexpr_cast,
    "constexpr_lut_to_dense": palette,
    "constexpr_lut_to_sparse": sparse_palette,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise,
    "constexpr_sparse_to_dense": sparse,
    "dequantize": quantize,
    "quantize": quantize,
}
