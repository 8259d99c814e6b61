"""ONNX of every opset becomes a hub program that equals ONNX Runtime, or is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper
from PIL import Image

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.core.errors import Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from tests.assets import asset
from tests.integration.hub_agreement import Pixels, photographs, worst_relative
from tests.integration.onnx_models import conv_net, save
from tests.integration.onnx_opsets import (
    SIDE,
    Writer,
    detector,
    dynamic_detector,
    newest_spellings,
)

CAPTURED = range(7, 27)
"""From the oldest that ONNX Runtime promises to read to the newest that 1.31 does."""


def pictures(shape: tuple[int, ...], layout: str = "NCHW") -> list[Pixels]:
    noise = np.random.default_rng(3).normal(0, 1, shape).astype(np.float32)
    return [*photographs(shape, layout, 1 / 255, 0.0), noise]


def disagreement(
    path: Path, size: tuple[int, int], shape: tuple[int, ...], layout: str = "NCHW"
) -> float:
    """Hub against ONNX Runtime, on pictures and on noise, relative to the outputs' magnitude."""
    source = OnnxSource()
    session = source.open(path, size=size, batch=shape[0])
    _, export = source.importers(path, size=size, batch=shape[0])[0]
    return worst_relative(export(), session, pictures(shape, layout))


@pytest.mark.parametrize("opset", CAPTURED)
def test_every_opset(opset: int, tmp_path: Path) -> None:
    model = detector(opset)
    onnx.checker.check_model(model, full_check=True)
    path = save(model, tmp_path / "net.onnx")
    before = path.read_bytes()
    assert disagreement(path, (SIDE, SIDE), (1, 3, SIDE, SIDE)) <= HUB_RELATIVE
    assert path.read_bytes() == before
    findings = {f.key: f.value for f in OnnxSource().inspect(path).findings}
    assert findings["evidence.opset"] == f"ai.onnx {opset}"


@pytest.mark.parametrize("opset", [18, 19, 22, 26])
def test_newer_spellings_of_old_operators(opset: int, tmp_path: Path) -> None:
    model = newest_spellings(opset)
    if opset < 19:  # AveragePool had no dilations yet
        pool = next(node for node in model.graph.node if node.op_type == "AveragePool")
        kept = [a for a in pool.attribute if a.name != "dilations"]
        del pool.attribute[:]
        pool.attribute.extend(kept)
    path = save(model, tmp_path / "net.onnx")
    assert disagreement(path, (SIDE, SIDE), (1, 3, SIDE, SIDE)) <= HUB_RELATIVE


@pytest.mark.parametrize("opset", [13, 17, 22])
@pytest.mark.parametrize(("size", "batch"), [((32, 48), 1), ((64, 32), 2)])
def test_open_axes_are_fixed(opset: int, size: tuple[int, int], batch: int, tmp_path: Path) -> None:
    path = save(dynamic_detector(opset), tmp_path / "net.onnx")
    inspection = OnnxSource().inspect(path)
    assert inspection.size is None
    assert "dynamic_shapes" in {hazard.name for hazard in inspection.hazards}
    assert disagreement(path, size, (batch, 3, *size)) <= HUB_RELATIVE


def test_nhwc_behind_a_transpose(tmp_path: Path) -> None:
    path = save(conv_net(["n", "h", "w", 3], nhwc=True), tmp_path / "net.onnx")
    assert OnnxSource().inspect(path).layout == "NHWC"
    assert disagreement(path, (32, 48), (1, 32, 48, 3), "NHWC") <= HUB_RELATIVE


@pytest.mark.parametrize("opset", [9, 13])
def test_weights_listed_among_the_inputs(opset: int, tmp_path: Path) -> None:
    model = detector(opset, listed=True)
    assert len(model.graph.input) > 10
    path = save(model, tmp_path / "net.onnx")
    assert [spec.name for spec in OnnxSource().inspect(path).inputs] == ["x"]
    assert disagreement(path, (SIDE, SIDE), (1, 3, SIDE, SIDE)) <= HUB_RELATIVE


@pytest.mark.parametrize("opset", [9, 13, 22])
def test_operators_that_the_importer_lacks_are_rewritten(opset: int, tmp_path: Path) -> None:
    w = Writer(opset)
    deep = w.add("SpaceToDepth", w.convolution("x", 3, 4), blocksize=2)
    pooled = w.add("GlobalMaxPool", w.convolution(deep, 16, 6))
    flat = w.add("Softmax", w.add("Flatten", pooled, axis=1), axis=1)
    path = save(
        w.model({flat: [1, 6], deep: [1, 16, 16, 16]}, [1, 3, SIDE, SIDE]), tmp_path / "n.onnx"
    )
    assert disagreement(path, (SIDE, SIDE), (1, 3, SIDE, SIDE)) <= HUB_RELATIVE


def one_operator(op: str, opset: int) -> ModelProto:
    """A convolution with one more operator behind it."""
    node = helper.make_node(op, ["r"], ["z"], "the_one")
    model = conv_net([1, 3, 32, 32], extra=(node,), opsets=(("", opset),))
    next(n for n in model.graph.node if n.name == "pool").input[0] = "z"
    model.ir_version = 10
    return model


def test_an_operator_the_runtime_lacks_is_named(tmp_path: Path) -> None:
    path = save(one_operator("Swish", 25), tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="does not run net") as caught:
        OnnxSource().open(path, size=(32, 32), batch=1)
    assert "Swish(24)" in caught.value.found
    assert "the_one" in caught.value.found


def test_an_opset_the_runtime_does_not_know_is_named(tmp_path: Path) -> None:
    path = save(one_operator("Relu", 28), tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="does not run net") as caught:
        OnnxSource().open(path, size=(32, 32), batch=1)
    assert "opset 28" in caught.value.found


def test_an_operator_that_nobody_knows_is_named(tmp_path: Path) -> None:
    path = save(one_operator("Blur", 17), tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="does not run net") as caught:
        OnnxSource().open(path, size=(32, 32), batch=1)
    assert "Blur" in caught.value.found


def test_a_smoothing_resize_is_refused(tmp_path: Path) -> None:
    model = conv_net([1, 3, 32, 32], opsets=(("", 18),))
    scales = numpy_helper.from_array(np.array([1, 1, 0.5, 0.5], np.float32), "scales")
    model.graph.initializer.append(scales)
    node = helper.make_node(
        "Resize", ["r", "", "scales"], ["z"], "smooth", mode="linear", antialias=1
    )
    model.graph.node.insert(2, node)
    next(n for n in model.graph.node if n.name == "pool").input[0] = "z"
    path = save(model, tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="resizes in a way") as caught:
        OnnxSource().importers(path, size=(32, 32), batch=1)[0][1]()
    assert "antialias" in caught.value.found


def test_the_control_fails(tmp_path: Path) -> None:
    """A hub of other weights is seen: the measure of these tests can fail."""
    path = save(detector(12), tmp_path / "net.onnx")
    session = OnnxSource().open(path, size=(SIDE, SIDE), batch=1)
    other = detector(12)
    weight = other.graph.initializer[0]
    assert weight.data_type == TensorProto.FLOAT
    values = numpy_helper.to_array(weight) * np.float32(1.05)
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    changed = save(other, tmp_path / "other.onnx")
    program = OnnxSource().importers(changed, size=(SIDE, SIDE), batch=1)[0][1]()
    assert worst_relative(program, session, pictures((1, 3, SIDE, SIDE))) > 10 * HUB_RELATIVE


def test_mnist_of_opset_8_reads_its_digit() -> None:
    """CNTK's export: an opset before every shape input; grey, ten classes in logits."""
    path = asset("models/classify/mnist.onnx")
    inspection = OnnxSource().inspect(path)
    assert (inspection.channels, inspection.size, inspection.task) == (1, (28, 28), "classify")
    with Image.open(asset("images/single/mnist_nine.bmp")) as picture:
        gray = picture.convert("L").resize((28, 28))
    digit = np.asarray(gray, np.float32)[None, None]
    session = OnnxSource().open(path, size=(28, 28), batch=1)
    program = OnnxSource().importers(path, size=(28, 28), batch=1)[0][1]()
    (name,) = (spec.name for spec in session.outputs)
    images = [digit, 255 - digit, *pictures((1, 1, 28, 28))]
    assert worst_relative(program, session, images) <= HUB_RELATIVE
    answers = [int(session.run({session.inputs[0].name: d})[name].argmax()) for d in images[:2]]
    assert 9 in answers
