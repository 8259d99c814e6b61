"""Final detections: the file chose the boxes, and gives each the number of its class."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import (
    Axis,
    Binding,
    Box,
    DType,
    InputBinding,
    OutputBinding,
    Role,
)
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.errors import InvalidInput
from phoneproof.core.presets import preset_input
from phoneproof.decode.decode import decode
from phoneproof.decode.heads import canonical_heads, canonical_roles
from phoneproof.decode.results import Detections, Float

SIZE = (100, 200)
LABELS = (None, "cat", "dog")
Tensors = dict[str, NDArray[Any]]

BOXES = np.array(
    [[10, 20, 30, 40], [50, 10, 90, 60], [0, 0, 20, 20], [5, 5, 6, 6], [7, 7, 9, 9]], np.float32
)
SCORES = np.array([0.9, 0.8, 0.3, 0.7, 0.6], np.float32)
CLASSES = np.array([1, 0, 1, -1, 0], np.float32)


def contract(labels: tuple[str | None, ...] = LABELS) -> Contract:
    image = preset_input("yolox", SIZE)
    return Contract(name="c", task="detect", inputs=(image,), labels=labels, decode=Decode())


def bind(*outputs: OutputBinding) -> Binding:
    image = InputBinding(tensor="image", shape=(1, 3, *SIZE), layout="NCHW")
    return Binding(contract="", format="onnx", inputs=(image,), outputs=outputs, nms_in_file=True)


def joined(order: str = "bsc") -> tuple[Tensors, Binding]:
    """[1, 5, 6] with its columns in an order, and the binding that says so."""
    columns = {"b": BOXES, "s": SCORES[:, None], "c": CLASSES[:, None]}
    tensor = np.hstack([columns[letter] for letter in order])[None]
    roles: dict[str, Role] = {"b": "boxes", "s": "scores", "c": "classes"}
    axes: tuple[Axis, ...] = ("anchor", "channel")
    outputs, first = [], 0
    for letter in order:
        end = first + columns[letter].shape[1]
        outputs.append(
            OutputBinding(
                tensor="o",
                role=roles[letter],
                shape=tensor.shape,
                axes=axes,
                slice=(first, end),
                class_offset=1 if letter == "c" else 0,
                box=Box(format="xyxy") if letter == "b" else None,
            )
        )
        first = end
    return {"o": tensor}, bind(*outputs)


def quartet(count: float = 3, dtype: DType = "float32") -> tuple[Tensors, Binding]:
    """TFLite_Detection_PostProcess: boxes yxyx in fractions, classes, scores, count."""
    classes = np.abs(CLASSES)
    tensors: Tensors = {
        "b": (BOXES[:, [1, 0, 3, 2]] / np.array([100, 200, 100, 200], np.float32))[None],
        "c": classes[None].astype(dtype),
        "s": SCORES[None].copy(),
        "n": np.array([count], np.float32),
    }

    def out(name: str, role: Role, axes: tuple[Axis, ...], box: Box | None = None) -> OutputBinding:
        array = tensors[name]
        return OutputBinding(
            tensor=name,
            role=role,
            shape=array.shape,
            axes=axes,
            box=box,
            dtype=dtype if name == "c" else "float32",
            class_offset=1 if role == "classes" else 0,
        )

    return tensors, bind(
        out("b", "boxes", ("anchor", "coord"), Box(format="yxyx", units="fraction")),
        out("c", "classes", ("anchor",)),
        out("s", "scores", ("anchor",)),
        out("n", "count", ()),
    )


def same(boxes: Float) -> Float:
    return boxes


@pytest.mark.parametrize("order", ["bsc", "bcs", "csb"])
def test_columns_in_any_order(order: str) -> None:
    tensors, binding = joined(order)
    heads = canonical_heads(tensors, contract(), binding)
    assert heads.final
    np.testing.assert_array_equal(
        heads.scores,
        np.array([[0, 0, 0.9], [0, 0.8, 0], [0, 0, 0.3], [0, 0, 0], [0, 0.6, 0]], np.float32),
    )
    np.testing.assert_array_equal(heads.boxes, BOXES * np.array([[1], [1], [1], [0], [1]]))


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32"])
def test_the_quartet_stops_at_its_count(dtype: DType) -> None:
    tensors, binding = quartet(3, dtype)
    heads = canonical_heads(tensors, contract(), binding)
    expected = np.array([[0, 0, 0.9], [0, 0.8, 0], [0, 0, 0.3]], np.float32)
    np.testing.assert_array_equal(heads.scores[:3], expected)
    np.testing.assert_array_equal(heads.scores[3:], 0)
    np.testing.assert_allclose(heads.boxes[:3], BOXES[:3], atol=1e-5)
    np.testing.assert_array_equal(heads.boxes[3:], 0)


def test_rows_past_the_count_may_hold_anything() -> None:
    tensors, binding = quartet(2)
    tensors["c"][0, 2:] = np.nan
    tensors["s"][0, 2:] = np.nan
    heads = canonical_heads(tensors, contract(), binding)
    assert (heads.scores != 0).sum() == 2


def test_final_detections_are_decoded_without_another_nms() -> None:
    tensors, binding = joined()
    tensors["o"][0, 4, :4] = tensors["o"][0, 1, :4]  # two of one class at one place
    found = decode(tensors, contract(), binding, to_original=same)
    assert isinstance(found, Detections)
    assert found.classes.tolist() == [2, 1, 1, 2]
    np.testing.assert_array_equal(found.scores, np.array([0.9, 0.8, 0.6, 0.3], np.float32))


def test_a_class_offset_of_one_less_is_another_label() -> None:
    """The control of the offset: background instead of cat."""
    tensors, binding = joined()
    outputs = tuple(msgspec.structs.replace(o, class_offset=0) for o in binding.outputs)
    wrong = msgspec.structs.replace(binding, outputs=outputs)
    right = decode(tensors, contract(), binding, to_original=same)
    other = decode(tensors, contract(), wrong, to_original=same)
    assert isinstance(right, Detections)
    assert isinstance(other, Detections)
    assert right.classes.tolist() == [2, 1, 1, 2]
    assert other.classes.tolist() == [1, 1]


def test_a_class_outside_the_labels_is_refused() -> None:
    tensors, binding = joined()
    outputs = tuple(msgspec.structs.replace(o, class_offset=2) for o in binding.outputs)
    with pytest.raises(InvalidInput, match="outside the labels") as caught:
        canonical_heads(tensors, contract(), msgspec.structs.replace(binding, outputs=outputs))
    assert caught.value.found == "label index 3, 3 labels"


def test_an_offset_below_zero_is_refused() -> None:
    tensors, binding = joined()
    outputs = tuple(msgspec.structs.replace(o, class_offset=-1) for o in binding.outputs)
    with pytest.raises(InvalidInput, match="negative"):
        canonical_heads(tensors, contract(), msgspec.structs.replace(binding, outputs=outputs))


@pytest.mark.parametrize("value", [1.5, np.nan, np.inf, 3e9])
def test_a_class_that_is_no_number_of_a_class_is_refused(value: float) -> None:
    tensors, binding = joined()
    tensors["o"][0, 0, 5] = value
    with pytest.raises(InvalidInput, match="not a whole number"):
        canonical_heads(tensors, contract(), binding)


def test_a_nan_score_stays_a_nan() -> None:
    tensors, binding = joined()
    tensors["o"][0, 0, 4] = np.nan
    assert np.isnan(canonical_heads(tensors, contract(), binding).scores[0, 2])


@pytest.mark.parametrize("count", [-1, 6, 2.5, np.nan])
def test_a_count_that_makes_no_sense_is_refused(count: float) -> None:
    tensors, binding = quartet(count)
    with pytest.raises(InvalidInput, match="number of detections"):
        canonical_heads(tensors, contract(), binding)


def test_without_labels_there_are_as_many_classes_as_numbers() -> None:
    tensors, binding = joined()
    assert canonical_heads(tensors, contract(()), binding).scores.shape == (5, 3)
    tensors["o"][0, 0, 5] = 1e6
    with pytest.raises(InvalidInput, match="outside the labels"):
        canonical_heads(tensors, contract(()), binding)


def test_canonical_roles_hold_the_rows_that_are_there() -> None:
    tensors, binding = joined()
    roles = canonical_roles(tensors, contract(), binding)
    assert roles["classes"].tolist() == [2, 1, 2, 1]
    np.testing.assert_array_equal(roles["scores"], SCORES[[0, 1, 2, 4]])
    np.testing.assert_array_equal(roles["boxes"], BOXES[[0, 1, 2, 4]])


@pytest.mark.parametrize("missing", ["scores", "boxes"])
def test_a_column_that_is_missing_is_refused(missing: str) -> None:
    tensors, binding = joined()
    outputs = tuple(o for o in binding.outputs if o.role != missing)
    with pytest.raises(InvalidInput, match=f"carry {missing}"):
        canonical_heads(tensors, contract(), msgspec.structs.replace(binding, outputs=outputs))


def test_a_count_without_classes_is_refused() -> None:
    tensors, binding = quartet()
    outputs = tuple(o for o in binding.outputs if o.role != "classes")
    with pytest.raises(InvalidInput, match="do not go together"):
        canonical_heads(tensors, contract(), msgspec.structs.replace(binding, outputs=outputs))
