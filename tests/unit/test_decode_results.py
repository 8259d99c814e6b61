"""Decode policies, labels and records on heads small enough to follow by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding, Quant
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Task
from phoneproof.core.errors import InvalidInput
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.decode.decode import app_policy, decode, decode_heads, metric_policy
from phoneproof.decode.heads import Heads
from phoneproof.decode.labels import label_text, top_k
from phoneproof.decode.records import RawRecord, ResultRecord, TensorRecord, from_record, to_record
from phoneproof.decode.results import Classification, Detections, RawOutputs, Results

Labels = tuple[str | None, ...]


def contract(
    policy: Decode | None = None, labels: Labels = ("a", "b"), task: Task = "detect"
) -> Contract:
    image = ImageInput(geometry=(), size=(100, 100), scale=1.0, mean=(0, 0, 0), std=(1, 1, 1))
    return Contract(
        name="t", task=task, inputs=(image,), labels=labels, decode=policy or Decode(nms=Nms())
    )


def binding(*outputs: OutputBinding, **more: Any) -> Binding:
    image = InputBinding(tensor="image", shape=(1, 100, 100, 3), layout="NHWC")
    return Binding(contract="", format="tflite", inputs=(image,), outputs=outputs, **more)


def same(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    return boxes


def heads(boxes: Any, scores: Any) -> Heads:
    return Heads(boxes=np.array(boxes, np.float32), scores=np.array(scores, np.float32))


def found(
    what: Heads, policy: Decode, labels: Labels = ("a", "b"), **more: Any
) -> list[tuple[int, float]]:
    results = decode_heads(what, contract(policy, labels), binding(**more), to_original=same)
    return [
        (int(c), round(float(s), 3)) for c, s in zip(results.classes, results.scores, strict=True)
    ]


APART = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
STACKED = [[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 9]]


def test_a_score_must_be_greater_than_the_confidence() -> None:
    what = heads(APART, [[0.25, 0], [np.nextafter(np.float32(0.25), np.float32(1)), 0], [0.1, 0]])
    assert found(what, Decode(confidence=0.25, nms=Nms())) == [(0, 0.25)]


def test_one_label_an_anchor_or_each_over_the_threshold() -> None:
    what = heads(APART[:1], [[0.6, 0.7]])
    assert found(what, Decode(nms=Nms())) == [(1, 0.7)]
    assert found(what, Decode(nms=Nms(), multi_label=True)) == [(1, 0.7), (0, 0.6)]


def test_of_equal_classes_the_first_wins() -> None:
    assert found(heads(APART[:1], [[0.6, 0.6]]), Decode(nms=Nms())) == [(0, 0.6)]


def test_equal_scores_keep_the_order_of_anchors_and_classes() -> None:
    what = heads(APART, [[0.5, 0.5], [0.5, 0.6], [0.6, 0.5]])
    expected = [(1, 0.6), (0, 0.6), (0, 0.5), (1, 0.5), (0, 0.5), (1, 0.5)]
    assert found(what, Decode(nms=Nms(), multi_label=True)) == expected
    results = decode_heads(
        what, contract(Decode(nms=Nms(), multi_label=True)), binding(), to_original=same
    )
    assert results.boxes[:, 0].tolist() == [20, 40, 0, 0, 20, 40]


def test_null_labels_are_never_found() -> None:
    what = heads(APART, [[0.9, 0.3, 0.2], [0.9, 0.1, 0.4], [0.9, 0.1, 0.1]])
    assert found(what, Decode(nms=Nms()), (None, "a", "b")) == [(2, 0.4), (1, 0.3)]
    assert found(what, Decode(nms=Nms()), ("a", None, "b"))[0] == (0, 0.9)
    assert found(what, Decode(nms=Nms()), (None, None, None)) == []


def test_labels_shifted_by_one_are_noticed() -> None:
    what = heads(APART, [[0.9, 0.3, 0.2], [0.9, 0.1, 0.4], [0.9, 0.1, 0.1]])
    right = found(what, Decode(nms=Nms()), (None, "a", "b"))
    assert found(what, Decode(nms=Nms()), ("a", "b", None)) != right


def test_without_nms_boxes_are_final() -> None:
    what = heads(STACKED, [[0.5, 0], [0.9, 0], [0.1, 0]])
    assert found(what, Decode(nms=None)) == [(0, 0.9), (0, 0.5)]
    assert found(what, Decode(nms=Nms(max_detections=1)), nms_in_file=True) == [(0, 0.9)]
    assert found(what, Decode(nms=Nms()), nms_in_file=True) == [(0, 0.9), (0, 0.5)]
    assert found(what, Decode(nms=Nms())) == [(0, 0.9)]


def test_final_boxes_are_at_most_three_hundred() -> None:
    what = heads(np.zeros((400, 4)), np.linspace(0.5, 0.9, 800).reshape(400, 2))
    kept = found(what, Decode(nms=None))
    assert len(kept) == 300
    assert kept[0] == (1, 0.9)


def test_pre_top_k_limits_the_candidates() -> None:
    what = heads([*STACKED[:2], [50, 50, 60, 60]], [[0.9, 0], [0.8, 0], [0.7, 0]])
    assert found(what, Decode(nms=Nms())) == [(0, 0.9), (0, 0.7)]
    assert found(what, Decode(nms=Nms(pre_top_k=2))) == [(0, 0.9)]


def test_what_is_not_finite_is_not_found() -> None:
    what = heads(
        [[0, 0, np.inf, 10], [0, 0, 10, 10], [0, 0, 10, 10]],
        [[0.9, 0], [np.nan, 0.9], [0.5, 0]],
    )
    assert found(what, Decode(nms=Nms())) == [(0, 0.5)]


def test_nothing_over_the_threshold() -> None:
    results = decode_heads(heads(APART, np.zeros((3, 2))), contract(), binding(), to_original=same)
    assert results.boxes.shape == (0, 4)
    assert results.scores.dtype == np.float32
    assert results.classes.dtype == np.int64


def test_boxes_go_back_to_the_original() -> None:
    results = decode_heads(
        heads(APART[1:2], [[0.9, 0]]), contract(), binding(), to_original=lambda boxes: boxes * 2
    )
    assert results.boxes.tolist() == [[40, 0, 60, 20]]


def test_the_override_of_the_binding_comes_first() -> None:
    override = Decode(confidence=0.8)
    assert app_policy(contract(), binding(decode_override=override)) == override
    assert app_policy(contract(), binding()) == contract().decode


def test_the_decode_of_map() -> None:
    policy = metric_policy(contract(Decode(confidence=0.4, nms=Nms(iou=0.3, class_agnostic=True))))
    assert policy.confidence == 0.001
    assert policy.multi_label
    assert policy.nms == Nms(iou=0.7, class_agnostic=False, pre_top_k=30000, max_detections=300)
    assert metric_policy(contract(Decode(nms=None))).nms is None


def whole() -> tuple[dict[str, NDArray[Any]], Binding]:
    boxes = np.array([APART], np.float32)
    scores = np.array([[[0.9, 0], [0, 0.7], [0, 0]]], np.float32)
    xyxy = Box(format="xyxy")
    bound = binding(
        OutputBinding(
            tensor="b", role="boxes", shape=boxes.shape, axes=("anchor", "coord"), box=xyxy
        ),
        OutputBinding(tensor="s", role="scores", shape=scores.shape, axes=("anchor", "class")),
    )
    return {"b": boxes, "s": scores}, bound


def test_decode_of_a_detector() -> None:
    outputs, bound = whole()
    results = decode(outputs, contract(), bound, to_original=same)
    assert isinstance(results, Detections)
    assert results.classes.tolist() == [0, 1]
    stricter = decode(outputs, contract(), bound, to_original=same, policy=Decode(confidence=0.8))
    assert isinstance(stricter, Detections)
    assert stricter.classes.tolist() == [0]


def test_decode_of_a_classifier_and_its_best_classes() -> None:
    values = np.array([[0.5, 0.1, 0.2, 0.2]], np.float32)
    bound = binding(OutputBinding(tensor="p", role="scores", shape=values.shape, axes=("class",)))
    what = contract(labels=(None, "x", "y", "z"), task="classify")
    results = decode({"p": values}, what, bound, to_original=same)
    assert isinstance(results, Classification)
    assert [(one.index, one.label) for one in top_k(results, what)] == [
        (2, "y"),
        (3, "z"),
        (1, "x"),
    ]
    assert label_text(contract(labels=()), 7) == "class 7"


def test_decode_of_raw_outputs() -> None:
    values = np.array([[[2, 4]]], np.int8)
    bound = binding(
        OutputBinding(
            tensor="m",
            role="raw",
            shape=values.shape,
            axes=("channel", "x"),
            dtype="int8",
            quant=Quant(scale=0.5, zero_point=2),
        )
    )
    results = decode({"m": values}, contract(task="raw", labels=()), bound, to_original=same)
    assert isinstance(results, RawOutputs)
    name, array = results.tensors[0]
    assert name == "m"
    assert array.tolist() == [[0, 1]]


EXAMPLES: list[Results] = [
    Classification(probabilities=np.array([0.1, 0.7, 0.2], np.float32)),
    Detections(
        boxes=np.array([[0.1, 0.2, 30.3, 40.4]], np.float32),
        scores=np.array([0.9], np.float32),
        classes=np.array([1], np.int64),
    ),
    Detections(
        boxes=np.empty((0, 4), np.float32),
        scores=np.empty(0, np.float32),
        classes=np.empty(0, np.int64),
    ),
    RawOutputs(tensors=(("m", np.array([[0.1], [1e-30]], np.float32)),)),
]


def arrays(results: Results) -> list[NDArray[Any]]:
    if isinstance(results, Classification):
        return [results.probabilities]
    if isinstance(results, Detections):
        return [results.boxes, results.scores, results.classes]
    return [array for _, array in results.tensors]


@pytest.mark.parametrize("results", EXAMPLES)
def test_records_come_back_bit_for_bit(results: Results) -> None:
    record = to_record(results, contract(labels=("a", "b", None)))
    text = pretty_bytes(record)
    read: ResultRecord = parse(text, ResultRecord, what="the record")  # type: ignore[arg-type]
    assert read == record
    again = from_record(read)
    assert type(again) is type(results)
    for first, second in zip(arrays(results), arrays(again), strict=True):
        assert first.dtype == second.dtype
        np.testing.assert_array_equal(first, second)


def test_a_record_names_labels() -> None:
    text = pretty_bytes(to_record(EXAMPLES[1], contract())).decode()
    assert '"label": "b"' in text
    assert '"kind": "detections"' in text


def test_a_nan_cannot_be_recorded() -> None:
    broken = Classification(probabilities=np.array([np.nan], np.float32))
    with pytest.raises(InvalidInput, match="NaN"):
        to_record(broken, contract(labels=("a",)))


def test_a_record_that_does_not_fill_its_shape_is_refused() -> None:
    record = RawRecord(tensors=(TensorRecord(name="m", shape=(2, 2), values=(1.0,)),))
    with pytest.raises(InvalidInput, match="'m' is damaged"):
        from_record(record)
