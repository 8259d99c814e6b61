"""TFLite files as sources: what is read from real ones, and the hub against LiteRT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray
from PIL import Image

from phoneproof.capture.backends.tflite import TfliteSource
from phoneproof.capture.backends.tflite_graph import integer_arithmetic
from phoneproof.capture.backends.tflite_to_hub import hub_from_tflite
from phoneproof.capture.sources import find_source
from phoneproof.core.errors import Unsupported
from phoneproof.formats.tflite import parse_tflite, read_tflite
from phoneproof.formats.tflite_values import constant_values, representable_range
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from tests.assets import asset
from tests.integration.tflite_files import TfliteFile

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a file of the assets."""

    path: str
    task: str
    layout: str = "NHWC"
    quantised: bool = False
    labels: int = 0
    preset: str = ""
    units: str = ""


KNOWN = (
    Known(path="classify/cifar10_resnet8_float.tflite", task="classify"),
    Known(path="classify/cifar10_resnet8_int8.tflite", task="classify", quantised=True),
    Known(
        path="classify/mobilenet_v2_1.0_224_quant.tflite",
        task="classify",
        quantised=True,
        labels=1001,
    ),
    Known(
        path="detect/yolov8n_int8.tflite",
        task="detect",
        quantised=True,
        labels=80,
        preset="ultralytics.detect",
        units="fraction",
    ),
    Known(
        path="detect/yolov8n_full_integer_quant.tflite",
        task="detect",
        quantised=True,
        labels=80,
        preset="ultralytics.detect",
        units="fraction",
    ),
    Known(
        path="detect/yolox_nano_mask3_float16.tflite",
        task="detect",
        layout="NCHW",
        preset="yolox",
        units="stride",
    ),
    Known(
        path="detect/yolox_nano_mask3_int8.tflite",
        task="detect",
        layout="NCHW",
        quantised=True,
        preset="yolox",
        units="stride",
    ),
    Known(path="pose/cpm_model.tflite", task="raw"),
    Known(path="segment/deeplabv3_mnv2_dm05_pascal_quant.tflite", task="raw", quantised=True),
)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: Path(known.path).stem)
def test_real_files_are_read(known: Known) -> None:
    path = asset(f"models/{known.path}")
    name, source = find_source(path)
    inspection = source.inspect(path)
    assert (name, inspection.task, inspection.layout) == ("tflite", known.task, known.layout)
    assert inspection.quantised is known.quantised
    assert len(inspection.labels) == known.labels
    assert inspection.preset == known.preset
    assert inspection.head is not None
    units = [output.box.units for output in inspection.head.outputs if output.box]
    assert units == ([known.units] if known.units else [])


def _pixels(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A real picture in the shape of the image input."""
    is_first = shape[1] == 3
    height, width = shape[2:] if is_first else shape[1:3]
    with Image.open(asset("images/single/bus.jpg")) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((width, height)))
    return np.ascontiguousarray((pixels.transpose(2, 0, 1) if is_first else pixels)[None])


@pytest.mark.parametrize(
    "name",
    [
        "classify/cifar10_resnet8_float",
        "pose/cpm_model",
        "detect/yolox_nano_mask3_float16",
    ],
)
def test_float_hub_equals_litert(name: str) -> None:
    path = asset(f"models/{name}.tflite")
    graph = read_tflite(path)
    shape = graph.tensors[graph.inputs[0]].shape
    image = _pixels(shape).astype(np.float32)
    session = LiteRtRuntime().open(path, threads=2)
    (expected,) = session.run({session.inputs[0].name: image}).values()
    (found,) = hub_from_tflite(path, shape=shape).module()(torch.from_numpy(image))
    gap = np.abs(found.numpy() - expected).max()
    assert gap <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("clamp", [False, True], ids=["plain", "ranges"])
def test_quantised_hub_is_near_litert(clamp: bool) -> None:
    """Top class alike, probabilities within a few hundredths: integers round."""
    path = asset("models/classify/mobilenet_v1_0.25_128_quant.tflite")
    graph = read_tflite(path)
    tensor = graph.tensors[graph.inputs[0]]
    assert tensor.quant is not None
    pixels = _pixels(tensor.shape)
    real = (pixels.astype(np.float32) - tensor.quant.zero_point) * np.float32(tensor.quant.scale)
    session = LiteRtRuntime().open(path, threads=2)
    (stored,) = session.run({session.inputs[0].name: pixels}).values()
    program = hub_from_tflite(path, shape=tensor.shape, clamp_ranges=clamp)
    (found,) = program.module()(torch.from_numpy(real))
    expected = stored.astype(np.float32) / 256
    assert int(found.argmax()) == int(expected.argmax())
    assert np.abs(found.numpy() - expected).max() < 0.15


def test_a_chain_of_convolutions_carries_one_transpose() -> None:
    """218 transposes of the file vanish: values are kept channels first."""
    path = asset("models/detect/yolox_nano_mask3_float16.tflite")
    program = hub_from_tflite(path, shape=(1, 3, 416, 416))
    permutes = [n for n in program.graph.nodes if n.target is torch.ops.aten.permute.default]
    assert len(permutes) <= 6


def test_weights_are_named_float32_parameters() -> None:
    path = asset("models/classify/cifar10_resnet8_int8.tflite")
    program = hub_from_tflite(path, shape=(1, 32, 32, 3))
    assert "layers.conv_2d_0.weight" in program.state_dict
    assert {value.dtype for value in program.state_dict.values()} == {torch.float32}


def _quantised_conv(scales: Array) -> tuple[bytes, Array]:
    """A convolution with int8 weights of one scale a channel, behind DEQUANTIZE."""
    file = TfliteFile()
    image = file.add((1, 4, 4, 2))
    stored = np.arange(-9, 9, dtype=np.int8).reshape(3, 3, 1, 2)
    weights = file.per_channel(stored, scales, 0)
    real = file.node("DEQUANTIZE", [weights], stored.shape)
    bias = file.const(np.zeros(3, np.float32))
    options = schema.Conv2DOptionsT(padding=1, strideW=1, strideH=1)
    options.dilationWFactor = options.dilationHFactor = 1
    made = file.node("CONV_2D", [image, real, bias], options=options)
    return file.pack([image], [made]), stored


def test_scales_of_channels_are_expanded(tmp_path: Path) -> None:
    scales = np.array([0.5, 0.25, 2.0], np.float32)
    data, stored = _quantised_conv(scales)
    path = tmp_path / "channels.tflite"
    path.write_bytes(data)
    graph = read_tflite(path)
    np.testing.assert_array_equal(
        constant_values(graph.tensors[1]), stored * scales[:, None, None, None]
    )
    assert not integer_arithmetic(graph)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 4, 4, 2)).astype(np.float32)
    (found,) = hub_from_tflite(path, shape=image.shape).module()(torch.from_numpy(image))
    weights = torch.from_numpy((stored * scales[:, None, None, None]).astype(np.float32))
    first = torch.from_numpy(image).permute(0, 3, 1, 2)
    expected = torch.nn.functional.conv2d(first, weights.permute(0, 3, 1, 2))
    np.testing.assert_allclose(found.permute(0, 3, 1, 2).numpy(), expected.numpy(), atol=1e-5)


def test_the_range_of_a_tensor() -> None:
    file = TfliteFile()
    image = file.add((1, 2, 2, 3), "uint8", quant=(0.5, 128))
    data = file.pack([image], [image])
    tensor = parse_tflite(data, "range").tensors[0]
    assert representable_range(tensor) == (-64.0, 63.5, 0.5)


def test_clamping_holds_a_relu_to_its_tensor(tmp_path: Path) -> None:
    """A ReLU whose int8 tensor ends at 1.0 acts as a clamp; only the second import does so."""
    file = TfliteFile()
    image = file.add((1, 2, 2, 3))
    small = file.node("QUANTIZE", [image], (1, 2, 2, 3), "int8", quant=(8 / 255, 0))
    cut = file.node("RELU", [small], (1, 2, 2, 3), "int8", quant=(1 / 255, -128))
    real = file.node("DEQUANTIZE", [cut], (1, 2, 2, 3))
    path = tmp_path / "cut.tflite"
    path.write_bytes(file.pack([image], [real]))
    values = np.array([-3.0, 0.5, 3.0] * 4, np.float32).reshape(1, 2, 2, 3)
    session = LiteRtRuntime().open(path, threads=1)
    (expected,) = session.run({session.inputs[0].name: values}).values()
    results = []
    for clamp in (False, True):
        program = hub_from_tflite(path, shape=values.shape, clamp_ranges=clamp)
        (found,) = program.module()(torch.from_numpy(values))
        results.append(float(np.abs(found.numpy() - expected).max()))
    assert results[0] > 1.5
    assert results[1] < 0.02


def test_an_open_size_is_fixed_in_a_copy(tmp_path: Path) -> None:
    file = TfliteFile()
    image = file.add((1, 4, 4, 3))
    file.tensors[image].shapeSignature = [1, -1, -1, 3]
    made = file.node("RELU", [image], (1, 4, 4, 3))
    file.tensors[made].shapeSignature = [1, -1, -1, 3]
    path = tmp_path / "open.tflite"
    path.write_bytes(file.pack([image], [made]))
    before = path.read_bytes()
    source = TfliteSource()
    assert source.inspect(path).size is None
    session = source.open(path, size=(6, 5), batch=1)
    assert session.inputs[0].shape == session.outputs[0].shape == (1, 6, 5, 3)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 8, 8, 5), "float32"), ((1, 64), "float32"), ((1, 8, 8, 3), "int32")]
)
def test_inputs_that_are_no_image_are_refused(
    shape: tuple[int, ...], dtype: str, tmp_path: Path
) -> None:
    file = TfliteFile()
    image = file.add(shape, dtype)
    made = file.node("ABS", [image], shape, dtype)
    path = tmp_path / "other.tflite"
    path.write_bytes(file.pack([image], [made]))
    with pytest.raises(Unsupported):
        TfliteSource().inspect(path)
