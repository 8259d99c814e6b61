"""Heads by hand: every row of the table in core/binding.py, axes, levels, quantised outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import (
    Activation,
    Anchors,
    Axis,
    Binding,
    Box,
    DType,
    GridAnchors,
    InputBinding,
    OutputBinding,
    Quant,
    Role,
    YoloAnchors,
)
from phoneproof.core.contract import Contract, Decode, ImageInput, Task
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.heads import (
    Heads,
    canonical_heads,
    canonical_probabilities,
    canonical_roles,
)

HEIGHT, WIDTH = 32, 64
LABELS = ("cat", "dog")


def contract(labels: tuple[str | None, ...] = LABELS, task: Task = "detect") -> Contract:
    image = ImageInput(geometry=(), size=(HEIGHT, WIDTH), scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    return Contract(name="t", task=task, inputs=(image,), labels=labels, decode=Decode())


def bind(*outputs: OutputBinding, anchors: Anchors | None = None, batch: int = 1) -> Binding:
    image = InputBinding(tensor="image", shape=(batch, HEIGHT, WIDTH, 3), layout="NHWC")
    return Binding(
        contract="", format="tflite", inputs=(image,), outputs=outputs, anchors=anchors, batch=batch
    )


def out(
    tensor: str,
    role: Role,
    array: NDArray[Any],
    axes: tuple[Axis, ...],
    *,
    box: Box | None = None,
    level: int | None = None,
    part: tuple[int, int] | None = None,
    activation: Activation = "none",
    quant: Quant | None = None,
    dtype: DType = "float32",
) -> OutputBinding:
    return OutputBinding(
        tensor=tensor,
        role=role,
        shape=array.shape,
        axes=axes,
        box=box,
        level=level,
        slice=part,
        activation=activation,
        quant=quant,
        dtype=dtype,
    )


def floats(values: Any) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def heads_of(
    boxes: Any, box: Box, anchors: Anchors | None = None, activation: Activation = "none"
) -> Heads:
    values = floats([boxes])
    scores = np.zeros((1, values.shape[1], 2), np.float32)
    bound = bind(
        out("b", "boxes", values, ("anchor", "coord"), box=box, activation=activation),
        out("s", "scores", scores, ("anchor", "class")),
        anchors=anchors,
    )
    return canonical_heads({"b": values, "s": scores}, contract(), bound)


@pytest.mark.parametrize(
    ("box", "values", "expected"),
    [
        (Box(format="xyxy"), [1, 2, 5, 9], [1, 2, 5, 9]),
        (Box(format="yxyx"), [2, 1, 9, 5], [1, 2, 5, 9]),
        (Box(format="cxcywh"), [10, 20, 4, 6], [8, 17, 12, 23]),
        (Box(format="xyxy", units="fraction"), [0.25, 0.5, 0.5, 1], [16, 16, 32, 32]),
        (Box(format="yxyx", units="fraction"), [0.5, 0.25, 1, 0.5], [16, 16, 32, 32]),
        (Box(format="cxcywh", units="fraction"), [0.5, 0.5, 0.25, 0.5], [24, 8, 40, 24]),
    ],
)
def test_coordinates_without_anchors(box: Box, values: list[float], expected: list[float]) -> None:
    np.testing.assert_array_equal(heads_of([values], box).boxes, floats([expected]))


GRID = GridAnchors(strides=(16, 32), offset=0.5)
"""64 x 32 pixels: 4 x 2 cells of 16, then 2 x 1 cells of 32: ten anchors."""


def test_distances_from_the_grid_points() -> None:
    values = [[1, 0.5, 2, 1.5]] * 10
    boxes = heads_of(values, Box(format="ltrb", units="stride"), GRID).boxes
    # Anchor 5: stride 16, row 1, column 1: point (24, 24).
    np.testing.assert_array_equal(boxes[5], floats([24 - 16, 24 - 8, 24 + 32, 24 + 24]))
    # Anchor 9: stride 32, row 0, column 1: point (48, 16).
    np.testing.assert_array_equal(boxes[9], floats([48 - 32, 16 - 16, 48 + 64, 16 + 48]))


def test_exponential_sides_on_the_grid() -> None:
    anchors = GridAnchors(strides=(16, 32), offset=0.0)
    values = [[0.5, 0.25, math.log(2), 0.0]] * 10
    boxes = heads_of(values, Box(format="cxcywh", units="stride"), anchors).boxes
    # Anchor 6: stride 16, row 1, column 2: centre (40, 20), sides 32 x 16.
    np.testing.assert_allclose(boxes[6], [24, 12, 56, 28], rtol=1e-6)
    # Anchor 8: stride 32, row 0, column 0: centre (16, 8), sides 64 x 32.
    np.testing.assert_allclose(boxes[8], [-16, -8, 48, 24], rtol=1e-6)


def test_yolo_anchors_are_ordered_by_stride_shape_row_column() -> None:
    anchors = YoloAnchors(strides=(16, 32), wh=(((10, 20), (30, 40)), ((50, 60), (70, 80))))
    logits = [[0.0, 0.0, 0.0, 0.0]] * 20  # sigmoid .5: the cell's centre, the anchor's own sides
    boxes = heads_of(logits, Box(format="cxcywh"), anchors, activation="sigmoid").boxes
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    # Second shape of stride 16, row 1, column 3 is anchor 8 + 4 + 3.
    np.testing.assert_allclose(centres[15], [(0.5 + 3) * 16, (0.5 + 1) * 16])
    np.testing.assert_allclose(sides[15], [30, 40])
    # First shape of stride 32, column 1.
    np.testing.assert_allclose(centres[17], [(0.5 + 1) * 32, 0.5 * 32])
    np.testing.assert_allclose(sides[17], [50, 60])


def test_yolo_anchor_formula_with_values_after_the_sigmoid() -> None:
    anchors = YoloAnchors(strides=(32,), wh=(((10, 20),),))
    boxes = heads_of([[0.75, 0.25, 1.0, 0.5]] * 2, Box(format="cxcywh"), anchors).boxes
    # (2 * .75 - .5 + 0) * 32 = 32, (2 * .25 - .5) * 32 = 0, (2 * 1)^2 * 10 = 40, 1 * 20 = 20.
    np.testing.assert_allclose(boxes[0], [32 - 20, 0 - 10, 32 + 20, 0 + 10])


def test_a_runaway_exponent_gives_infinities_and_no_warning() -> None:
    anchors = GridAnchors(strides=(32,), offset=0.0)
    boxes = heads_of([[0, 0, 1000, 0]] * 2, Box(format="cxcywh", units="stride"), anchors).boxes
    assert not np.isfinite(boxes).all()


@pytest.mark.parametrize(
    ("box", "anchors"),
    [
        (Box(format="ltrb"), None),
        (Box(format="xyxy", units="stride"), None),
        (Box(format="xyxy"), GRID),
        (Box(format="ltrb", units="fraction"), GRID),
        (Box(format="ltrb"), YoloAnchors(strides=(16, 32), wh=(((1, 1),), ((1, 1),)))),
    ],
)
def test_pairs_outside_the_table_are_refused(box: Box, anchors: Anchors | None) -> None:
    with pytest.raises(InvalidInput, match="no meaning"):
        heads_of([[0, 0, 1, 1]] * 10, box, anchors)


def test_a_grid_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="anchor grid"):
        heads_of([[0, 0, 1, 1]] * 9, Box(format="ltrb", units="stride"), GRID)


def test_yolo_anchors_without_a_shape_list_for_each_stride_are_refused() -> None:
    anchors = YoloAnchors(strides=(16, 32), wh=(((1, 1),),))
    with pytest.raises(InvalidInput, match="fit together"):
        heads_of([[0, 0, 1, 1]] * 10, Box(format="cxcywh"), anchors)


RNG = np.random.default_rng(7)
BOXES = RNG.uniform(0, 30, (1, 10, 4)).astype(np.float32)
SCORES = RNG.uniform(0, 1, (1, 10, 2)).astype(np.float32)
XYXY = Box(format="xyxy")
PLAIN = bind(
    out("b", "boxes", BOXES, ("anchor", "coord"), box=XYXY),
    out("s", "scores", SCORES, ("anchor", "class")),
)


def test_axes_in_any_order_mean_the_same() -> None:
    plain = canonical_heads({"b": BOXES, "s": SCORES}, contract(), PLAIN)
    b, s = BOXES.transpose(0, 2, 1), SCORES.transpose(0, 2, 1)
    turned = bind(
        out("b", "boxes", b, ("coord", "anchor"), box=XYXY),
        out("s", "scores", s, ("class", "anchor")),
    )
    same = canonical_heads({"b": b, "s": s}, contract(), turned)
    np.testing.assert_array_equal(same.boxes, plain.boxes)
    np.testing.assert_array_equal(same.scores, plain.scores)


def test_slices_of_one_tensor_mean_the_same_as_two_tensors() -> None:
    both = np.concatenate([BOXES, SCORES], axis=2).transpose(0, 2, 1)
    bound = bind(
        out("o", "boxes", both, ("channel", "anchor"), box=XYXY, part=(0, 4)),
        out("o", "scores", both, ("channel", "anchor"), part=(4, 6)),
    )
    heads = canonical_heads({"o": both}, contract(), bound)
    np.testing.assert_array_equal(heads.boxes, BOXES[0])
    np.testing.assert_array_equal(heads.scores, SCORES[0])


@pytest.mark.parametrize("nchw", [True, False])
def test_levels_are_joined_in_the_order_of_the_strides(nchw: bool) -> None:
    ltrb = Box(format="ltrb", units="stride")
    values = RNG.uniform(0, 3, (1, 10, 4)).astype(np.float32)
    whole = bind(
        out("b", "boxes", values, ("anchor", "coord"), box=ltrb),
        out("s", "scores", SCORES, ("anchor", "class")),
        anchors=GRID,
    )
    expected = canonical_heads({"b": values, "s": SCORES}, contract(), whole)

    tensors: dict[str, NDArray[Any]] = {}
    outputs: list[OutputBinding] = []
    cells = ((1, slice(8, 10), (1, 2)), (0, slice(0, 8), (2, 4)))  # the coarse level first
    for level, rows, (height, width) in cells:
        for role, array in (("boxes", values), ("scores", SCORES)):
            grid = array[:, rows].reshape(1, height, width, -1)
            value: Axis = "coord" if role == "boxes" else "class"
            axes: tuple[Axis, ...] = ("y", "x", value)
            if nchw:
                grid, axes = grid.transpose(0, 3, 1, 2), (value, "y", "x")
            name = f"{role}{level}"
            tensors[name] = grid
            box = ltrb if role == "boxes" else None
            kind: Role = "boxes" if role == "boxes" else "scores"
            outputs.append(out(name, kind, grid, axes, box=box, level=level))
    heads = canonical_heads(tensors, contract(), bind(*outputs, anchors=GRID))
    np.testing.assert_array_equal(heads.boxes, expected.boxes)
    np.testing.assert_array_equal(heads.scores, expected.scores)


def test_yolov5_levels_with_three_shapes_a_cell() -> None:
    anchors = YoloAnchors(strides=(32,), wh=(((10, 20), (30, 40), (50, 60)),))
    raw = RNG.normal(0, 1, (1, 3, 1, 2, 7)).astype(np.float32)
    axes: tuple[Axis, ...] = ("anchor", "y", "x", "channel")
    moved = raw.transpose(0, 2, 3, 1, 4)
    moved_axes: tuple[Axis, ...] = ("y", "x", "anchor", "channel")

    def heads(array: NDArray[Any], names: tuple[Axis, ...]) -> Heads:
        cx = Box(format="cxcywh")
        bound = bind(
            out("o", "boxes", array, names, box=cx, part=(0, 4), activation="sigmoid", level=0),
            out("o", "objectness", array, names, part=(4, 5), activation="sigmoid", level=0),
            out("o", "scores", array, names, part=(5, 7), activation="sigmoid", level=0),
            anchors=anchors,
        )
        return canonical_heads({"o": array}, contract(), bound)

    first, second = heads(raw, axes), heads(moved, moved_axes)
    np.testing.assert_array_equal(first.boxes, second.boxes)
    np.testing.assert_array_equal(first.scores, second.scores)
    # By hand: shape 2, column 1 (row 5 of 6).
    t = 1 / (1 + np.exp(-raw[0, 2, 0, 1].astype(np.float64)))
    np.testing.assert_allclose(first.scores[5], t[5:] * t[4], rtol=1e-6)
    centre_x = (2 * t[0] - 0.5 + 1) * 32
    width = (2 * t[2]) ** 2 * 50
    np.testing.assert_allclose(first.boxes[5, 0], centre_x - width / 2, rtol=1e-5)


def test_objectness_multiplies_the_scores() -> None:
    objectness = RNG.uniform(0, 1, (1, 10)).astype(np.float32)
    bound = bind(*PLAIN.outputs, out("o", "objectness", objectness, ("anchor",)))
    heads = canonical_heads({"b": BOXES, "s": SCORES, "o": objectness}, contract(), bound)
    np.testing.assert_array_equal(heads.scores, SCORES[0] * objectness[0][:, None])


def test_quantised_outputs_are_dequantised() -> None:
    boxes = np.array([[[-128, 0, 127, 10]]], np.int8)
    scores = np.array([[[0, 255]]], np.uint8)
    bound = bind(
        out(
            "b",
            "boxes",
            boxes,
            ("anchor", "coord"),
            box=XYXY,
            dtype="int8",
            quant=Quant(scale=0.25, zero_point=-128),
        ),
        out(
            "s",
            "scores",
            scores,
            ("anchor", "class"),
            dtype="uint8",
            quant=Quant(scale=1 / 256, zero_point=0),
        ),
    )
    heads = canonical_heads({"b": boxes, "s": scores}, contract(), bound)
    np.testing.assert_array_equal(heads.boxes, floats([[0, 32, 63.75, 34.5]]))
    np.testing.assert_array_equal(heads.scores, floats([[0, 255 / 256]]))
    assert heads.boxes.dtype == heads.scores.dtype == np.float32


def test_float16_outputs_become_float32() -> None:
    half = SCORES.astype(np.float16)
    bound = bind(PLAIN.outputs[0], out("s", "scores", half, ("anchor", "class"), dtype="float16"))
    heads = canonical_heads({"b": BOXES, "s": half}, contract(), bound)
    assert heads.scores.dtype == np.float32
    np.testing.assert_array_equal(heads.scores, half[0].astype(np.float32))


@pytest.mark.parametrize(
    ("logit", "probability"), [(0.0, 0.5), (200.0, 1.0), (-200.0, 0.0), (-20.0, 2.0611537e-09)]
)
def test_sigmoid_is_stable(logit: float, probability: float) -> None:
    logits = np.full((1, 10, 2), logit, np.float32)
    bound = bind(
        PLAIN.outputs[0], out("s", "scores", logits, ("anchor", "class"), activation="sigmoid")
    )
    scores = canonical_heads({"b": BOXES, "s": logits}, contract(), bound).scores
    np.testing.assert_allclose(scores, probability, rtol=1e-6)
    assert scores.dtype == np.float32


def test_softmax_is_over_the_classes_of_the_slice() -> None:
    logits = np.tile(floats([5, 1000, 1000 + math.log(3)]), (1, 10, 1)).transpose(0, 2, 1)
    bound = bind(
        PLAIN.outputs[0],
        out("s", "scores", logits, ("channel", "anchor"), part=(1, 3), activation="softmax"),
    )
    scores = canonical_heads({"b": BOXES, "s": logits}, contract(), bound).scores
    np.testing.assert_allclose(scores, np.tile([0.25, 0.75], (10, 1)), rtol=1e-4)


def test_an_image_of_a_batch() -> None:
    b, s = np.concatenate([BOXES, BOXES + 1]), np.concatenate([SCORES, SCORES / 2])
    bound = bind(
        out("b", "boxes", b, ("anchor", "coord"), box=XYXY),
        out("s", "scores", s, ("anchor", "class")),
        batch=2,
    )
    heads = canonical_heads({"b": b, "s": s}, contract(), bound, index=1)
    np.testing.assert_array_equal(heads.boxes, BOXES[0] + 1)
    np.testing.assert_array_equal(heads.scores, SCORES[0] / 2)


def refused(
    outputs: dict[str, NDArray[Any]], bound: Binding, message: str, labels: Any = LABELS
) -> None:
    with pytest.raises(InvalidInput, match=message):
        canonical_heads(outputs, contract(labels), bound)


def test_swapped_outputs_are_refused() -> None:
    refused({"b": SCORES, "s": BOXES}, PLAIN, "another shape")


def test_a_missing_output_is_named() -> None:
    refused({"b": BOXES}, PLAIN, "'s' is missing")


def test_labels_that_do_not_fit_are_refused() -> None:
    refused({"b": BOXES, "s": SCORES}, PLAIN, "labels", labels=("a", "b", "c"))


def test_bindings_that_do_not_describe_a_head_are_refused() -> None:
    tensors: dict[str, NDArray[Any]] = {"b": BOXES, "s": SCORES}
    boxes, scores = PLAIN.outputs
    refused(tensors, bind(boxes), "carry scores")
    refused(tensors, bind(boxes, boxes, scores), "carry boxes")
    refused(tensors, bind(out("b", "boxes", BOXES, ("anchor", "coord")), scores), "what its boxes")
    one_axis = out("b", "boxes", BOXES, ("anchor",), box=XYXY)
    refused(tensors, bind(one_axis, scores), "axes")
    beyond = out("s", "scores", SCORES, ("anchor", "class"), part=(1, 3))
    refused(tensors, bind(boxes, beyond), "outside")
    swapped = out("s", "scores", SCORES, ("class", "anchor"))
    refused(tensors, bind(boxes, swapped), "number of anchors")
    narrow = out("b", "boxes", BOXES, ("anchor", "coord"), box=XYXY, part=(0, 3))
    refused(tensors, bind(narrow, scores), "4 value")
    wide = out("s", "objectness", SCORES, ("anchor", "class"))
    refused(tensors, bind(boxes, scores, wide), "1 value")


@pytest.mark.parametrize("role", ["keypoints", "heatmap", "mask"])
def test_roles_of_later_versions_are_unsupported(role: Role) -> None:
    bound = bind(*PLAIN.outputs, out("x", role, SCORES, ("anchor", "class")))
    with pytest.raises(Unsupported, match=role):
        canonical_heads({"b": BOXES, "s": SCORES, "x": SCORES}, contract(), bound)


def test_probabilities_of_a_classifier_in_any_layout() -> None:
    logits = floats([[1, 2]])
    flat = bind(out("p", "scores", logits, ("class",), activation="softmax"))
    expected = np.exp([1, 2]) / np.exp([1, 2]).sum()
    found = canonical_probabilities({"p": logits}, contract(), flat)
    np.testing.assert_allclose(found, expected, rtol=1e-6)

    spatial = logits.reshape(1, 2, 1, 1)
    nchw = bind(out("p", "scores", spatial, ("class", "y", "x"), activation="softmax"))
    again = canonical_probabilities({"p": spatial}, contract(), nchw)
    np.testing.assert_array_equal(again, found)


def test_a_map_of_classes_is_no_classifier() -> None:
    grid = np.zeros((1, 2, 3, 2), np.float32)
    bound = bind(out("p", "scores", grid, ("y", "x", "class")))
    with pytest.raises(InvalidInput, match="one row"):
        canonical_probabilities({"p": grid}, contract(), bound)


def test_roles_by_task() -> None:
    tensors: dict[str, NDArray[Any]] = {"b": BOXES, "s": SCORES}
    assert set(canonical_roles(tensors, contract(), PLAIN)) == {"boxes", "scores"}

    logits = floats([[1, 2]])
    flat = bind(out("p", "scores", logits, ("class",)))
    roles = canonical_roles({"p": logits}, contract(task="classify"), flat)
    np.testing.assert_array_equal(roles["probabilities"], [1, 2])


def test_raw_roles_mean_the_same_in_both_layouts() -> None:
    nchw = RNG.normal(size=(1, 3, 4, 5)).astype(np.float32)
    nhwc = np.ascontiguousarray(nchw.transpose(0, 2, 3, 1))
    raw = contract(task="raw", labels=())
    first = canonical_roles({"m": nchw}, raw, bind(out("m", "raw", nchw, ("channel", "y", "x"))))
    second = canonical_roles({"m": nhwc}, raw, bind(out("m", "raw", nhwc, ("y", "x", "channel"))))
    assert set(first) == set(second) == {"m"}
    np.testing.assert_array_equal(first["m"], second["m"])


def test_raw_roles_without_axes_stay_as_they_are() -> None:
    value = RNG.integers(-9, 9, (1, 3, 4)).astype(np.int8)
    bound = bind(out("m", "raw", value, (), dtype="int8", quant=Quant(scale=0.5, zero_point=1)))
    roles = canonical_roles({"m": value}, contract(task="raw", labels=()), bound)
    np.testing.assert_array_equal(roles["m"], (value[0].astype(np.float32) - 1) / 2)
