"""ONNX files of float16 and of 8 bits: captured as the float32 graph that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    QuantFormat,
    QuantType,
    quantize_static,
)

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.core.errors import Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from tests.integration.hub_agreement import Pixels, photographs, worst_relative
from tests.integration.onnx_models import conv_net, save
from tests.integration.onnx_opsets import SIDE, detector

SHAPE = (1, 3, SIDE, SIDE)
HALF = TensorProto.FLOAT16


def halved(model: ModelProto, *, borders: bool) -> ModelProto:
    """Weights and activations in float16; with `borders`, float32 outside, a Cast between."""
    graph = model.graph
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.float32:
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), tensor.name))
    ends = [*graph.input, *graph.output]
    if not borders:
        for value in ends:
            value.type.tensor_type.elem_type = HALF
        return model
    for node in graph.node:
        node.input[:] = ["x_half" if name == "x" else name for name in node.input]
        outputs = {value.name for value in graph.output}
        node.output[:] = [f"{n}_half" if n in outputs else n for n in node.output]
    graph.node.insert(0, helper.make_node("Cast", ["x"], ["x_half"], "in", to=HALF))
    for value in graph.output:
        node = helper.make_node("Cast", [f"{value.name}_half"], [value.name], "out", to=1)
        graph.node.append(node)
    return model


@pytest.mark.parametrize("borders", [True, False], ids=["cast_at_the_border", "float16_input"])
def test_float16_is_widened_and_said_so(borders: bool, tmp_path: Path) -> None:
    path = save(halved(conv_net([1, 3, SIDE, SIDE]), borders=borders), tmp_path / "half.onnx")
    source = OnnxSource()
    inspection = source.inspect(path)
    findings = {f.key: f.value for f in inspection.findings}
    assert findings["source.dtype"] == "float16"
    assert not inspection.quantised
    session = source.open(path, size=(SIDE, SIDE), batch=1)
    assert session.inputs[0].dtype == "float32"
    program = source.importers(path, size=(SIDE, SIDE), batch=1)[0][1]()
    images = photographs(SHAPE, "NCHW", 1 / 255, 0.0)
    assert worst_relative(program, session, images) <= HUB_RELATIVE

    itself = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    for image in images:
        fed = image if borders else image.astype(np.float16)
        (narrow,) = itself.run(None, {"x": fed})
        (wide,) = session.run({"x": image}).values()
        np.testing.assert_allclose(np.asarray(narrow, np.float32), wide, atol=5e-3)


class Pictures:
    """Feeds a quantiser with the tests' pictures: a CalibrationDataReader by its one method."""

    def __init__(self, images: list[Pixels]) -> None:
        self._feeds: Iterator[Pixels] = iter(images)

    def get_next(self) -> dict[str, Pixels] | None:
        image = next(self._feeds, None)
        return None if image is None else {"x": image}


def quantised(
    model: ModelProto,
    folder: Path,
    *,
    format_: QuantFormat = QuantFormat.QDQ,
    per_channel: bool = True,
) -> Path:
    path = save(model, folder / "float.onnx")
    out = folder / "quantised.onnx"
    quantize_static(
        path,
        out,
        Pictures(photographs(SHAPE, "NCHW", 1 / 255, 0.0)),
        quant_format=format_,
        per_channel=per_channel,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return out


def outputs(program: torch.export.ExportedProgram, image: Pixels) -> list[Pixels]:
    with torch.inference_mode():
        result = program.module()(torch.from_numpy(image))
    found = result if isinstance(result, (tuple, list)) else (result,)
    return [value.numpy() for value in found]


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_a_quantised_file_becomes_its_float_graph(
    kind: str, per_channel: bool, tmp_path: Path
) -> None:
    model = conv_net([1, 3, SIDE, SIDE]) if kind == "classifier" else detector(13)
    path = quantised(model, tmp_path, per_channel=per_channel)
    operators = {node.op_type for node in onnx.load(path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    source = OnnxSource()
    inspection = source.inspect(path)
    assert inspection.quantised
    assert "already_quantized" in {hazard.name for hazard in inspection.hazards}
    program = source.importers(path, size=(SIDE, SIDE), batch=1)[0][1]()
    floating = OnnxSource().open(tmp_path / "float.onnx", size=(SIDE, SIDE), batch=1)
    baseline = source.open(path, size=(SIDE, SIDE), batch=1)
    for image in photographs(SHAPE, "NCHW", 1 / 255, 0.0):
        wanted = list(floating.run({"x": image}).values())
        rounded = list(baseline.run({"x": image}).values())
        for value, want, integer in zip(outputs(program, image), wanted, rounded, strict=True):
            size = float(np.abs(want).max())
            assert rms(value - want) <= 0.03 * size  # weights of 8 bits remain
            assert rms(value - integer) <= 0.05 * size
            assert rms(value[:, ::-1] - want) > 0.05 * size  # the measure can fail


def rms(difference: Pixels) -> float:
    return float(np.sqrt(np.mean(difference**2)))


def test_a_relu_that_the_quantiser_folded_into_a_range_stays(tmp_path: Path) -> None:
    """ONNX Runtime's quantiser drops a ReLU where zero is the smallest integer."""
    path = quantised(conv_net([1, 3, SIDE, SIDE]), tmp_path)
    assert "Relu" not in {node.op_type for node in onnx.load(path).graph.node}
    program = OnnxSource().importers(path, size=(SIDE, SIDE), batch=1)[0][1]()
    clips = [n for n in program.graph.nodes if "clamp" in str(n.target) or "relu" in str(n.target)]
    assert len(clips) == 1


def test_integer_operators_are_refused_by_name(tmp_path: Path) -> None:
    path = quantised(conv_net([1, 3, SIDE, SIDE]), tmp_path, format_=QuantFormat.QOperator)
    assert OnnxSource().inspect(path).quantised
    with pytest.raises(Unsupported, match="integers in operators of its own") as caught:
        OnnxSource().importers(path, size=(SIDE, SIDE), batch=1)[0][1]()
    assert "QLinearConv" in caught.value.found
    assert "QDQ" in caught.value.next_step


def test_weights_in_blocks_are_refused(tmp_path: Path) -> None:
    model = conv_net([1, 3, SIDE, SIDE], opsets=(("", 21),))
    model.ir_version = 10
    dense = next(t for t in model.graph.initializer if t.name == "d")
    whole = numpy_helper.from_array(np.ones((8, 5), np.int8), "d_whole")
    scales = numpy_helper.from_array(np.ones((2, 5), np.float32), "d_scales")
    model.graph.initializer.remove(dense)
    model.graph.initializer.extend([whole, scales])
    node = helper.make_node(
        "DequantizeLinear", ["d_whole", "d_scales"], ["d"], "blocks", axis=0, block_size=4
    )
    model.graph.node.insert(0, node)
    path = save(model, tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="cannot be turned back") as caught:
        OnnxSource().importers(path, size=(SIDE, SIDE), batch=1)[0][1]()
    assert "blocks" in caught.value.found
