"""What the TFLite quantizer does beyond what every optimizer promises."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from phoneproof.convert.base import CONVERTERS
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import InputBinding, Quant
from phoneproof.core.contract import Contract
from phoneproof.core.recipe import Dynamic, Io, Static
from phoneproof.formats.read_back import macs_above_int8, read_back
from phoneproof.formats.tflite import TfliteGraph, read_tflite
from phoneproof.formats.tflite_layers import layer_name
from phoneproof.pixels.values import value_tables
from phoneproof.runtimes.base import RUNTIMES
from tests.contract import test_optimizers as suite
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def contract(scale: float, mean: float, std: float) -> Contract:
    (image,) = tiny.CONTRACT.inputs
    spec = msgspec.structs.replace(image, scale=scale, mean=(mean,) * 3, std=(std,) * 3)
    return msgspec.structs.replace(tiny.CONTRACT, inputs=(spec,))


def step_error(contract: Contract, low: float, high: float) -> float:
    """Root mean square error of int8 pixels over a range, in steps."""
    scale = (high - low) / 255
    quant = Quant(scale=scale, zero_point=int(np.rint(-128 - low / scale)))
    shape = tiny.image_shape("NHWC")
    whole = InputBinding(tensor="image", shape=shape, layout="NHWC", dtype="int8", quant=quant)
    floats = InputBinding(tensor="image", shape=shape, layout="NHWC")
    stored = value_tables(contract.inputs[0], whole).astype(np.float64)
    real = value_tables(contract.inputs[0], floats).astype(np.float64)
    error = (stored - quant.zero_point) * scale - real
    return float(np.sqrt(np.mean(error**2))) / scale


@pytest.mark.parametrize(("scale", "mean", "std"), [(1 / 255, 0.0, 1.0), (1.0, 0.0, 1.0)])
def test_each_pixel_value_gets_an_integer_of_its_own(scale: float, mean: float, std: float) -> None:
    from phoneproof.optimize.input_bounds import input_bounds

    wanted = contract(scale, mean, std)
    assert step_error(wanted, *input_bounds(wanted)) < 1e-5


def test_pixels_around_zero_do_not_lose_a_bit() -> None:
    """-1..1 over its exact range puts every pixel half way between two integers."""
    from phoneproof.optimize.input_bounds import input_bounds

    wanted = contract(1 / 127.5, 1.0, 1.0)
    assert step_error(wanted, -1.0, 1.0) > 0.49
    assert step_error(wanted, *input_bounds(wanted)) < 0.3


@pytest.fixture
def source(model_files: dict[str, Path]) -> Path:
    return model_files["tflite"]


@pytest.fixture
def ranges(source: Path, tmp_path: Path) -> Path:
    path = tmp_path / "ranges.json"
    suite.write_ranges(path, suite.seen(source), of=source)
    return path


def quantized(source: Path, ranges: Path, recipe: Static | Dynamic, output: Path) -> WrittenModel:
    case = suite.Case(optimizer="tflite-quantized", recipe=recipe, precision="mixed", near=0.0)
    return suite.propose(case, source, ranges, output)


def of_kind(graph: TfliteGraph, op: str) -> tuple[str, ...]:
    return tuple(layer_name(graph, one) for one in graph.ops if one.name == op)


def shares(path: Path) -> dict[str, float]:
    found = read_back(path, "tflite")
    assert found is not None
    return {share.dtype: share.macs for share in found.shares}


def test_layers_keep_the_arithmetic_that_the_recipe_gives(
    source: Path, ranges: Path, tmp_path: Path
) -> None:
    first, second = of_kind(read_tflite(source), "CONV_2D")
    recipe = Static(int16_layers=(first,), float_layers=(second,))
    made = quantized(source, ranges, recipe, tmp_path / "candidate.tflite")
    assert made.binding.precision == "mixed"
    found = shares(tmp_path / "candidate.tflite")
    assert {kind for kind, macs in found.items() if macs} == {"int8", "int16", "float32"}
    whole = read_back(source, "tflite")
    assert whole is not None
    assert macs_above_int8(whole) == 1.0


def test_an_operator_without_int16_stays_float_and_is_said(
    source: Path, ranges: Path, tmp_path: Path
) -> None:
    (softmax,) = of_kind(read_tflite(source), "SOFTMAX")
    output = tmp_path / "candidate.tflite"
    made = quantized(source, ranges, Static(int16_layers=(softmax,)), output)
    assert dict(made.options)["kept_float"] == '[["SOFTMAX",1]]'
    types = [
        read_tflite(output).tensors[op.inputs[0]].dtype
        for op in read_tflite(output).ops
        if op.name == "SOFTMAX"
    ]
    assert types == ["float32"]


def test_int16_is_nearer_than_int8(source: Path, ranges: Path, tmp_path: Path) -> None:
    layers = tuple(layer_name(read_tflite(source), op) for op in read_tflite(source).ops)
    quantized(source, ranges, Static(), tmp_path / "narrow")
    made = quantized(source, ranges, Static(int16_layers=layers), tmp_path / "wide")
    assert made.binding.precision == "static_wi8_ai16"
    noise = {name: distance(source, tmp_path / name) for name in ("narrow", "wide")}
    assert noise["wide"] < noise["narrow"] / 2


def distance(source: Path, candidate: Path) -> float:
    feed = {"image": tiny.pixels("NCHW")}
    runtime = RUNTIMES.load("tflite")
    before, after = runtime.open(source).run(feed), runtime.open(candidate).run(feed)
    return float(np.sqrt(np.mean((after["map"] - before["map"]) ** 2)))


class DeadChannel(nn.Module):
    """A convolution with a channel of zero weights: its output is the bias alone."""

    BIAS = 3.0

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.head = nn.Linear(6, 5)
        with torch.no_grad():
            self.body.weight[2] = 0.0
            assert self.body.bias is not None
            self.body.bias[2] = self.BIAS

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.body(image)
        return torch.softmax(self.head(x.mean((2, 3))), 1), x


def channel_means(path: Path) -> NDArray[np.float64]:
    value = RUNTIMES.load("tflite").open(path).run({"image": tiny.pixels("NCHW")})["map"]
    means: NDArray[np.float64] = value.astype(np.float64).mean(axis=(0, 2, 3))
    return means


def test_the_bias_of_a_channel_without_weights_survives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scales of such a channel are so small that its bias does not fit 32 bits."""
    from phoneproof.optimize.backends import tflite_ranges

    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", DeadChannel())
    source = tmp_path / "source.tflite"
    CONVERTERS.load("hub-tflite").convert(tiny.request(hub, "NCHW", "NCHW", source))
    path = tmp_path / "ranges.json"
    suite.write_ranges(path, suite.seen(source), of=source)

    quantized(source, path, Static(), tmp_path / "candidate")
    np.testing.assert_allclose(channel_means(tmp_path / "candidate")[2], 3.0, atol=0.05)

    monkeypatch.setattr(tflite_ranges, "_weight_statistics", lambda *_: {})
    quantized(source, path, Static(), tmp_path / "lost")
    assert abs(channel_means(tmp_path / "lost")[2] - 3.0) > 1.0, "the control has to lose it"


def test_channels_share_their_zero_points(
    source: Path, ranges: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller, and it reads the same: eight bytes for each channel are written once."""
    from phoneproof.formats.tflite_zero_points import SharedZeroPoints

    quantized(source, ranges, Static(), tmp_path / "shared")
    monkeypatch.setattr(SharedZeroPoints, "wrap", lambda *_: None)
    quantized(source, ranges, Static(), tmp_path / "apart")
    shared, apart = (read_tflite(tmp_path / name) for name in ("shared", "apart"))
    assert [t.channel_quant for t in shared.tensors] == [t.channel_quant for t in apart.tensors]
    assert any(tensor.channel_quant for tensor in shared.tensors)
    smaller = (tmp_path / "apart").stat().st_size - (tmp_path / "shared").stat().st_size
    assert smaller >= 8 * (8 + 6)


def test_int8_input_and_float_output_equal_the_float_interface(
    source: Path, ranges: Path, tmp_path: Path
) -> None:
    """Fed the integers of the binding's table, the file does what it does with a float input."""
    recipe = Static(io=Io(input="int8"))
    made = quantized(source, ranges, recipe, tmp_path / "int8")
    quantized(source, ranges, Static(), tmp_path / "float")
    image = np.random.default_rng(5).integers(0, 256, tiny.SHAPE, dtype=np.uint8)
    (spec,) = tiny.CONTRACT.inputs
    fed = {}
    for name, binding in (("int8", made.binding.image), ("float", suite.bound(source).image)):
        table = value_tables(spec, binding)
        pixels = np.stack([table[c][image[0, c]] for c in range(3)])[None]
        runtime = RUNTIMES.load("tflite")
        fed[name] = runtime.open(tmp_path / name).run({"image": pixels})
    np.testing.assert_array_equal(fed["int8"]["map"], fed["float"]["map"])
