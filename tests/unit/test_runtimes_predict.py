"""The stream from images to results, on a session of NumPy."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding, Quant
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Resize
from phoneproof.core.dataset import ImageItem
from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.results import Classification, Detections
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.predict import AHEAD, Predictor

SIDE = 8


class MeanColor:
    """Probabilities: the mean of red, green and blue of each image of the batch."""

    def __init__(self, batch: int = 1, outputs: tuple[TensorSpec, ...] | None = None) -> None:
        self.inputs = (TensorSpec(name="x", shape=(batch, SIDE, SIDE, 3), dtype="float32"),)
        self.outputs = outputs or (TensorSpec(name="p", shape=(batch, 3), dtype="float32"),)
        self.runs = 0

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        self.runs += 1
        assert tensors["x"].shape == self.inputs[0].shape
        return {"p": tensors["x"].mean(axis=(1, 2), dtype=np.float32)}


class Corner:
    """A detector of the picture's brightness: one box, score = the first pixel's red."""

    inputs = (TensorSpec(name="x", shape=(1, SIDE, SIDE, 3), dtype="float32"),)
    outputs = (
        TensorSpec(name="b", shape=(1, 2, 4), dtype="float32"),
        TensorSpec(name="s", shape=(1, 2, 1), dtype="float32"),
    )

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        red = tensors["x"][0, 0, 0, 0]
        return {
            "b": np.array([[[0, 0, 4, 4], [2, 2, 8, 8]]], np.float32),
            "s": np.array([[[red], [0.1]]], np.float32),
        }


def contract(task: Any = "classify", labels: tuple[str, ...] = ("r", "g", "b")) -> Contract:
    image = ImageInput(
        geometry=(Resize(to="stretch", size=(SIDE, SIDE)),),
        size=(SIDE, SIDE),
        scale=1 / 255,
        mean=(0, 0, 0),
        std=(1, 1, 1),
    )
    policy = Decode(confidence=0.25, nms=Nms())
    return Contract(name="t", task=task, inputs=(image,), labels=labels, decode=policy)


def binding(batch: int = 1, **output: Any) -> Binding:
    described: dict[str, Any] = {
        "tensor": "p",
        "role": "scores",
        "shape": (batch, 3),
        "axes": ("class",),
        **output,
    }
    return Binding(
        contract="",
        format="tflite",
        batch=batch,
        inputs=(InputBinding(tensor="x", shape=(batch, SIDE, SIDE, 3), layout="NHWC"),),
        outputs=(OutputBinding(**described),),
    )


def detector() -> Predictor:
    base = binding()
    outputs = (
        OutputBinding(
            tensor="b",
            role="boxes",
            shape=(1, 2, 4),
            axes=("anchor", "coord"),
            box=Box(format="xyxy"),
        ),
        OutputBinding(tensor="s", role="scores", shape=(1, 2, 1), axes=("anchor", "class")),
    )
    bound = Binding(contract="", format="tflite", inputs=base.inputs, outputs=outputs)
    return Predictor(Corner(), contract("detect", ("thing",)), bound)


def images(folder: Path, count: int) -> list[ImageItem]:
    items = []
    for i in range(count):
        path = folder / f"{i}.jpg"
        Image.new("RGB", (10 + i, 20), (9 * i, 90 + 5 * i, 200)).save(
            path, quality=100, subsampling=0
        )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        items.append(ImageItem(name=f"set/{i}.jpg", path=path, sha256=digest))
    return items


@pytest.mark.parametrize("batch", [1, 4])
def test_predictions_come_in_order_with_their_own_values(tmp_path: Path, batch: int) -> None:
    items = images(tmp_path, 11)
    session = MeanColor(batch)
    calls: list[tuple[int, int]] = []
    predictor = Predictor(session, contract(), binding(batch))
    found = list(predictor.predict_items(items, progress=lambda *at: calls.append(at)))

    assert [one.name for one in found] == [item.name for item in items]
    assert [one.sha256 for one in found] == [item.sha256 for item in items]
    assert [(one.height, one.width) for one in found] == [(20, 10 + i) for i in range(11)]
    for i, one in enumerate(found):
        assert isinstance(one.app, Classification)
        expected = np.asarray(Image.open(items[i].path))[0, 0] / 255
        np.testing.assert_allclose(one.app.probabilities, expected, rtol=1e-6)
        assert one.metric is None
        assert one.roles is None
    assert calls == [(i, 11) for i in range(1, 12)]
    assert session.runs == -(-11 // batch)


def test_roles_are_kept_where_asked(tmp_path: Path) -> None:
    items = images(tmp_path, 5)
    predictor = Predictor(MeanColor(), contract(), binding())
    first = [p.roles is not None for p in predictor.predict_items(items, keep_roles=2)]
    assert first == [True, True, False, False, False]
    odd = list(predictor.predict_items(items, keep_roles=lambda i: i % 2 == 1))
    assert [one.roles is not None for one in odd] == [False, True, False, True, False]
    assert odd[1].roles is not None
    assert isinstance(odd[1].app, Classification)
    np.testing.assert_array_equal(odd[1].roles["probabilities"], odd[1].app.probabilities)


def test_a_detector_has_results_for_the_app_and_for_map(tmp_path: Path) -> None:
    items = images(tmp_path, 3)
    Image.new("RGB", (16, 32), (204, 0, 0)).save(items[1].path, quality=100)
    found = list(detector().predict_items(items, with_metric=True, keep_roles=1))
    app, metric = found[1].app, found[1].metric
    assert isinstance(app, Detections)
    assert isinstance(metric, Detections)
    np.testing.assert_allclose(app.scores, [0.8], atol=0.02)
    np.testing.assert_allclose(app.boxes, [[0, 0, 8, 16]])  # 16 x 32 stretched to 8 x 8
    np.testing.assert_allclose(metric.scores, [0.8, 0.1], atol=0.02)
    assert found[0].roles is not None
    assert set(found[0].roles) == {"boxes", "scores"}
    assert next(detector().predict_items(items)).metric is None


def test_one_picture() -> None:
    results, outputs = detector().predict_rgb(np.full((4, 4, 3), 255, np.uint8))
    assert isinstance(results, Detections)
    assert results.scores.tolist() == [1]
    assert set(outputs) == {"b", "s"}


def test_a_full_batch_equals_single_images(tmp_path: Path) -> None:
    items = images(tmp_path, 6)
    one = Predictor(MeanColor(), contract(), binding()).predict_items(items)
    four = Predictor(MeanColor(4), contract(), binding(4)).predict_items(items)
    for single, batched in zip(one, four, strict=True):
        assert isinstance(single.app, Classification)
        assert isinstance(batched.app, Classification)
        np.testing.assert_array_equal(single.app.probabilities, batched.app.probabilities)


def test_an_unreadable_image_is_named_after_the_ones_before_it(tmp_path: Path) -> None:
    items = images(tmp_path, 6)
    items[3].path.write_bytes(b"")
    stream = Predictor(MeanColor(), contract(), binding()).predict_items(items)
    assert [next(stream).name for _ in range(3)] == [item.name for item in items[:3]]
    with pytest.raises(InvalidInput, match=r"set/3\.jpg"):
        next(stream)


def test_reading_stays_a_few_images_ahead(tmp_path: Path) -> None:
    items = images(tmp_path, 30)
    taken = 0

    def counted() -> Any:
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    stream = Predictor(MeanColor(), contract(), binding()).predict_items(counted())
    next(stream)
    assert taken <= AHEAD + 1
    before = threading.active_count()
    stream.close()  # type: ignore[attr-defined]
    assert threading.active_count() < before


def refused(session: Any, bound: Binding, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Predictor(session, contract(), bound)


def test_a_binding_of_another_file_is_refused() -> None:
    refused(MeanColor(), binding(tensor="q"), "no output 'q'")
    refused(MeanColor(), binding(shape=(1, 4)), r"shape \[1, 3\], not \[1, 4\]")
    refused(MeanColor(), binding(dtype="int8"), "is float32, not int8")
    refused(MeanColor(2), binding(), "input 'x' has shape")


def test_another_scale_is_refused() -> None:
    def session(scale: float) -> MeanColor:
        quant = Quant(scale=scale, zero_point=3)
        return MeanColor(outputs=(TensorSpec(name="p", shape=(1, 3), dtype="int8", quant=quant),))

    bound = binding(dtype="int8", quant=Quant(scale=0.1, zero_point=3))
    Predictor(session(float(np.float32(0.1))), contract(), bound)
    refused(session(0.2), bound, "quantised by")
    refused(session(0.1), binding(dtype="int8"), "not nothing")


def test_a_further_input_is_refused_and_a_further_output_is_not() -> None:
    extra = TensorSpec(name="extra", shape=(1,), dtype="float32")
    session = MeanColor()
    session.outputs = (*session.outputs, extra)
    Predictor(session, contract(), binding())
    wanting: Any = MeanColor()
    wanting.inputs = (*wanting.inputs, extra)
    refused(wanting, binding(), "also asks for input 'extra'")


def test_an_input_of_another_size_than_the_contract_is_refused() -> None:
    session: Any = MeanColor()
    session.inputs = (TensorSpec(name="x", shape=(1, 4, SIDE, 3), dtype="float32"),)
    image = InputBinding(tensor="x", shape=(1, 4, SIDE, 3), layout="NHWC")
    bound = Binding(contract="", format="tflite", inputs=(image,), outputs=binding().outputs)
    refused(session, bound, "4x8 pixels")
