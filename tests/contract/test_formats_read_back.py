"""Reading a file back: work counted from shapes, shares by type, bytes for a download."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal

import msgspec
import pytest

from phoneproof.core.errors import InvalidInput
from phoneproof.core.optimization import ReadBack, Share
from phoneproof.core.recipe import Dynamic, Float16, Static, WeightOnly
from phoneproof.formats.read_back import contents, macs_above_int8, read_back
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_read_back import layer_macs
from tests.assets import asset
from tests.contract import test_optimizers as suite

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

TINY = 8 * 12 * 8 * 3 * 9 + 8 * 12 * 6 * 8 * 9 + 5 * 6
"""By hand: 3 -> 8 channels at 8 x 12, 8 -> 6 at 8 x 12 (both 3 x 3), 6 -> 5 fully connected. The
resize comes after the second convolution."""


def found(path: Path, format_: str = "tflite") -> ReadBack:
    read = read_back(path, "onnx" if format_ == "onnx" else "tflite")
    assert read is not None
    return read


def column(read: ReadBack, name: str) -> Share:
    return next(share for share in read.shares if share.dtype == name)


@pytest.mark.parametrize("format_", ["tflite", "onnx"])
def test_work_is_what_one_counts_by_hand(format_: str, model_files: dict[str, Path]) -> None:
    read = found(model_files[format_], format_)
    assert read.macs == TINY
    assert column(read, "float32").macs == 1.0
    assert read.gzip_bytes == len(gzip.compress(model_files[format_].read_bytes(), 9, mtime=0))


@pytest.mark.parametrize("format_", ["tflite", "onnx"])
def test_contents_are_all_but_the_compressed_size(
    format_: Literal["tflite", "onnx"], model_files: dict[str, Path]
) -> None:
    path = model_files[format_]
    held = contents(path, format_)
    assert held is not None
    assert held.gzip_bytes is None
    gzip_bytes = len(gzip.compress(path.read_bytes(), 9, mtime=0))
    assert msgspec.structs.replace(held, gzip_bytes=gzip_bytes) == read_back(path, format_)


def test_layers_add_up(model_files: dict[str, Path]) -> None:
    graph = read_tflite(model_files["tflite"])
    macs = layer_macs(graph)
    assert sum(macs.values()) == TINY
    assert macs.keys() <= {graph.tensors[op.outputs[0]].name for op in graph.ops}


@pytest.mark.parametrize(
    ("recipe", "kind", "above"),
    [
        (Static(), "int8", 0.0),
        (Dynamic(), "int8 weights", 1.0),
        (WeightOnly(), "int8 weights", 1.0),
        (WeightOnly(bits=4), "int4 weights", 1.0),
        (Float16(float32_share=0.0), "float16", 1.0),
    ],
)
def test_shares_are_of_what_is_computed(
    recipe: Static | Dynamic | WeightOnly | Float16,
    kind: str,
    above: float,
    model_files: dict[str, Path],
    tmp_path: Path,
) -> None:
    source = model_files["tflite"]
    ranges = tmp_path / "ranges.json"
    suite.write_ranges(ranges, suite.seen(source), of=source)
    name = "tflite-float16" if isinstance(recipe, Float16) else "tflite-quantized"
    case = suite.Case(optimizer=name, recipe=recipe, precision="mixed", near=0.0)
    suite.propose(case, source, ranges, tmp_path / "candidate")
    read = found(tmp_path / "candidate")
    assert read.macs == TINY, "what is quantized does the same work"
    assert column(read, kind).macs == 1.0
    assert column(read, kind).weights > 0.8
    assert macs_above_int8(read) == above
    for values in zip(*((one.ops, one.weights, one.macs) for one in read.shares), strict=True):
        assert sum(values) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [
        (Static(), "int8"),
        (Dynamic(), "int8 weights"),
        (WeightOnly(), "int8 weights"),
    ],
)
def test_onnx_says_the_same_with_other_operators(
    recipe: Static | Dynamic | WeightOnly,
    kind: str,
    model_files: dict[str, Path],
    tmp_path: Path,
) -> None:
    source = model_files["onnx"]
    ranges = tmp_path / "ranges.json"
    suite.write_ranges(ranges, suite.seen(source), of=source)
    case = suite.Case(optimizer="onnx-quantized", recipe=recipe, precision="mixed", near=0.0)
    suite.propose(case, source, ranges, tmp_path / "candidate")
    read = found(tmp_path / "candidate", "onnx")
    assert read.macs == TINY
    assert column(read, kind).macs > 0.9
    assert column(read, kind).weights > 0.75
    assert (macs_above_int8(read) < 0.1) == isinstance(recipe, Static)


def test_open_sizes_are_not_counted() -> None:
    """Height and width of this file are open: there is no such thing as its work."""
    read = found(asset("models/detect/yolov8n_coco_rebuilt.onnx"), "onnx")
    assert read.macs == 0


@pytest.mark.parametrize(
    ("model", "format_", "macs", "kind"),
    [
        # 300 M: the MobileNetV2 paper; 8.7 GFLOPs, two each: the table of the YOLOv8 models;
        # 12.5 M: MLPerf Tiny's ResNet-8.
        ("classify/mobilenet_v2_1.0_224_quant.tflite", "tflite", 300e6, "int8"),
        ("detect/yolov8n_full_integer_quant.tflite", "tflite", 8.7e9 / 2, "int8"),
        ("detect/yolov8n_int8.tflite", "tflite", 8.7e9 / 2, "int8 weights"),
        ("classify/cifar10_resnet8_int8.tflite", "tflite", 12.5e6, "int8"),
        ("classify/cifar10_resnet8_float.tflite", "tflite", 12.5e6, "float32"),
    ],
)
def test_published_figures_of_real_models(model: str, format_: str, macs: float, kind: str) -> None:
    read = found(asset(f"models/{model}"), format_)
    assert read.macs == pytest.approx(macs, rel=0.01)
    assert column(read, kind).macs > 0.98


def test_fused_activations_are_counted() -> None:
    read = found(asset("models/classify/mobilenet_v2_1.0_224_quant.tflite"))
    assert dict(read.fused) == {"RELU6 in CONV_2D": 18, "RELU6 in DEPTHWISE_CONV_2D": 17}


def test_folders_and_the_hub_are_not_read(tmp_path: Path) -> None:
    assert read_back(tmp_path, "saved_model") is None
    assert read_back(tmp_path / "hub.pt2", "hub") is None


@pytest.mark.parametrize("format_", ["tflite", "onnx"])
def test_garbage_is_refused(format_: str, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no model at all")
    with pytest.raises(InvalidInput):
        found(garbage, format_)
