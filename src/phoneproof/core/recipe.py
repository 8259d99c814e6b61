"""How an optimizer changes the numbers of one float32 file: the recipe of a candidate.

A *layer* is an operator, named by its (first) output tensor in the float32 file it belongs to.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from phoneproof.core.binding import Layout

RangeMethod = Literal[
    "min_max", "percentile_99_99", "percentile_99_999", "mse", "entropy", "learned"
]
"""How the range of an activation is chosen from what calibration saw of it."""

IoType = Literal["float32", "int8", "uint8"]


class Io(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The types of the tensors that an app touches."""

    input: IoType = "float32"
    output: IoType = "float32"


class Float16(msgspec.Struct, frozen=True, kw_only=True, tag="float16"):
    """float16 weights. float32_share: of the resulting weight bytes, how many may stay float32.

    float_layers: keep float32, weights and arithmetic (Core ML: islands where float16 overflows).
    """

    float32_share: float
    float_layers: tuple[str, ...] = ()


class Dynamic(msgspec.Struct, frozen=True, kw_only=True, tag="dynamic_wi8"):
    """int8 weights by channel; activations quantized while the model runs.

    float_layers: keep float32 weights.
    """

    float_layers: tuple[str, ...] = ()


class WeightOnly(msgspec.Struct, frozen=True, kw_only=True, tag="weight_only"):
    """Integer weights, expanded before use; float32 arithmetic. bits: 8 or 4."""

    bits: Literal[8, 4] = 8
    float_layers: tuple[str, ...] = ()


class Palette(msgspec.Struct, frozen=True, kw_only=True, tag="palette"):
    """Weights as numbers of places in a table of `2 ** bits` values of each layer (Core ML).

    float_layers: keep their weights.
    """

    bits: Literal[4, 6]
    float_layers: tuple[str, ...] = ()


class Static(msgspec.Struct, frozen=True, kw_only=True, tag="static"):
    """int8 weights by channel and int8 activations with fixed ranges.

    ranges: which of the calibrated ranges to take. float_layers: stay float32, weights and
    arithmetic. int16_layers: int16 activations with int8 weights. io: types at the border.
    """

    ranges: RangeMethod = "min_max"
    float_layers: tuple[str, ...] = ()
    int16_layers: tuple[str, ...] = ()
    io: Io = Io()


class Split(msgspec.Struct, frozen=True, kw_only=True, tag="split"):
    """The head as outputs with ranges of their own; the rest of the decode goes to the binding.

    layout: of the levels. A phone's TFLite convolutions give NHWC: no transpose is left there.
    """

    layout: Layout = "NCHW"


class Prune(msgspec.Struct, frozen=True, kw_only=True, tag="prune", forbid_unknown_fields=True):
    """Fewer channels. share: how much of it is left (0..1).

    of: multiply-accumulates of one image, or numbers in the weights. seconds: how long the rest
    may learn from the original; 0 leaves the weights as they are.
    """

    of: Literal["macs", "size"] = "macs"
    share: float
    seconds: float


class Sparse(msgspec.Struct, frozen=True, kw_only=True, tag="sparse"):
    """float32 weights, the least of them zero. share: of the weights that may be (0..1)."""

    share: float


Recipe = Float16 | Dynamic | WeightOnly | Palette | Static | Split | Sparse


class TensorRange(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest and the largest value that a tensor shall be able to hold, real units."""

    tensor: str
    low: float
    high: float


class MethodRanges(msgspec.Struct, frozen=True, kw_only=True):
    """The ranges of every float tensor of one file by one method."""

    method: RangeMethod
    ranges: tuple[TensorRange, ...]


class Ranges(msgspec.Struct, frozen=True, kw_only=True):
    """``ranges.json``: what calibration (or learning) found for one float32 file.

    artifact: sha256 of that file.
    """

    artifact: str
    methods: tuple[MethodRanges, ...]

    def of(self, method: RangeMethod) -> tuple[TensorRange, ...] | None:
        """The ranges of a method; None where it was not computed."""
        return next((one.ranges for one in self.methods if one.method == method), None)
