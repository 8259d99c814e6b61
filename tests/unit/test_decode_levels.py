"""Heads in levels, against straightforward double-precision code, one box after the other."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import (
    Anchors,
    Axis,
    Binding,
    Box,
    GridAnchors,
    InputBinding,
    OutputBinding,
    Role,
    YoloAnchors,
)
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.errors import InvalidInput
from phoneproof.core.presets import preset_input
from phoneproof.decode.heads import Heads, canonical_heads
from phoneproof.decode.priors import pack_priors

SIZE = (100, 72)
"""Not divisible by the strides: grids are rounded up, as networks that pad do."""
STRIDES = (8, 16)
GRIDS = ((13, 9), (7, 5))
BINS = 8
CLASSES = 2
WH = (((10.0, 13.0), (16.0, 30.0)), ((30.0, 61.0), (62.0, 45.0)))
RNG = np.random.default_rng(3)
Tensors = dict[str, NDArray[Any]]


def contract() -> Contract:
    return Contract(
        name="c",
        task="detect",
        inputs=(preset_input("yolox", SIZE),),
        labels=("a", "b"),
        decode=Decode(),
    )


def bind(*outputs: OutputBinding, anchors: Anchors | None) -> Binding:
    image = InputBinding(tensor="image", shape=(1, 3, *SIZE), layout="NCHW")
    return Binding(contract="", format="onnx", inputs=(image,), outputs=outputs, anchors=anchors)


def part(
    tensors: Tensors,
    name: str,
    role: Role,
    axes: tuple[Axis, ...],
    level: int,
    *,
    cut: tuple[int, int] | None = None,
    box: Box | None = None,
    packed: int = 1,
) -> OutputBinding:
    return OutputBinding(
        tensor=name,
        role=role,
        shape=tensors[name].shape,
        axes=axes,
        level=level,
        slice=cut,
        box=box,
        packed=packed,
        activation="sigmoid" if role in ("scores", "objectness") else "none",
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# YOLOv8: 4 * BINS distance logits above the class logits of each cell.

DISTANCES = Box(format="ltrb", units="stride")
GRID = GridAnchors(strides=STRIDES, offset=0.5)
V8: Tensors = {
    f"p{i}": RNG.normal(0, 2, (1, 4 * BINS + CLASSES, *grid)).astype(np.float32)
    for i, grid in enumerate(GRIDS)
}


def v8_binding(tensors: Tensors, nhwc: bool = False) -> Binding:
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        value: tuple[Axis, ...] = ("y", "x", "channel") if nhwc else ("channel", "y", "x")
        outputs.append(part(tensors, name, "dfl", value, level, cut=(0, 4 * BINS), box=DISTANCES))
        outputs.append(
            part(tensors, name, "scores", value, level, cut=(4 * BINS, 4 * BINS + CLASSES))
        )
    return bind(*outputs, anchors=GRID)


def v8_expected() -> tuple[list[list[float]], list[list[float]]]:
    boxes, scores = [], []
    for stride, (rows, columns), tensor in zip(STRIDES, GRIDS, V8.values(), strict=True):
        for y in range(rows):
            for x in range(columns):
                values = [float(v) for v in tensor[0, :, y, x]]
                sides = []
                for side in range(4):
                    weights = [math.exp(v) for v in values[side * BINS : (side + 1) * BINS]]
                    mean = sum(k * w for k, w in enumerate(weights)) / sum(weights)
                    sides.append(mean * stride)
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                boxes.append([cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]])
                scores.append([sigmoid(v) for v in values[4 * BINS :]])
    return boxes, scores


def assert_like(heads: Heads, expected: tuple[list[list[float]], list[list[float]]]) -> None:
    assert heads.boxes.dtype == heads.scores.dtype == np.float32
    np.testing.assert_allclose(heads.boxes, expected[0], atol=1e-4, rtol=1e-5)
    np.testing.assert_allclose(heads.scores, expected[1], atol=1e-6)


def test_distributions_of_distances_are_decoded() -> None:
    assert_like(canonical_heads(V8, contract(), v8_binding(V8)), v8_expected())


def test_channels_last_is_the_same_to_the_last_bit() -> None:
    last = {name: np.ascontiguousarray(t.transpose(0, 2, 3, 1)) for name, t in V8.items()}
    first = canonical_heads(V8, contract(), v8_binding(V8))
    second = canonical_heads(last, contract(), v8_binding(last, nhwc=True))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.scores, second.scores)


def test_bins_may_have_an_axis_of_their_own() -> None:
    tensors: Tensors = {
        "d": np.concatenate([t[:, : 4 * BINS].reshape(1, 4, BINS, -1) for t in V8.values()], 3),
        "s": np.concatenate([t[:, 4 * BINS :].reshape(1, CLASSES, -1) for t in V8.values()], 2),
    }
    binding = bind(
        part(tensors, "d", "dfl", ("coord", "bin", "anchor"), 0, box=DISTANCES),
        part(tensors, "s", "scores", ("class", "anchor"), 0),
        anchors=GRID,
    )
    assert_like(canonical_heads(tensors, contract(), binding), v8_expected())


def test_reversed_bins_give_other_boxes() -> None:
    turned = {
        name: np.concatenate(
            [
                t[:, : 4 * BINS]
                .reshape(1, 4, BINS, *t.shape[2:])[:, :, ::-1]
                .reshape(1, 4 * BINS, *t.shape[2:]),
                t[:, 4 * BINS :],
            ],
            axis=1,
        )
        for name, t in V8.items()
    }
    heads = canonical_heads(turned, contract(), v8_binding(turned))
    assert np.abs(heads.boxes - v8_expected()[0]).max() > 1


def test_a_peak_in_one_bin_is_that_distance() -> None:
    tensors: Tensors = {
        "p0": np.zeros((1, 4 * BINS + CLASSES, *GRIDS[0]), np.float32),
        "p1": np.zeros((1, 4 * BINS + CLASSES, *GRIDS[1]), np.float32),
    }
    for side, k in enumerate((1, 2, 3, 7)):
        tensors["p0"][0, side * BINS + k, 4, 6] = 120
    heads = canonical_heads(tensors, contract(), v8_binding(tensors))
    box = heads.boxes[4 * 9 + 6]
    np.testing.assert_array_equal(box, [52 - 8, 36 - 16, 52 + 24, 36 + 56])


def test_swapped_levels_are_refused() -> None:
    binding = v8_binding({"p1": V8["p1"], "p0": V8["p0"]})
    with pytest.raises(InvalidInput, match="not that of its stride") as caught:
        canonical_heads(V8, contract(), binding)
    assert "7x5 cells for stride 8" in caught.value.found


def test_levels_of_scores_that_are_swapped_against_the_boxes_are_refused() -> None:
    binding = v8_binding(V8)
    turned = tuple(
        msgspec.structs.replace(output, level=1 - (output.level or 0))
        if output.role == "scores"
        else output
        for output in binding.outputs
    )
    with pytest.raises(InvalidInput, match="level 0 of scores"):
        canonical_heads(V8, contract(), msgspec.structs.replace(binding, outputs=turned))


def test_a_level_too_many_is_refused() -> None:
    three = v8_binding({**V8, "p2": V8["p1"]})
    with pytest.raises(InvalidInput, match="another number of levels"):
        canonical_heads({**V8, "p2": V8["p1"]}, contract(), three)


@pytest.mark.parametrize(
    ("box", "anchors"), [(Box(format="cxcywh"), GRID), (DISTANCES, None), (None, GRID)]
)
def test_a_distribution_needs_a_grid_and_distances(
    box: Box | None, anchors: Anchors | None
) -> None:
    binding = v8_binding(V8)
    outputs = tuple(
        msgspec.structs.replace(o, box=box) if o.role == "dfl" else o for o in binding.outputs
    )
    with pytest.raises(InvalidInput, match=r"distribution|what its boxes mean"):
        canonical_heads(
            V8, contract(), msgspec.structs.replace(binding, outputs=outputs, anchors=anchors)
        )


@pytest.mark.parametrize("width", [4, 6, 30])
def test_a_width_that_is_no_four_distributions_is_refused(width: int) -> None:
    binding = v8_binding(V8)
    outputs = tuple(
        msgspec.structs.replace(o, slice=(0, width)) if o.role == "dfl" else o
        for o in binding.outputs
    )
    with pytest.raises(InvalidInput, match="four times"):
        canonical_heads(V8, contract(), msgspec.structs.replace(binding, outputs=outputs))


# YOLOv5: for each anchor shape tx, ty, tw, th, objectness and class logits.

V5_BOX = Box(format="cxcywh", units="stride")
V5_ANCHORS = YoloAnchors(strides=STRIDES, wh=WH)
V5: Tensors = {
    f"p{i}": RNG.normal(0, 1.5, (1, 2, *grid, 5 + CLASSES)).astype(np.float32)
    for i, grid in enumerate(GRIDS)
}


def v5_expected() -> tuple[list[list[float]], list[list[float]]]:
    boxes, scores = [], []
    for level, (stride, (rows, columns)) in enumerate(zip(STRIDES, GRIDS, strict=True)):
        for shape, (wide, high) in enumerate(WH[level]):
            for y in range(rows):
                for x in range(columns):
                    t = [sigmoid(float(v)) for v in V5[f"p{level}"][0, shape, y, x]]
                    cx, cy = (2 * t[0] - 0.5 + x) * stride, (2 * t[1] - 0.5 + y) * stride
                    w, h = (2 * t[2]) ** 2 * wide, (2 * t[3]) ** 2 * high
                    boxes.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                    scores.append([t[4] * c for c in t[5:]])
    return boxes, scores


def v5_binding(tensors: Tensors, axes: tuple[Axis, ...], packed: int = 1) -> Binding:
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        boxes = part(tensors, name, "boxes", axes, level, cut=(0, 4), box=V5_BOX, packed=packed)
        outputs += [
            msgspec.structs.replace(boxes, activation="sigmoid"),
            part(tensors, name, "objectness", axes, level, cut=(4, 5), packed=packed),
            part(tensors, name, "scores", axes, level, cut=(5, 5 + CLASSES), packed=packed),
        ]
    return bind(*outputs, anchors=V5_ANCHORS)


def v5_packed() -> Tensors:
    return {
        name: np.ascontiguousarray(
            t.transpose(0, 1, 4, 2, 3).reshape(1, -1, t.shape[2], t.shape[3])
        )
        for name, t in V5.items()
    }


def test_raw_yolov5_is_decoded() -> None:
    binding = v5_binding(V5, ("anchor", "y", "x", "channel"))
    assert_like(canonical_heads(V5, contract(), binding), v5_expected())


@pytest.mark.parametrize("nhwc", [False, True])
def test_packed_yolov5_is_the_same_to_the_last_bit(nhwc: bool) -> None:
    plain = canonical_heads(V5, contract(), v5_binding(V5, ("anchor", "y", "x", "channel")))
    tensors = v5_packed()
    axes: tuple[Axis, ...] = ("channel", "y", "x")
    if nhwc:
        tensors = {name: t.transpose(0, 2, 3, 1) for name, t in tensors.items()}
        axes = ("y", "x", "channel")
    heads = canonical_heads(tensors, contract(), v5_binding(tensors, axes, packed=2))
    np.testing.assert_array_equal(heads.boxes, plain.boxes)
    np.testing.assert_array_equal(heads.scores, plain.scores)


@pytest.mark.parametrize("packed", [0, -2, 3])
def test_packing_that_does_not_divide_the_channels_is_refused(packed: int) -> None:
    tensors = v5_packed()
    with pytest.raises(InvalidInput, match="do not describe its shape"):
        canonical_heads(tensors, contract(), v5_binding(tensors, ("channel", "y", "x"), packed))


# YOLOX: tx, ty, tw, th, objectness and classes of each cell.


def test_raw_yolox_levels_are_decoded() -> None:
    tensors: Tensors = {
        f"p{i}": RNG.normal(0, 1, (1, 5 + CLASSES, *grid)).astype(np.float32)
        for i, grid in enumerate(GRIDS)
    }
    axes: tuple[Axis, ...] = ("channel", "y", "x")
    outputs: list[OutputBinding] = []
    for level, name in enumerate(tensors):
        outputs += [
            part(tensors, name, "boxes", axes, level, cut=(0, 4), box=V5_BOX),
            part(tensors, name, "objectness", axes, level, cut=(4, 5)),
            part(tensors, name, "scores", axes, level, cut=(5, 5 + CLASSES)),
        ]
    binding = bind(*outputs, anchors=GridAnchors(strides=STRIDES, offset=0.0))
    boxes, scores = [], []
    for stride, (rows, columns), tensor in zip(STRIDES, GRIDS, tensors.values(), strict=True):
        for y in range(rows):
            for x in range(columns):
                t = [float(v) for v in tensor[0, :, y, x]]
                cx, cy = (x + t[0]) * stride, (y + t[1]) * stride
                w, h = math.exp(t[2]) * stride, math.exp(t[3]) * stride
                boxes.append([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                scores.append([sigmoid(t[4]) * sigmoid(c) for c in t[5:]])
    assert_like(canonical_heads(tensors, contract(), binding), (boxes, scores))


# SSD: several priors a cell, packed in the channels; priors run row, column, shape.


def test_packed_ssd_levels_follow_their_priors() -> None:
    grids, shapes = ((3, 2), (1, 1)), (2, 3)
    tensors: Tensors = {}
    priors, boxes, scores = [], [], []
    for level, ((rows, columns), count) in enumerate(zip(grids, shapes, strict=True)):
        loc = RNG.normal(0, 1, (1, count * 4, rows, columns)).astype(np.float32)
        conf = RNG.normal(0, 1, (1, count * CLASSES, rows, columns)).astype(np.float32)
        tensors |= {f"l{level}": loc, f"c{level}": conf}
        for y in range(rows):
            for x in range(columns):
                for shape in range(count):
                    cx, cy = (x + 0.5) / columns, (y + 0.5) / rows
                    w, h = 0.2 * (shape + 1), 0.3 / (shape + 1)
                    priors.append([cx, cy, w, h])
                    ty, tx, th, tw = (float(loc[0, shape * 4 + k, y, x]) for k in range(4))
                    cx, cy = cx + 0.1 * tx * w, cy + 0.1 * ty * h
                    w, h = w * math.exp(0.2 * tw) / 2, h * math.exp(0.2 * th) / 2
                    boxes.append([(cx - w) * 72, (cy - h) * 100, (cx + w) * 72, (cy + h) * 100])
                    scores.append(
                        [sigmoid(float(conf[0, shape * CLASSES + k, y, x])) for k in range(CLASSES)]
                    )
    box = Box(format="ssd", units="fraction", variances=(0.1, 0.1, 0.2, 0.2), order="yx")
    axes: tuple[Axis, ...] = ("channel", "y", "x")
    outputs: list[OutputBinding] = []
    for level, count in enumerate(shapes):
        outputs += [
            part(tensors, f"l{level}", "boxes", axes, level, box=box, packed=count),
            part(tensors, f"c{level}", "scores", axes, level, packed=count),
        ]
    binding = bind(*outputs, anchors=pack_priors(np.array(priors)))
    assert_like(canonical_heads(tensors, contract(), binding), (boxes, scores))


def test_rows_of_a_network_that_crops_are_recognised_by_their_number() -> None:
    """100 x 72 at stride 8 and 16, rounded down: 12 x 9 and 6 x 4 cells."""
    count = 12 * 9 + 6 * 4
    tensors: Tensors = {
        "b": np.zeros((1, count, 4), np.float32),
        "s": np.zeros((1, count, CLASSES), np.float32),
    }
    binding = bind(
        part(tensors, "b", "boxes", ("anchor", "coord"), 0, box=DISTANCES),
        part(tensors, "s", "scores", ("anchor", "class"), 0),
        anchors=GRID,
    )
    boxes = canonical_heads(tensors, contract(), binding).boxes
    np.testing.assert_array_equal(boxes[12 * 9], [8, 8, 8, 8])
    np.testing.assert_array_equal(boxes[-1], [3.5 * 16, 5.5 * 16] * 2)
