"""Programs that ask for more than they hold: refused before anything of that size is computed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.program import (
    Argument,
    Immediate,
    MilDType,
    NamedType,
    Operation,
    Program,
    Reference,
    TensorType,
    Text,
)
from phoneproof.runtimes.backends.mil_torch import call, constants, lifetimes
from phoneproof.runtimes.backends.mil_torch.call import Call, Constant, Named, Place, Words
from phoneproof.runtimes.backends.mil_torch.module import MilModule
from phoneproof.runtimes.backends.mil_torch.slices import pad

Given = Mapping[str, Argument]


def no_blob(name: str) -> BlobFile:
    raise AssertionError(name)


def numbers(values: Any, dtype: MilDType = "int32") -> Immediate:
    array = np.array(values, dtype)
    return Immediate(type=TensorType(dtype=dtype, shape=array.shape), values=array)


def zeros(shape: tuple[int, ...], dtype: MilDType = "float32") -> Immediate:
    return numbers(np.zeros(shape), dtype)


def named(name: str, shape: tuple[int, ...]) -> NamedType:
    return NamedType(name=name, type=TensorType(dtype="float32", shape=shape))


def operation(kind: str, name: str, shape: tuple[int, ...], given: Given) -> Operation:
    return Operation(
        type=kind,
        name=name,
        inputs={key: (value,) for key, value in given.items()},
        outputs=(named(name, shape),),
        attributes={},
    )


def opened(x: tuple[int, ...], *operations: Operation) -> MilModule:
    """A program of the input ``x`` whose output is ``out``."""
    program = Program(
        inputs=(named("x", x),), operations=operations, outputs=("out",), opset="CoreML8"
    )
    return MilModule(program, no_blob, "odd")


X = Reference(name="x")


def weights(kind: str, shape: tuple[int, ...], given: Given) -> MilModule:
    """A program that takes the ReLU of its input and holds one tensor of weights."""
    return opened(
        (1,), operation(kind, "weights", shape, given), operation("relu", "out", (1,), {"x": X})
    )


# weights


@pytest.mark.parametrize("given", ["scale", "zero_point"])
def test_a_vector_must_be_as_long_as_its_side(given: str) -> None:
    parts: dict[str, Argument] = {
        "quantized_data": zeros((1, 4), "uint8"),
        "scale": numbers(0.5, "float32"),
        "axis": numbers(0),
    }
    assert weights("constexpr_affine_dequantize", (1, 4), parts).steps
    parts[given] = zeros((3,))
    for declared, found in (
        ((3, 4), "expands to [1, 4], declared [3, 4]"),  # as [1, 4] by [3, 1] would be
        ((1, 4), "3 numbers along a side of 1"),
    ):
        with pytest.raises(InvalidInput) as caught:
            weights("constexpr_affine_dequantize", declared, parts)
        assert caught.value.found == found


def test_a_vector_of_an_activation_must_be_as_long_as_its_side() -> None:
    given: Given = {"input": X, "scale": zeros((3,)), "axis": numbers(0)}
    with pytest.raises(InvalidInput) as caught:
        opened((1, 4), operation("dequantize", "out", (3, 4), given))
    assert caught.value.found == "3 numbers along a side of 1"


SIDE = 2**21
"""Its square as floats is more than any machine has, the side alone a few megabytes."""


@pytest.mark.parametrize(
    ("kind", "given", "found"),
    [
        (
            "constexpr_lut_to_dense",
            {
                "indices": zeros((SIDE,), "uint8"),
                "lut": zeros((1, 1, SIDE)),
                "vector_axis": numbers(0),
            },
            f"expands to [{SIDE**2}], declared [4]",
        ),
        (
            "constexpr_lut_to_dense",
            {"indices": zeros((1, SIDE), "uint8"), "lut": zeros((1, 1, SIDE, 1, 1))},
            f"expands to [1, {SIDE}], declared [4]",
        ),
        (
            "constexpr_blockwise_shift_scale",
            {"data": zeros((SIDE,), "int8"), "scale": zeros((1, SIDE))},
            f"expands to [{SIDE}], declared [4]",
        ),
        (
            "constexpr_sparse_to_dense",
            {
                "nonzero_data": zeros((0,)),
                "mask": zeros((SIDE // 8,), "uint8"),
                "shape": numbers([SIDE]),
            },
            f"expands to [{SIDE}], declared [4]",
        ),
        (
            "constexpr_cast",
            {"source_val": zeros((SIDE,))},
            f"expands to [{SIDE}], declared [4]",
        ),
    ],
    ids=["vectors", "tables", "blocks", "mask", "cast"],
)
def test_weights_expand_to_what_is_declared_only(kind: str, given: Given, found: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        weights(kind, (4,), given)
    assert caught.value.found == found


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (
            "constexpr_lut_to_dense",
            {"indices": zeros((1, SIDE), "uint8"), "lut": zeros((1, 1, SIDE, 1, 1))},
        ),
        (
            "constexpr_blockwise_shift_scale",
            {"data": zeros((1, SIDE), "int8"), "scale": zeros((1, 1, SIDE))},
        ),
    ],
    ids=["tables", "scales"],
)
def test_blocks_have_no_axes_of_their_own(kind: str, given: Given) -> None:
    with pytest.raises(InvalidInput) as caught:  # the declared shape is the honest one
        weights(kind, (1, SIDE), given)
    assert caught.value.found == "blocks of 3 axes in 2"


def test_a_huge_constant_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MOST_NUMBERS", 99)
    assert weights("constexpr_cast", (99,), {"source_val": zeros((99,))}).steps
    with pytest.raises(InvalidInput, match="a huge constant"):
        weights("constexpr_cast", (100,), {"source_val": zeros((100,))})


# all constants together


def fills(count: int) -> MilModule:
    """`count` tensors of 100 numbers, each with its one number for the shape."""
    filled = [operation("fill", f"f{i}", (100,), {"shape": numbers([100])}) for i in range(count)]
    return opened((1,), *filled, operation("relu", "out", (1,), {"x": X}))


def test_many_filled_tensors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MOST_KEPT", 505)
    assert len(fills(5).steps) == 1
    with pytest.raises(InvalidInput) as caught:
        fills(6)
    assert caught.value.failed == "the constants of odd are too many to be kept"
    assert caught.value.found == "more than 505 numbers"


def test_one_constant_read_many_times_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MOST_KEPT", 250)
    value = zeros((100,))

    def reading(count: int) -> MilModule:
        consts = [
            Operation(
                type="const",
                name=f"c{i}",
                inputs={},
                outputs=(named(f"c{i}", (100,)),),
                attributes={"val": value},
            )
            for i in range(count)
        ]
        return opened((1,), *consts, operation("relu", "out", (1,), {"x": X}))

    assert reading(2).steps
    with pytest.raises(InvalidInput, match="too many to be kept"):
        reading(3)


# all values that are alive together


def chain(*names: str) -> list[Operation]:
    """Operations of 100 numbers, each of which reads the one before; the first reads the input."""
    return [
        operation("relu", new, (100,), {"x": Reference(name=old)})
        for old, new in pairwise(("x", *names))
    ]


def test_values_that_are_alive_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetimes, "MOST_ALIVE", 800)
    assert len(opened((100,), *chain(*"abcd", "out")).steps) == 5
    late = operation("add", "out", (100,), {"x": Reference(name="c"), "y": X})
    with pytest.raises(InvalidInput) as caught:  # the input is needed to the end
        opened((100,), *chain(*"abc"), late)
    assert caught.value.failed == "odd keeps too many numbers at one time"
    assert caught.value.found == "1200 bytes at operation 'b' (relu); at most 800"


def test_a_part_keeps_all_of_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten numbers of each of the tensors are needed to the end, and so are all hundred."""
    given: Given = {"begin": numbers([0]), "size": numbers([10])}
    parts = []
    for i in range(3):
        parts += [
            operation("exp", f"whole{i}", (100,), {"x": X}),
            operation(
                "slice_by_size", f"part{i}", (10,), {"x": Reference(name=f"whole{i}"), **given}
            ),
        ]
    parts.append(
        Operation(
            type="concat",
            name="out",
            inputs={
                "values": tuple(Reference(name=f"part{i}") for i in range(3)),
                "axis": (numbers(0),),
            },
            outputs=(named("out", (30,)),),
            attributes={},
        )
    )
    monkeypatch.setattr(lifetimes, "MOST_ALIVE", 1600)
    assert len(opened((100,), *parts).steps) == 7
    monkeypatch.setattr(lifetimes, "MOST_ALIVE", 1599)
    with pytest.raises(InvalidInput, match="too many numbers at one time"):
        opened((100,), *parts)


def test_a_list_of_sizes_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    def reshaped(rank: int) -> MilModule:
        given: Given = {"x": X, "shape": numbers([1] * rank)}
        return opened((1,), operation("reshape", "out", (1,) * rank, given))

    monkeypatch.setattr(call, "MOST_PARAMETERS", 4)
    assert reshaped(4).steps
    with pytest.raises(InvalidInput) as caught:
        reshaped(5)
    assert caught.value.found == "5 numbers as 'shape'"


# slices


@pytest.mark.parametrize("kind", ["slice_by_index", "slice_update"])
@pytest.mark.parametrize(
    "cut", [slice(1, None), slice(None, None, -1)], ids=["forwards", "backwards"]
)
def test_a_slice_is_planned_without_its_places(kind: str, cut: slice) -> None:
    side = 2**19
    taken = len(range(side)[cut])
    given: dict[str, Argument] = {
        "x": X,
        "begin": numbers([cut.start or 0]),
        "end": numbers([0]),
        "stride": numbers([cut.step or 1]),
        "begin_mask": numbers([cut.start is None], "bool"),
        "end_mask": numbers([True], "bool"),
    }
    shape = (taken,)
    first = operation("slice_by_index", "part", shape, given)
    last = operation("relu", "out", shape, {"x": Reference(name="part")})
    if kind == "slice_update":
        update = {**given, "update": Reference(name="part")}
        shape = (side,)
        last = operation("slice_update", "out", shape, update)
    tracemalloc.start()
    try:
        module = opened((side,), first, last)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert module.outputs[0].type == TensorType(dtype="float32", shape=shape)
    assert peak < side  # bytes: less than one for each place


def test_an_update_of_another_type_is_refused() -> None:
    given: Given = {
        "x": X,
        "update": zeros((2,), "int32"),
        "begin": numbers([0]),
        "end": numbers([2]),
    }
    with pytest.raises(InvalidInput) as caught:
        opened((4,), operation("slice_update", "out", (4,), given))
    assert caught.value.found == "torch.int32 put into torch.float32"


@pytest.mark.parametrize("mode", ["reflect", "replicate"])
def test_a_padding_is_planned_without_its_places(mode: str) -> None:
    side = 2**45  # as places, more bytes than any machine has
    place = Place(
        type="pad",
        name="padded",
        inputs={
            "x": (Named(name="x"),),
            "pad": (Constant(torch.tensor([1, 2])),),
            "mode": (Words(texts=(mode,)),),
        },
        outputs=(),
    )
    values = {"x": torch.empty((side,), device="meta")}
    made = pad(Call(place, values, shapes_only=True, device=torch.device("meta")))
    assert tuple(made.shape) == (side + 3,)


# transposed convolutions


def transposed(given: Given, side: int) -> MilModule:
    parts = {
        "x": X,
        "weight": numbers(np.arange(3).reshape(1, 1, 3), "float32"),
        "strides": numbers([2]),
        **given,
    }
    return opened((1, 1, 4), operation("conv_transpose", "out", (1, 1, side), parts))


def test_a_transposed_convolution_reads_pad_type_in_any_case() -> None:
    x = {"x": torch.arange(4.0).reshape(1, 1, 4)}
    small = transposed({"pad_type": Text(text="same")}, 8).run(x)["out"]
    large = transposed({"pad_type": Text(text="SAME")}, 8).run(x)["out"]
    whole = transposed({"pad_type": Text(text="VALID")}, 9).run(x)["out"]
    assert torch.equal(small, large)
    assert torch.equal(whole[..., :8], small)  # one number too many, cut off behind


@pytest.mark.parametrize("kind", ["same_lower", "samé", ""])
def test_an_unknown_padding_of_a_transposed_convolution_is_refused(kind: str) -> None:
    with pytest.raises(Unsupported, match="pad_type"):
        transposed({"pad_type": Text(text=kind)}, 9)


def test_paddings_of_a_transposed_convolution_are_two_for_each_axis() -> None:
    given: Given = {"pad_type": Text(text="custom"), "pad": numbers([1, 1, 1])}
    with pytest.raises(InvalidInput) as caught:
        transposed(given, 7)
    assert caught.value.found == "3 paddings for 1 spatial axes"
