"""Numbers of few bits: compressed weights (``constexpr_*``), quantised activations.

Weights are expanded once, when the program is opened. Two generations of each operation exist:
iOS 16 packs indices and masks into bytes and names the shape, iOS 18 has types of few bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from phoneproof.formats.coreml.packed import packed_size, unpacked
from phoneproof.runtimes.backends.mil_torch.call import MOST_NUMBERS, Call, Operator, axis_of


def _require_declared(call: Call, shape: Sequence[int]) -> None:
    """Refuse to expand weights to another `shape` than the program declares, or to a huge one.

    Asked before anything is computed: a small file can describe expansions of any size.
    """
    declared = call.declared().shape
    if tuple(shape) != declared or math.prod(shape) > MOST_NUMBERS:
        raise call.misfit(f"expands to {list(shape)}, declared {list(declared)}")


def _along(call: Call, numbers: Tensor, data: Tensor) -> Tensor:
    """A scalar, or a vector along ``axis`` of `data`, ready to be broadcast."""
    if numbers.numel() == 1:
        return numbers.reshape(()).float()
    shape = [1] * data.dim()
    axis = axis_of(call, call.integer("axis"), data.dim())
    if numbers.numel() != data.shape[axis]:  # else a side of 1 would grow to their number
        raise call.misfit(f"{numbers.numel()} numbers along a side of {data.shape[axis]}")
    shape[axis] = -1
    return numbers.reshape(shape).float()


def _dequantized(call: Call, data: Tensor) -> Tensor:
    values = data.float()
    zero_point = call.optional("zero_point")
    if zero_point is not None:
        values = values - _along(call, zero_point, data)
    return values * _along(call, call.tensor("scale"), data)


def constexpr_affine_dequantize(call: Call, /) -> Tensor:
    """scale (data - zero point), per tensor or along an axis."""
    data = call.tensor("quantized_data")
    _require_declared(call, data.shape)
    return _dequantized(call, data)


def dequantize(call: Call, /) -> Tensor:
    """scale (input - zero point), per tensor or along an axis."""
    return _dequantized(call, call.tensor("input"))


def quantize(call: Call, /) -> Tensor:
    """input / scale, rounded half to even, + zero point, cut to what the type holds."""
    x = call.tensor("input")
    values = torch.round(x / _along(call, call.tensor("scale"), x))
    zero_point = call.optional("zero_point")
    if zero_point is not None:
        values = values + _along(call, zero_point, x)
    kinds = {"int8": (-128, 127), "uint8": (0, 255)}
    kind = call.text("output_dtype")
    if kind not in kinds:
        raise call.unsupported(f"type {kind!r}")
    return torch.clamp(values, *kinds[kind])


def _blocks(call: Call, numbers: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Each number repeated over its block of a tensor of `shape`."""
    if numbers.dim() != len(shape):
        raise call.misfit(f"blocks of {numbers.dim()} axes in {len(shape)}")
    for axis, side in enumerate(shape):
        have = int(numbers.shape[axis])
        if have == 0 or side % have:
            raise call.misfit(f"{have} blocks of {side} numbers")
        if side != have:
            numbers = numbers.repeat_interleave(side // have, dim=axis)
    return numbers


def _shifted(call: Call, data: Tensor) -> Tensor:
    shape = tuple(int(side) for side in data.shape)
    _require_declared(call, shape)
    values = data.float()
    offset = call.optional("offset")
    if offset is not None:
        values = values - _blocks(call, offset, shape).float()
    return values * _blocks(call, call.tensor("scale"), shape)


def constexpr_blockwise_shift_scale(call: Call, /) -> Tensor:
    """scale (data - offset), each of its own for every block."""
    return _shifted(call, call.tensor("data"))


def _bits(call: Call, data: Tensor, count: int, bits: int) -> Tensor:
    """Numbers packed into bytes."""
    if not 1 <= bits <= 8 or data.numel() != packed_size(count, bits):
        raise call.misfit(f"{data.numel()} bytes for {count} numbers of {bits} bits")
    numbers = unpacked(data.to(torch.uint8).numpy(), count, bits, signed=False)
    return torch.from_numpy(numbers)


def _shape(call: Call) -> tuple[int, ...]:
    shape = call.integers("shape")
    if any(side < 0 for side in shape):
        raise call.misfit(f"shape {list(shape)}")
    _require_declared(call, shape)
    return shape


def _lengthened(shape: tuple[int, ...], axis: int, times: int) -> tuple[int, ...]:
    return tuple(side * times if i == axis else side for i, side in enumerate(shape))


def _looked_up(call: Call, indices: Tensor, lut: Tensor) -> Tensor:
    """iOS 18: tables for blocks, [*blocks, entries, vector]; vectors spread along an axis."""
    entries, vector = int(lut.shape[-2]), int(lut.shape[-1])
    shape = tuple(int(side) for side in indices.shape)
    axis = 0 if vector == 1 else axis_of(call, call.integer("vector_axis"), len(shape))
    _require_declared(call, _lengthened(shape, axis, vector))
    whole = torch.arange(math.prod(lut.shape[:-2]), device=lut.device).reshape(lut.shape[:-2])
    table = _blocks(call, whole, shape)
    found = lut.reshape(-1, vector)[table * entries + indices.long()]
    if vector == 1:
        return found.squeeze(-1)
    spread = found.movedim(-1, axis + 1)
    return spread.flatten(axis, axis + 1)


def constexpr_lut_to_dense(call: Call, /) -> Tensor:
    """Entries of a table, or of one for each block, by their indices."""
    indices, lut = call.tensor("indices"), call.tensor("lut")
    if not call.has("shape"):
        return _looked_up(call, indices, lut)
    shape, bits = _shape(call), (lut.numel() - 1).bit_length()
    places = _bits(call, indices, math.prod(shape), bits)
    return lut.reshape(-1)[places.long()].reshape(shape)


def _spread(call: Call, nonzero: Tensor, mask: Tensor) -> Tensor:
    """Numbers at the places of a mask, zeros elsewhere."""
    if int(torch.count_nonzero(mask)) != nonzero.numel():
        raise call.misfit(f"{nonzero.numel()} numbers for {torch.count_nonzero(mask)} places")
    dense = torch.zeros(mask.shape, dtype=nonzero.dtype)
    dense[mask != 0] = nonzero
    return dense


def constexpr_sparse_to_dense(call: Call, /) -> Tensor:
    """Numbers at the places of a mask of bits, zeros elsewhere."""
    nonzero, mask = call.tensor("nonzero_data"), call.tensor("mask")
    if call.has("shape"):
        shape = _shape(call)
        mask = _bits(call, mask, math.prod(shape), 1).reshape(shape)
    _require_declared(call, mask.shape)
    return _spread(call, nonzero, mask)


def constexpr_lut_to_sparse(call: Call, /) -> tuple[Tensor, Tensor]:
    """The mask, and the numbers at its places looked up in tables."""
    mask, lut = call.tensor("indices_mask"), call.tensor("lut")
    indices = _spread(call, call.tensor("indices_nonzero_data"), mask)
    dense = _looked_up(call, indices, lut)
    vector = int(lut.shape[-1])
    if vector > 1:
        axis = axis_of(call, call.integer("vector_axis"), mask.dim())
        mask = mask.repeat_interleave(vector, dim=axis)
    return mask, dense[mask != 0]


def constexpr_sparse_blockwise_shift_scale(call: Call, /) -> tuple[Tensor, Tensor]:
    """The mask, and the numbers at its places as scale (data - offset)."""
    mask = call.tensor("data_mask")
    dense = _shifted(call, _spread(call, call.tensor("nonzero_data"), mask))
    return mask, dense[mask != 0]


def constexpr_cast(call: Call, /) -> Tensor:
    """The same numbers in another type."""
    source = call.tensor("source_val")
    _require_declared(call, source.shape)
    return source


COMPRESSION: Mapping[str, Operator] = {
    "constexpr_affine_dequantize": constexpr_affine_dequantize,
    "constexpr_blockwise_shift_scale": constexpr_blockwise_shift_scale,
    "constexpr_cast": constexpr_cast,
    "constexpr_lut_to_dense": constexpr_lut_to_dense,
    "constexpr_lut_to_sparse": constexpr_lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": constexpr_sparse_blockwise_shift_scale,
    "constexpr_sparse_to_dense": constexpr_sparse_to_dense,
    "dequantize": dequantize,
    "quantize": quantize,
}
