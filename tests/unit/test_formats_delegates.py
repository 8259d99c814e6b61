from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import Quant
from phoneproof.formats.delegates import gpu, xnnpack
from phoneproof.formats.delegates.cost import gpu_delegation, phone_cost, xnnpack_delegation
from phoneproof.formats.delegates.partitions import partitions
from phoneproof.formats.tflite import ChannelQuant, TfliteGraph, TfliteOp, TfliteTensor
from phoneproof.formats.tflite_options import OpOptions

Option = bool | int | float
CONV: dict[str, Option] = {"strideW": 1, "strideH": 1, "fusedActivationFunction": 1}
Q8 = Quant(scale=0.1, zero_point=0)


@dataclass(kw_only=True)
class Builder:
    """A graph under construction; the methods give tensor indices."""

    tensors: list[TfliteTensor] = field(default_factory=list)
    ops: list[TfliteOp] = field(default_factory=list)

    def tensor(
        self,
        shape: tuple[int, ...],
        dtype: str = "float32",
        *,
        quant: Quant | None = None,
        values: NDArray[Any] | None = None,
        channels: ChannelQuant | None = None,
    ) -> int:
        data = np.zeros(0, np.uint8) if values is None else values.reshape(-1).view(np.uint8)
        self.tensors.append(
            TfliteTensor(
                name=f"t{len(self.tensors)}",
                dtype=dtype,
                shape=shape,
                quant=quant,
                data=data,
                channel_quant=channels,
            )
        )
        return len(self.tensors) - 1

    def const(self, values: NDArray[Any], **given: Any) -> int:
        return self.tensor(values.shape, values.dtype.name, values=values, **given)

    def op(
        self,
        name: str,
        inputs: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: str = "float32",
        *,
        quant: Quant | None = None,
        options: dict[str, Option] | None = None,
        custom: bool = False,
    ) -> int:
        made = self.tensor(shape, dtype, quant=quant)
        fields = tuple((options or {}).items())
        self.ops.append(
            TfliteOp(
                name=name,
                custom=custom,
                inputs=inputs,
                outputs=(made,),
                options=OpOptions(fields=fields),
            )
        )
        return made

    def conv(self, source: int, *, bias: bool = True, activation: int = 1) -> int:
        filters = self.const(np.ones((8, 1, 1, 8), np.float32))
        added = self.const(np.zeros(8, np.float32)) if bias else -1
        options = {**CONV, "fusedActivationFunction": activation}
        return self.op("CONV_2D", (source, filters, added), (1, 4, 4, 8), options=options)

    def graph(self, outputs: tuple[int, ...]) -> TfliteGraph:
        return TfliteGraph(
            tensors=tuple(self.tensors),
            ops=tuple(self.ops),
            other_ops=(),
            inputs=(0,),
            outputs=outputs,
            signature_inputs=(),
            signature_outputs=(),
            description="",
            metadata={},
        )


def started(dtype: str = "float32", quant: Quant | None = None) -> tuple[Builder, int]:
    build = Builder()
    return build, build.tensor((1, 4, 4, 8), dtype, quant=quant)


def refusals(graph: TfliteGraph) -> tuple[str, str]:
    """Why XNNPACK and the GPU leave the last operator; empty where they take it."""
    return xnnpack_delegation(graph).reasons[-1], gpu_delegation(graph).reasons[-1]


def test_a_plain_convolution_is_taken_whole() -> None:
    build, x = started()
    graph = build.graph((build.conv(x),))
    for cost in phone_cost(graph):
        assert (cost.taken, cost.partitions, cost.left) == (1.0, 1, ())
        assert "2026-11-21" in cost.source


def test_a_convolution_without_bias_or_with_tanh_stays_off_xnnpack() -> None:
    build, x = started()
    assert refusals(build.graph((build.conv(x, bias=False),)))[0] == "needs a bias"
    build, x = started()
    xnn, on_gpu = refusals(build.graph((build.conv(x, activation=4),)))
    assert "no fused activation" in xnn
    assert on_gpu == ""


def int8_conv(axis: int, dtype: str, *, name: str = "CONV_2D") -> TfliteGraph:
    """A convolution with int8 weights by channel along `axis`, activations of `dtype`."""
    quant = Q8 if dtype == "int8" else None
    build, x = started(dtype, quant)
    channels = ChannelQuant(axis=axis, scales=(0.1,) * 8, zero_points=(0,) * 8)
    shape = (1, 1, 1, 8) if name == "DEPTHWISE_CONV_2D" else (8, 1, 1, 8)
    filters = build.const(np.ones(shape, np.int8), channels=channels)
    bias_type = np.int32 if dtype == "int8" else np.float32
    bias = build.const(np.zeros(8, bias_type))
    out = build.op(name, (x, filters, bias), (1, 4, 4, 8), dtype, quant=quant, options=CONV)
    return build.graph((out,))


def test_weights_by_channel_must_lie_on_the_axis_that_the_kernel_knows() -> None:
    assert refusals(int8_conv(0, "int8"))[0] == ""
    assert "weights" in refusals(int8_conv(3, "int8"))[0]
    assert refusals(int8_conv(3, "int8", name="DEPTHWISE_CONV_2D"))[0] == ""


def test_int8_weights_meet_float_activations_in_convolutions_but_not_in_depthwise_ones() -> None:
    assert refusals(int8_conv(0, "float32"))[0] == ""
    assert "weights" in refusals(int8_conv(3, "float32", name="DEPTHWISE_CONV_2D"))[0]


def test_int8_softmax_and_average_pool_stay_off_xnnpack_with_a_way_around() -> None:
    build, x = started("int8", Q8)
    pool: dict[str, Option] = {"filterWidth": 4, "filterHeight": 4, "strideW": 1, "strideH": 1}
    x = build.op("AVERAGE_POOL_2D", (x,), (1, 1, 1, 8), "int8", quant=Q8, options=pool)
    x = build.op("SOFTMAX", (x,), (1, 1, 1, 8), "int8", quant=Q8, options={"beta": 1.0})
    cost = phone_cost(build.graph((x,)))[0]
    assert cost.taken == 0.0
    assert {op.op for op in cost.left} == {"AVERAGE_POOL_2D", "SOFTMAX"}
    assert all(op.rewrite for op in cost.left)


def test_nearest_resize_splits_the_graph_of_xnnpack_in_three() -> None:
    build, x = started()
    x = build.conv(x)
    size = build.const(np.asarray([8, 8], np.int32))
    x = build.op("RESIZE_NEAREST_NEIGHBOR", (x, size), (1, 8, 8, 8))
    x = build.op("LOGISTIC", (x,), (1, 8, 8, 8))
    on_cpu, on_gpu = phone_cost(build.graph((x,)))
    assert on_cpu.partitions == 3
    assert on_cpu.taken == pytest.approx(2 / 3)
    assert on_cpu.left[0].op == "RESIZE_NEAREST_NEIGHBOR"
    assert "CONCATENATION" in on_cpu.left[0].rewrite
    assert (on_gpu.partitions, on_gpu.taken) == (1, 1.0)


def test_the_gpu_keeps_only_the_largest_piece() -> None:
    build, x = started()
    for _ in range(3):
        x = build.conv(x)
    x = build.op("BROADCAST_TO", (x, build.const(np.asarray([1, 4, 4, 8], np.int32))), (1, 4, 4, 8))
    x = build.conv(x)
    cost = phone_cost(build.graph((x,)))[1]
    assert cost.taken == pytest.approx(3 / 5)
    assert [(op.op, op.count) for op in cost.left] == [("BROADCAST_TO", 1), ("CONV_2D", 1)]
    assert "largest piece" in cost.left[1].reason
    assert cost.left[1].rewrite == ""


@pytest.mark.parametrize(
    ("name", "options", "shape", "xnn", "on_gpu"),
    [
        ("SOFTMAX", {"beta": 2.0}, (1, 4, 4, 8), "beta", "beta"),
        ("RESIZE_BILINEAR", {"alignCorners": True, "halfPixelCenters": True}, (1, 8, 8, 8), "",
         "align_corners"),
        ("EXPAND_DIMS", {}, (1, 1, 4, 4, 8), "not on its list", "not on its list"),
        ("LEAKY_RELU", {"alpha": 0.0}, (1, 4, 4, 8), "slope", ""),
    ],
)  # fmt: skip
def test_options_decide(
    name: str, options: dict[str, Option], shape: tuple[int, ...], xnn: str, on_gpu: str
) -> None:
    build, x = started()
    inputs = (x, build.const(np.asarray([8, 8], np.int32))) if "RESIZE" in name else (x,)
    graph = build.graph((build.op(name, inputs, shape, options=options),))
    for found, expected in zip(refusals(graph), (xnn, on_gpu), strict=True):
        assert expected in found
        assert bool(found) == bool(expected)


@pytest.mark.parametrize(
    ("strides", "mask", "xnn", "on_gpu"),
    [((1, 1, 1, 1), 0, "", ""), ((1, 2, 2, 1), 0, "strides", ""), ((1,) * 4, 2, "axis", "axis")],
)
def test_strided_slices(strides: tuple[int, ...], mask: int, xnn: str, on_gpu: str) -> None:
    build, x = started()
    places = [np.zeros(4, np.int32), np.full(4, 2, np.int32), np.asarray(strides, np.int32)]
    fixed = tuple(build.const(place) for place in places)
    options: dict[str, Option] = {"shrinkAxisMask": mask}
    graph = build.graph((build.op("STRIDED_SLICE", (x, *fixed), (1, 2, 2, 2), options=options),))
    for found, expected in zip(refusals(graph), (xnn, on_gpu), strict=True):
        assert expected in found
        assert bool(found) == bool(expected)


@pytest.mark.parametrize(("size", "xnn"), [(2, ""), (-1, "sizes above 0")])
def test_a_slice_to_the_end_stays_off_xnnpack(size: int, xnn: str) -> None:
    build, x = started()
    begin, sizes = np.zeros(4, np.int32), np.full(4, size, np.int32)
    made = build.op("SLICE", (x, build.const(begin), build.const(sizes)), (1, 2, 2, 2))
    found = refusals(build.graph((made,)))[0]
    assert xnn in found
    assert bool(found) == bool(xnn)


def test_a_sixth_input_of_a_concatenation_is_one_too_many_for_xnnpack() -> None:
    for count, refused in ((5, False), (6, True)):
        build, x = started()
        parts = tuple(build.conv(x) for _ in range(count))
        made = build.op("CONCATENATION", parts, (1, 4, 4, 8 * count), options={"axis": 3})
        xnn, on_gpu = refusals(build.graph((made,)))
        assert bool(xnn) == refused
        assert on_gpu == ""


def test_whole_numbers_and_five_dimensions_stay_off_the_gpu() -> None:
    build, x = started("int64")
    found = refusals(build.graph((build.op("ADD", (x, x), (1, 4, 4, 8), "int64"),)))
    assert all(found)
    assert "int64" in found[1]
    build, x = started()
    made = build.op("RESHAPE", (x,), (1, 4, 4, 4, 2))
    xnn, on_gpu = refusals(build.graph((made,)))
    assert xnn == ""
    assert "4 dimensions" in on_gpu


def test_unequal_ranks_are_added_on_xnnpack_and_only_plainly_on_the_gpu() -> None:
    for shape, taken in (((4, 4, 8), True), ((8,), True), ((4, 8), False)):
        build, x = started()
        other = build.const(np.ones(shape, np.float32))
        xnn, on_gpu = refusals(build.graph((build.op("ADD", (x, other), (1, 4, 4, 8)),)))
        assert xnn == ""
        assert bool(on_gpu) != taken


def float16_weights(reader: str) -> TfliteGraph:
    """Weights stored as float16, unpacked by DEQUANTIZE and read by one operator."""
    build, x = started()
    stored = build.const(np.ones((8, 1, 1, 8), np.float16))
    filters = build.op("DEQUANTIZE", (stored,), (8, 1, 1, 8))
    if reader == "CONV_2D":
        bias = build.const(np.zeros(8, np.float32))
        made = build.op("CONV_2D", (x, filters, bias), (1, 4, 4, 8), options=CONV)
    else:
        made = build.op(reader, (x, filters), (1, 4, 4, 8))
    return build.graph((made,))


def test_unpacked_weights_belong_to_who_reads_them() -> None:
    assert all(xnnpack_delegation(float16_weights("CONV_2D")).taken)
    assert all(gpu_delegation(float16_weights("CONV_2D")).taken)
    left = xnnpack_delegation(float16_weights("FLOOR_DIV"))
    assert left.taken == (False, False)
    assert "read by an operator" in left.reasons[0]


def test_custom_operators_are_left() -> None:
    build, x = started()
    made = build.op("TFLite_Detection_PostProcess", (x,), (1, 10), custom=True)
    cost = phone_cost(build.graph((made,)))[0]
    assert cost.left[0].reason == "a custom operator"
    assert "end the model before it" in cost.left[0].rewrite


def test_pieces_gather_what_can_run_whatever_its_place() -> None:
    build, x = started()
    first = build.conv(x)
    slow = build.op("WHERE", (first,), (1, 4, 4, 8))
    build.op("ABS", (slow,), (1, 4, 4, 8))
    build.conv(x)
    graph = build.graph((slow,))
    assert partitions(graph, (True, False, True, True)) == [
        (True, (0, 3)),
        (False, (1,)),
        (True, (2,)),
    ]
    assert partitions(graph, (False,) * 4) == [(False, (0, 1, 2, 3))]


@pytest.mark.parametrize("name", sorted(xnnpack.TABLE.keys() | gpu.TABLE.keys()))
def test_damaged_operators_are_left_without_a_crash(name: str) -> None:
    zero = Quant(scale=0.0, zero_point=0)
    build, x = started("int8", zero)
    odd = build.tensor((4,), "int32", values=np.zeros(3, np.uint8))
    for inputs in ((), (x,), (-1, -1), (x, odd), (x, odd, odd, odd), (odd, x, x)):
        build.op(name, inputs, (1, 4), "int8", quant=zero)
        build.ops.append(TfliteOp(name=name, custom=False, inputs=inputs, outputs=()))
    costs = phone_cost(build.graph((x,)))
    assert all(0 <= cost.taken <= 0.5 for cost in costs)
    assert any(op.reason == "it has no output" for cost in costs for op in cost.left)


def test_an_empty_graph_costs_nothing() -> None:
    build, x = started()
    for cost in phone_cost(build.graph((x,))):
        assert (cost.taken, cost.partitions, cost.left) == (1.0, 1, ())


@pytest.mark.parametrize("table", [xnnpack.TABLE, gpu.TABLE], ids=["xnnpack", "gpu"])
def test_every_condition_is_said_in_words(table: dict[str, Any]) -> None:
    assert all(rule.says.strip() for rules in table.values() for rule in rules)
    assert all(name == name.upper() for name in table)
