"""Heads recognised from shapes and operators alone."""

from __future__ import annotations

import pytest

from phoneproof.capture.heads import Leaf, ModelFacts, OutputFacts, recognise_head, unfit_for
from phoneproof.core.binding import GridAnchors
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.tensors import TensorSpec


def _output(
    shape: tuple[int, ...],
    *leaves: Leaf,
    name: str = "out",
    exponential: bool = False,
    largest_constant: float | None = None,
) -> OutputFacts:
    return OutputFacts(
        spec=TensorSpec(name=name, shape=shape, dtype="float32"),
        leaves=leaves,
        exponential=exponential,
        largest_constant=largest_constant,
    )


def _facts(*outputs: OutputFacts, size: tuple[int, int] | None = None) -> ModelFacts:
    return ModelFacts(outputs=outputs, size=size)


@pytest.mark.parametrize(
    ("op", "left"), [("Softmax", "none"), ("Sigmoid", "none"), ("Gemm", "softmax")]
)
def test_a_class_row_says_what_is_left_to_apply(op: str, left: str) -> None:
    guess = recognise_head(_facts(_output((1, 10), Leaf(op=op))))
    assert guess.task == "classify"
    assert guess.head.outputs[0].activation == left
    assert guess.preset == ""
    assert any(op in finding.reason for finding in guess.findings)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((1, 10, 1, 1), ("class", "y", "x")), ((-1, 1, 1, 10), ("y", "x", "class"))],
)
def test_a_class_row_may_keep_its_spatial_axes(
    shape: tuple[int, ...], axes: tuple[str, ...]
) -> None:
    guess = recognise_head(_facts(_output(shape, Leaf(op="Conv"))))
    assert guess.head.outputs[0].axes == axes
    assert guess.head.outputs[0].shape[0] == 1


@pytest.mark.parametrize("op", ["Div", "LpNormalization", "Tanh", "Relu"])
def test_a_vector_that_is_no_probability_stays_raw(op: str) -> None:
    assert recognise_head(_facts(_output((1, 512), Leaf(op=op)))).task == "raw"


_ULTRALYTICS = (Leaf(op="Mul", width=4), Leaf(op="Sigmoid", width=80))


def test_ultralytics_head() -> None:
    guess = recognise_head(_facts(_output((1, 84, 8400), *_ULTRALYTICS), size=(640, 640)))
    boxes, scores = guess.head.outputs
    assert (guess.task, guess.preset) == ("detect", "ultralytics.detect")
    assert (boxes.slice, scores.slice) == ((0, 4), (4, 84))
    assert boxes.axes == ("coord", "anchor")
    assert boxes.box is not None
    assert (boxes.box.format, boxes.box.units) == ("cxcywh", "pixels")


@pytest.mark.parametrize(
    ("cells", "task"),
    [(13 * 9 + 7 * 5 + 4 * 3, "detect"), (12 * 9 + 6 * 4 + 3 * 2, "detect"), (164 - 1, "raw")],
    ids=["rounded_up", "rounded_down", "neither"],
)
def test_grids_of_a_size_that_strides_do_not_divide(cells: int, task: str) -> None:
    output = _output((1, 84, cells), *_ULTRALYTICS)
    assert recognise_head(_facts(output, size=(100, 72))).task == task


@pytest.mark.parametrize(
    ("flags", "columns"),
    [((False, True), (4, 5)), ((True, False), (5, 4)), ((False, False), None)],
)
def test_the_class_column_is_the_whole_number(
    flags: tuple[bool, bool], columns: tuple[int, int] | None
) -> None:
    leaves = (
        Leaf(op="GatherElements", width=4, joins=("Sub", "Add")),
        *(Leaf(op="Gather", width=1, integer=flag) for flag in flags),
    )
    guess = recognise_head(_facts(_output((1, 300, 6), *leaves, largest_constant=32.0)))
    assert (guess.task == "detect") == (columns is not None)
    if columns is not None:
        first = {o.role: o.slice[0] for o in guess.head.outputs if o.slice is not None}
        assert (first["scores"], first["classes"]) == columns
        assert guess.head.nms_in_file


def test_one_level_of_another_stride_is_no_pyramid() -> None:
    """Two grids of one stride, or a grid of none, are no levels."""

    def level(name: str, *grid: int) -> OutputFacts:
        leaves = (Leaf(op="Conv", width=64), Leaf(op="Conv", width=3))
        return _output((1, 67, *grid), *leaves, name=name)

    right = _facts(level("a", 8, 8), level("b", 4, 4), size=(64, 64))
    wrong = _facts(level("a", 8, 8), level("b", 5, 7), size=(64, 64))
    twice = _facts(level("a", 8, 8), level("b", 8, 8), size=(64, 64))
    assert [recognise_head(f).task for f in (right, wrong, twice)] == ["detect", "raw", "raw"]


@pytest.mark.parametrize(
    ("output", "size"),
    [
        (_output((1, 84, 8400), *_ULTRALYTICS), (416, 416)),
        (_output((1, 84, 8400), Leaf(op="Mul", width=4), Leaf(op="Conv", width=80)), (640, 640)),
        (_output((1, 135, 8400), *_ULTRALYTICS, Leaf(op="Mul", width=51)), (640, 640)),
    ],
    ids=["other_cell_count", "no_sigmoid", "keypoints"],
)
def test_what_only_looks_like_ultralytics_stays_raw(
    output: OutputFacts, size: tuple[int, int]
) -> None:
    assert recognise_head(_facts(output, size=size)).task == "raw"


def _yolox(regression: str, ending: str) -> tuple[Leaf, ...]:
    level = (
        Leaf(op=regression, width=4),
        Leaf(op=ending, width=1),
        Leaf(op=ending, width=80),
    )
    return level * 3


@pytest.mark.parametrize(("ending", "left"), [("Sigmoid", "none"), ("Conv", "sigmoid")])
def test_yolox_raw_grid(ending: str, left: str) -> None:
    output = _output((1, 3549, 85), *_yolox("Conv", ending))
    guess = recognise_head(_facts(output, size=(416, 416)))
    boxes, objectness, scores = guess.head.outputs
    assert (guess.task, guess.preset) == ("detect", "yolox")
    assert guess.head.anchors == GridAnchors(strides=(8, 16, 32), offset=0.0)
    assert boxes.box is not None
    assert boxes.box.units == "stride"
    assert (objectness.slice, scores.slice) == ((4, 5), (5, 85))
    assert (boxes.activation, objectness.activation, scores.activation) == ("none", left, left)


def test_yolox_whose_boxes_are_computed_is_not_taken_for_raw() -> None:
    output = _output((1, 3549, 85), *_yolox("Mul", "Sigmoid"), exponential=True)
    assert recognise_head(_facts(output, size=(416, 416))).task == "raw"


@pytest.mark.parametrize(("constant", "units"), [(2.0, "fraction"), (320.0, "pixels")])
def test_boxes_beside_scores(constant: float, units: str) -> None:
    scores = _output((1, 4420, 2), Leaf(op="Softmax"), name="scores")
    boxes = _output(
        (1, 4420, 4),
        Leaf(op="Sub"),
        Leaf(op="Add"),
        name="boxes",
        exponential=True,
        largest_constant=constant,
    )
    guess = recognise_head(_facts(scores, boxes))
    found = {o.role: o for o in guess.head.outputs}
    assert guess.task == "detect"
    assert found["scores"].tensor == "scores"
    assert found["boxes"].box is not None
    assert (found["boxes"].box.format, found["boxes"].box.units) == ("xyxy", units)
    assert any("background" in finding.value for finding in guess.findings)


def test_boxes_without_their_decode_stay_raw() -> None:
    scores = _output((1, 4420, 2), Leaf(op="Softmax"), name="scores")
    boxes = _output((1, 4420, 4), Leaf(op="Conv"), name="boxes")
    assert recognise_head(_facts(scores, boxes)).task == "raw"


def test_nms_inside_is_never_a_known_head() -> None:
    output = _output((1, 84, 8400), *_ULTRALYTICS)
    guess = recognise_head(ModelFacts(outputs=(output,), size=(640, 640), nms_inside=True))
    assert guess.task == "raw"
    assert guess.head.nms_in_file


def test_the_refusal_names_the_shapes() -> None:
    spec = TensorSpec(name="mask", shape=(1, 21, 65, 65), dtype="float32")
    image = TensorSpec(name="x", shape=(1, 3, 513, 513), dtype="float32")
    inspection = Inspection(
        format="onnx",
        sha256="",
        bytes=0,
        inputs=(image,),
        outputs=(spec,),
        layout="NCHW",
        size=(513, 513),
        task="raw",
        head=None,
        evidence=Evidence(framework="onnx"),
    )
    error = unfit_for("detect", inspection)
    assert "mask [1, 21, 65, 65]" in error.found
    assert error.next_step
