"""The ONNX optimizers on small graphs: what they write, what ONNX Runtime computes with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array, to_array

from phoneproof.core.artifact import WrittenModel, file_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.errors import InvalidInput, OptimizationFailed, PhoneproofError, Unsupported
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import (
    Dynamic,
    Float16,
    Io,
    MethodRanges,
    Ranges,
    Recipe,
    Static,
    TensorRange,
    WeightOnly,
)
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest, optimizer_for
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

CONTRACT: Final = Contract(
    name="small",
    task="raw",
    inputs=(
        ImageInput(
            geometry=(), size=(8, 8), scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    ),
)
OUTPUT_SHAPE: Final = (1, 12)


def drawn(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def small(*, opset: int = 12, stem: float = 1.0, head_channels: int = 8) -> onnx.ModelProto:
    """conv (channels of very unlike size), ReLU, depthwise, transposed, pool, Gemm, MatMul; the
    output joins two tensors, one a thousand times the other."""
    channels = np.geomspace(0.01, 1, 8, dtype=np.float32).reshape(8, 1, 1, 1)
    weights = {
        "stem.w": drawn(8, 3, 3, 3, seed=1) * channels * stem,
        "stem.b": drawn(8, seed=2),
        "depthwise.w": drawn(8, 1, 3, 3, seed=3) * channels,
        "up.w": drawn(8, head_channels, 2, 2, seed=4) / 4,
        "gemm.w": drawn(6, head_channels, seed=5),
        "gemm.b": drawn(6, seed=6),
        "matmul.w": drawn(6, 6, seed=7),
        "large": np.array(1000, np.float32),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["image", "stem.w", "stem.b"], ["stem"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["stem"], ["relu"]),
        node("Conv", ["relu", "depthwise.w"], ["depthwise"], pads=[1, 1, 1, 1], group=8),
        node("ConvTranspose", ["depthwise", "up.w"], ["up"], strides=[2, 2]),
        node("GlobalAveragePool", ["up"], ["pool"]),
        node("Flatten", ["pool"], ["flat"]),
        node("Gemm", ["flat", "gemm.w", "gemm.b"], ["gemm"], transB=1),
        node("MatMul", ["gemm", "matmul.w"], ["matmul"]),
        node("Mul", ["matmul", "large"], ["boxes"]),
        node("Sigmoid", ["gemm"], ["scores"]),
        node("Concat", ["boxes", "scores"], ["out"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, list(OUTPUT_SHAPE))],
        [from_array(value, name) for name, value in weights.items()],
    )
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(
        graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports)
    )


def image(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((1, 3, 8, 8), dtype=np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(small(), tmp_path / "source.onnx")


def write(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def calibrated(source: Path) -> Path:
    """ranges.json beside the source, from twenty seeded images."""
    session = OnnxRuntime().open_for_trace(source)
    seen: dict[str, list[float]] = {}
    for seed in range(20):
        pixels = image(seed)
        for name, value in (("image", pixels), *session.trace({"image": pixels})):
            seen.setdefault(name, []).extend((float(value.min()), float(value.max())))
    tensors = tuple(
        TensorRange(tensor=name, low=min(values), high=max(values)) for name, values in seen.items()
    )
    ranges = Ranges(
        artifact=file_sha256(source), methods=(MethodRanges(method="min_max", ranges=tensors),)
    )
    path = source.with_suffix(".json")
    path.write_bytes(canonical_bytes(ranges))
    return path


def propose(source: Path, recipe: Recipe) -> tuple[WrittenModel, onnx.ModelProto, Path]:
    output = source.with_name("candidate.onnx")
    binding = Binding(
        contract=CONTRACT.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="image", shape=(1, 3, 8, 8), layout="NCHW"),),
        outputs=(OutputBinding(tensor="out", role="raw", shape=OUTPUT_SHAPE),),
    )
    request = OptimizeRequest(
        artifact=source,
        contract=CONTRACT,
        binding=binding,
        recipe=recipe,
        output=output,
        ranges=calibrated(source) if isinstance(recipe, Static) else None,
    )
    written = OPTIMIZERS.load(optimizer_for("onnx", recipe)).propose(request)
    return written, onnx.load(output), output


def snr(source: Path, candidate: Path, columns: slice) -> float:
    """Signal to noise (dB) of some columns of the output over ten images that nobody saw."""
    sessions = [OnnxRuntime().open(path) for path in (source, candidate)]
    before, after = (
        np.concatenate([one.run({"image": image(seed)})["out"] for seed in range(100, 110)])
        for one in sessions
    )
    signal, noise = before[:, columns], (after - before)[:, columns]
    return float(10 * np.log10(np.sum(signal**2) / np.sum(noise**2)))


BOXES, SCORES = slice(0, 6), slice(6, 12)


@pytest.mark.parametrize(
    ("recipe", "least"),
    [
        (Float16(float32_share=0.0), 55.0),
        (WeightOnly(), 35.0),
        (Dynamic(), 28.0),
        (Static(), 25.0),
        (Static(int16_layers=("stem", "depthwise", "up", "pool", "gemm", "matmul")), 28.0),
    ],
)
def test_every_recipe_keeps_both_halves_of_the_output(
    source: Path, recipe: Recipe, least: float
) -> None:
    """Boxes of thousands and scores below one, joined: neither may drown in the other's scale;
    the depthwise channels differ a hundredfold: only scales by channel keep the small ones."""
    _, _, candidate = propose(source, recipe)
    assert snr(source, candidate, BOXES) > least
    assert snr(source, candidate, SCORES) > least


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-0.1, 0.2), (2.0, 4.0), (-4.0, -2.0)])
@pytest.mark.parametrize("layers", [(), ("stem", "relu")])
def test_a_clip_still_cuts(
    tmp_path: Path, low: float, high: float, layers: tuple[str, ...]
) -> None:
    """The library takes clips away; those that hold no zero must stay."""
    model = small()
    clip = model.graph.node[1]
    clip.op_type = "Clip"
    clip.input.extend(["low", "high"])
    for name, value in (("low", low), ("high", high)):
        model.graph.initializer.append(from_array(np.array(value, np.float32), name))
    source = write(model, tmp_path / "source.onnx")
    _, _, candidate = propose(source, Static(int16_layers=layers))
    assert snr(source, candidate, SCORES) > 20


def test_one_scale_for_both_halves_would_be_seen(source: Path, tmp_path: Path) -> None:
    """The control: the same output rounded to the steps of its largest half."""
    model = onnx.load(source)
    model.graph.node[-1].output[0] = "joined"
    step = from_array(np.array(40, np.float32), "step")
    model.graph.initializer.append(step)
    for op, inputs, output in (
        ("Div", ["joined", "step"], "steps"),
        ("Round", ["steps"], "whole"),
        ("Mul", ["whole", "step"], "out"),
    ):
        model.graph.node.append(helper.make_node(op, inputs, [output]))
    assert snr(source, write(model, tmp_path / "joined.onnx"), SCORES) < 5


def kinds(model: onnx.ModelProto) -> dict[str, str]:
    """Weight layer -> what feeds its weights."""
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    layers = ("Conv", "ConvTranspose", "Gemm", "MatMul")
    return {
        node.output[0]: makers.get(node.input[1], "float32")
        for node in model.graph.node
        if node.op_type in layers
    }


@pytest.mark.parametrize(
    "recipe", [Static(float_layers=("gemm",)), WeightOnly(float_layers=("gemm",))]
)
def test_float_layers_keep_their_weights(source: Path, recipe: Recipe) -> None:
    _, model, _ = propose(source, recipe)
    found = kinds(model)
    assert found.pop("gemm") == "float32"
    assert set(found.values()) == {"DequantizeLinear"}
    stored = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(stored["gemm.w"], drawn(6, 8, seed=5))


def test_dynamic_float_layers_keep_their_weights(source: Path) -> None:
    _, model, _ = propose(source, Dynamic(float_layers=("gemm", "depthwise")))
    assert kinds(model) == {"gemm": "float32", "depthwise": "float32", "up": "DequantizeLinear"}
    integers = [node.op_type for node in model.graph.node if "Integer" in node.op_type]
    assert integers == ["ConvInteger", "MatMulInteger"]


def test_weights_are_int8_by_channel_and_symmetric(source: Path) -> None:
    _, model, _ = propose(source, Static())
    stored = {tensor.name: to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and stored.get(node.input[0], np.zeros(1)).ndim > 1:
            values, scale, zero = (stored[name] for name in node.input)
            assert values.dtype == np.int8
            assert values.min() >= -127
            assert scale.size > 1
            assert not zero.any()


@pytest.mark.parametrize(("layers", "version"), [((), 13), (("stem",), 21)])
def test_the_opset_is_raised_as_far_as_needed_and_said(
    source: Path, layers: tuple[str, ...], version: int
) -> None:
    written, model, _ = propose(source, Static(int16_layers=layers))
    assert [one.version for one in model.opset_import if one.domain == ""] == [version]
    assert {("opset", str(version)), ("opset_before", "12")} <= set(written.options)
    zeros = {to_array(tensor).dtype.name for tensor in model.graph.initializer}
    assert ("int16" in zeros) == bool(layers)


def test_weights_shared_with_a_float_layer_stay_float_there(tmp_path: Path) -> None:
    model = small()
    for node in model.graph.node:
        if node.output[0] == "matmul":
            node.op_type = "Gemm"
            node.input[:] = ["gemm", "gemm.w", "gemm.b"]
            node.attribute.append(helper.make_attribute("transB", 1))
    model.graph.initializer[4].CopyFrom(from_array(drawn(6, 6, seed=5), "gemm.w"))
    model.graph.initializer[3].CopyFrom(from_array(drawn(8, 6, 2, 2, seed=4) / 4, "up.w"))
    source = write(model, tmp_path / "shared.onnx")
    _, candidate, path = propose(source, Static(float_layers=("matmul",)))
    assert kinds(candidate)["matmul"] == "float32"
    assert kinds(candidate)["gemm"] == "DequantizeLinear"
    assert snr(source, path, BOXES) > 20


def refused(source: Path, recipe: Recipe, kind: type[PhoneproofError]) -> str:
    with pytest.raises(kind) as failure:
        propose(source, recipe)
    assert not source.with_name("candidate.onnx").exists()
    return str(failure.value)


@pytest.mark.parametrize(
    ("recipe", "kind", "words"),
    [
        (Static(io=Io(input="int8")), Unsupported, "float32 inputs"),
        (Static(io=Io(output="uint8")), Unsupported, "float32 inputs"),
        (WeightOnly(bits=4), Unsupported, "4-bit"),
        (Static(int16_layers=("stam",)), OptimizationFailed, "did you mean 'stem'"),
        (Dynamic(float_layers=("nothing like it",)), OptimizationFailed, "nothing like it"),
        (Float16(float32_share=1.0), OptimizationFailed, "no weights"),
    ],
)
def test_recipes_that_do_not_fit(
    source: Path, recipe: Recipe, kind: type[PhoneproofError], words: str
) -> None:
    assert words in refused(source, recipe, kind)


RECIPES: Final[Sequence[Recipe]] = (Static(), Dynamic(), WeightOnly(), Float16(float32_share=0.01))


@pytest.mark.parametrize("recipe", RECIPES[1:])
def test_weights_in_another_file_are_refused(tmp_path: Path, recipe: Recipe) -> None:
    model = small()
    onnx.external_data_helper.convert_model_to_external_data(
        model, location="weights.bin", size_threshold=0
    )
    source = tmp_path / "source.onnx"
    onnx.save(model, source)
    assert "another file" in refused(source, recipe, Unsupported)


@pytest.mark.parametrize("recipe", RECIPES)
def test_branches_are_refused(tmp_path: Path, recipe: Recipe) -> None:
    model = small(opset=13)
    copied = helper.make_tensor_value_info("copied", TensorProto.FLOAT, None)
    branch = helper.make_graph(
        [helper.make_node("Identity", ["scores"], ["copied"])], "branch", [], [copied]
    )
    model.graph.initializer.append(from_array(np.array(True), "always"))
    last = model.graph.node.pop()
    choice = helper.make_node("If", ["always"], ["chosen"], then_branch=branch, else_branch=branch)
    last.input[1] = "chosen"
    model.graph.node.extend([choice, last])
    source = write(model, tmp_path / "source.onnx")
    assert "branches" in refused(source, recipe, Unsupported)


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_old_opset_or_a_quantized_file_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    source = write(small(), tmp_path / "source.onnx")
    propose(source, Static())
    quantized = source.with_name("candidate.onnx").rename(tmp_path / "quantized.onnx")
    assert "no float32 model" in refused(quantized, recipe, InvalidInput)
    if not isinstance(recipe, Float16):  # Cast is as old as ONNX
        old = write(small(opset=10), tmp_path / "old.onnx")
        assert "opset 10" in refused(old, recipe, Unsupported)


@pytest.mark.parametrize("value", [1e5, np.inf, np.nan])
def test_weights_beyond_float16_are_named(tmp_path: Path, value: float) -> None:
    model = small()
    weights = drawn(6, 6)
    weights[2, 3] = value
    model.graph.initializer[6].CopyFrom(from_array(weights, "matmul.w"))
    source = write(model, tmp_path / "source.onnx")
    assert "matmul.w" in refused(source, Float16(float32_share=0.0), OptimizationFailed)
