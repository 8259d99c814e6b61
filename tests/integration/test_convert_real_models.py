"""Real models through the real converters: the numbers stay, the graph is what phones run fast."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.capture.base import SOURCES
from phoneproof.capture.hub import hub_tensors
from phoneproof.convert.artifact import permutation
from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.binding import Binding, Format, InputBinding, Layout, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.recipe import Float16
from phoneproof.formats.onnx_file import onnx_inventory, read_onnx
from phoneproof.formats.tflite import read_inventory, read_tflite
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.runtimes.backends.hub import output_shapes, save_hub
from phoneproof.runtimes.base import RUNTIMES
from tests.assets import asset

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

Array = NDArray[np.float32]
FLOAT32, FLOAT16 = 1e-4, 1e-2
"""Largest difference, relative to the largest magnitude of each part of an output."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One source model as a hub file, with a real picture in its own layout."""

    hub: Path
    contract: Contract
    binding: Binding
    image: Array

    def request(self, layout: Layout, output: Path) -> ConvertRequest:
        return ConvertRequest(
            source=self.hub,
            contract=self.contract,
            binding=self.binding,
            layout=layout,
            output=output,
        )

    def run(self, kind: Format, path: Path, layout: Layout) -> Array:
        axes = permutation(self.binding.image.layout, layout)
        image = np.ascontiguousarray(self.image.transpose(axes))
        (output,) = RUNTIMES.load(kind).open(path).run({"image": image}).values()
        return np.asarray(output, np.float32)

    def expected(self) -> Array:
        return self.run("hub", self.hub, self.binding.image.layout)


def bus(height: int, width: int) -> Array:
    """The letterboxed bus picture in 0..1, NCHW, cut to size."""
    with np.load(asset("reference/ultralytics_yolov8n.npz")) as arrays:
        name = next(key for key in arrays.files if "bus" in key and arrays[key].dtype == np.uint8)
        pixels = arrays[name].reshape(640, 640, 3)[-height:, :width]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def captured(source: str, folder: Path) -> Case:
    """Import an ONNX source as `phoneproof build` does."""
    path = asset(source)
    onnx = SOURCES.load("onnx")
    inspection = onnx.inspect(path)
    assert inspection.size is not None
    _, export = onnx.importers(path, size=inspection.size, batch=1)[0]
    program = export()
    inputs, outputs = hub_tensors(
        inspection, size=inspection.size, batch=1, output_shapes=output_shapes(program)
    )
    save_hub(program, folder / "hub.pt2", inputs, outputs)
    contract = Contract(
        name="real",
        task="raw",
        inputs=(
            ImageInput(
                geometry=(),
                size=inspection.size,
                scale=1 / 255,
                mean=(0.0, 0.0, 0.0),
                std=(1.0, 1.0, 1.0),
            ),
        ),
    )
    image = inputs[0]
    binding = Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(InputBinding(tensor=image.name, shape=image.shape, layout=inspection.layout),),
        outputs=tuple(
            OutputBinding(tensor=spec.name, role="raw", shape=spec.shape) for spec in outputs
        ),
    )
    picture = bus(*inspection.size).transpose(permutation("NCHW", inspection.layout))
    return Case(
        hub=folder / "hub.pt2",
        contract=contract,
        binding=binding,
        image=np.ascontiguousarray(picture),
    )


@pytest.fixture(scope="module")
def yolo(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return captured("models/detect/yolov8n_coco_rebuilt.onnx", tmp_path_factory.mktemp("yolo"))


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return captured(
        "models/classify/mobilenet_v2_1.0_224_float.onnx", tmp_path_factory.mktemp("mobilenet")
    )


def assert_boxes_and_scores_stay(found: Array, expected: Array, tolerance: float) -> None:
    """Boxes (0..640) and scores (0..1) each against their own range."""
    for part in (slice(0, 4), slice(4, None)):
        limit = tolerance * np.abs(expected[:, part]).max()
        assert np.abs(found[:, part] - expected[:, part]).max() <= limit


def test_yolov8n_as_onnx(yolo: Case, tmp_path: Path) -> None:
    output = tmp_path / "yolo.onnx"
    CONVERTERS.load("hub-onnx").convert(yolo.request("NCHW", output))
    assert_boxes_and_scores_stay(yolo.run("onnx", output, "NCHW"), yolo.expected(), FLOAT32)
    inventory = onnx_inventory(read_onnx(output))
    assert dict(inventory.ops)["Conv"] == 64
    assert read_onnx(output).graph.node[0].op_type == "Conv"
    assert inventory.precision == "float32"
    assert output.stat().st_size < 1.01 * sum(size for _, size in inventory.weights_bytes)


def test_yolov8n_as_tflite_float32_and_float16(yolo: Case, tmp_path: Path) -> None:
    output, half = tmp_path / "yolo.tflite", tmp_path / "yolo16.tflite"
    converted = CONVERTERS.load("hub-tflite").convert(yolo.request("NHWC", output))
    expected = yolo.expected()
    assert_boxes_and_scores_stay(yolo.run("tflite", output, "NHWC"), expected, FLOAT32)
    ops = [op.name for op in read_tflite(output).ops]
    assert "TRANSPOSE" not in ops[: ops.index("CONV_2D")]
    assert (ops.count("CONV_2D"), ops.count("RESIZE_NEAREST_NEIGHBOR")) == (64, 2)
    assert "GATHER_ND" not in ops

    OPTIMIZERS.load("tflite-float16").propose(
        OptimizeRequest(
            recipe=Float16(float32_share=0.01),
            artifact=output,
            contract=yolo.contract,
            binding=converted.binding,
            output=half,
        )
    )
    assert read_inventory(half).precision == "float16"
    assert half.stat().st_size < 0.52 * output.stat().st_size
    assert_boxes_and_scores_stay(yolo.run("tflite", half, "NHWC"), expected, FLOAT16)


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_an_nhwc_source_loses_its_transpose(mobilenet: Case, tmp_path: Path, kind: Format) -> None:
    layout: Layout = "NCHW" if kind == "onnx" else "NHWC"
    output = tmp_path / f"mobilenet.{kind}"
    CONVERTERS.load(f"hub-{kind}").convert(mobilenet.request(layout, output))
    np.testing.assert_allclose(
        mobilenet.run(kind, output, layout), mobilenet.expected(), atol=FLOAT32
    )
    if kind == "onnx":
        ops = [node.op_type for node in read_onnx(output).graph.node]
    else:
        ops = [op.name for op in read_tflite(output).ops]
    assert not {"Transpose", "TRANSPOSE"} & set(ops)
    assert ops[0] in ("Conv", "Pad", "CONV_2D", "PAD")
