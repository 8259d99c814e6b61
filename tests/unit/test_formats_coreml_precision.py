"""Which precision a MIL program is said to have."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from phoneproof.core.binding import Precision
from phoneproof.formats.coreml.precision import precision_of
from phoneproof.formats.coreml.program import (
    Argument,
    BlobReference,
    MilDType,
    NamedType,
    Operation,
    Program,
    Reference,
    TensorType,
    Value,
)

SHAPE = (8, 4, 3, 3)


def blob(dtype: MilDType, shape: tuple[int, ...] = SHAPE) -> BlobReference:
    return BlobReference(type=TensorType(dtype=dtype, shape=shape), file="weight.bin", offset=64)


def op(
    kind: str,
    name: str,
    dtype: MilDType = "float32",
    shape: tuple[int, ...] = SHAPE,
    inputs: Mapping[str, str] | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Operation:
    given: dict[str, tuple[Argument, ...]] = {
        key: (Reference(name=value),) for key, value in (inputs or {}).items()
    }
    out = NamedType(name=name, type=TensorType(dtype=dtype, shape=shape))
    return Operation(
        type=kind, name=name, inputs=given, outputs=(out,), attributes=attributes or {}
    )


def weights(kind: str, name: str, dtype: MilDType, shape: tuple[int, ...] = SHAPE) -> Operation:
    """A maker of weights as iOS 16 writes it: what it holds are attributes."""
    held = {
        "const": "val",
        "constexpr_affine_dequantize": "quantized_data",
        "constexpr_lut_to_dense": "lut",
        "constexpr_sparse_to_dense": "nonzero_data",
    }[kind]
    return op(kind, name, attributes={held: blob(dtype, shape)})


def conv(name: str, made_from: str, x: str = "image") -> Operation:
    return op("conv", name, shape=(1, 8, 5, 5), inputs={"x": x, "weight": made_from})


def program(*operations: Operation) -> Program:
    image = NamedType(name="image", type=TensorType(dtype="float32", shape=(1, 4, 5, 5)))
    return Program(
        inputs=(image,),
        operations=operations,
        outputs=(operations[-1].outputs[0].name,),
        opset="CoreML7",
    )


@pytest.mark.parametrize(
    ("kind", "dtype", "shape", "expected"),
    [
        ("const", "float32", SHAPE, "float32"),
        ("const", "float16", SHAPE, "float16"),
        ("constexpr_affine_dequantize", "int8", SHAPE, "weight_only_wi8"),
        ("constexpr_lut_to_dense", "float16", (16,), "palette4"),
        ("constexpr_lut_to_dense", "float16", (64,), "palette6"),
        ("constexpr_lut_to_dense", "float16", (1, 1, 1, 1, 64, 1), "palette6"),
        ("constexpr_lut_to_dense", "float16", (4,), "mixed"),
        ("constexpr_sparse_to_dense", "float16", (40,), "sparse"),
    ],
)
def test_one_layer(kind: str, dtype: MilDType, shape: tuple[int, ...], expected: Precision) -> None:
    assert precision_of(program(weights(kind, "w", dtype, shape), conv("c", "w"))) == expected


@pytest.mark.parametrize(
    ("dtype", "expected"), [("int4", "weight_only_wi4"), ("int8", "weight_only_wi8")]
)
def test_blocks_hold_their_numbers_in_a_constant_of_their_own(
    dtype: MilDType, expected: Precision
) -> None:
    made = op("constexpr_blockwise_shift_scale", "w", inputs={"data": "codes", "scale": "scale"})
    codes = op("const", "codes", dtype, attributes={"val": blob(dtype)})
    assert precision_of(program(codes, made, conv("c", "w"))) == expected


def test_integers_on_both_sides() -> None:
    coded = weights("constexpr_affine_dequantize", "w", "int8")
    fed = op("dequantize", "x", inputs={"input": "stored"})
    assert precision_of(program(coded, fed, conv("c", "w", "x"))) == "static_wi8_ai8"


def test_mixed_is_what_nearly_all_weights_are_not() -> None:
    wide, narrow = weights("const", "w", "float32"), weights("const", "v", "float16")
    both = program(wide, narrow, conv("c", "w"), conv("d", "v", "c"))
    assert precision_of(both) == "mixed"
    small = op("const", "w", shape=(1, 2, 1, 1), attributes={"val": blob("float32", (1, 2, 1, 1))})
    assert precision_of(program(small, narrow, conv("c", "w"), conv("d", "v", "c"))) == "float16"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_program_without_weights_is_what_it_computes_in(dtype: MilDType) -> None:
    assert precision_of(program(op("relu", "r", dtype, inputs={"x": "image"}))) == dtype
