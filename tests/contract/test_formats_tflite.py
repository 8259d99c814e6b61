"""TFLite files: what is read, what is changed, what is refused."""

from __future__ import annotations

import random
from pathlib import Path

import flatbuffers
import msgspec
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from phoneproof.convert.backends.tflite_artifact import checked_tensors
from phoneproof.core.errors import ConversionFailed, InvalidInput, OptimizationFailed, Unsupported
from phoneproof.formats.tflite import inventory, parse_tflite, read_inventory, read_tflite
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.backends.tflite_float16 import require_float16_range
from phoneproof.runtimes.base import RUNTIMES
from tests.assets import asset
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NAMES = TfliteEdit(inputs=("picture",), outputs=("first", "second"), metadata={"note": b"x\x00y"})


IMAGE = msgspec.structs.replace(tiny.OUTPUTS[0], name="image", shape=tiny.SHAPE, dtype="float32")


@pytest.fixture(scope="module")
def data(model_files: dict[str, Path]) -> bytes:
    return model_files["tflite"].read_bytes()


def with_operator(data: bytes, code: int, custom: bytes | None = None) -> bytes:
    """The model with its first operator code replaced, in place in the flatbuffer."""
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    model.operatorCodes[0].builtinCode = code
    model.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)
    model.operatorCodes[0].customCode = custom
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_the_tiny_network_is_read(data: bytes) -> None:
    graph = parse_tflite(data, "tiny")
    counts = dict(inventory(graph).ops)
    assert counts["CONV_2D"] == 2
    assert counts["RESIZE_NEAREST_NEIGHBOR"] == 1, "GATHER_ND would be slow on phones"
    assert inventory(graph).precision == "float32"
    weights = dict(inventory(graph).weights_bytes)
    assert weights["float32"] >= 4 * (3 * 8 * 9 + 8 + 8 * 6 * 9 + 6 + 6 * 5 + 5)


def test_tensor_names_are_operators(data: bytes) -> None:
    graph = parse_tflite(data, "tiny")
    named = [graph.tensors[op.outputs[0]].name for op in graph.ops if op.name == "CONV_2D"]
    assert all(name.startswith("conv_2d_") for name in named)
    names = [tensor.name for tensor in graph.tensors]
    assert len(set(names)) == len(names)


def test_an_edit_changes_names_and_metadata_and_nothing_else(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "renamed.tflite"
    path.write_bytes(edit_tflite(data, NAMES, "tiny"))
    before, after = parse_tflite(data, "tiny"), read_tflite(path)
    assert after.metadata == {**before.metadata, "note": b"x\x00y"}
    assert [op.name for op in after.ops] == [op.name for op in before.ops]
    assert inventory(after) == inventory(before)
    session = RUNTIMES.load("tflite").open(path)
    assert [spec.name for spec in session.inputs + session.outputs] == [
        "picture",
        "first",
        "second",
    ]
    feed = tiny.pixels("NCHW")
    (path.parent / "plain.tflite").write_bytes(data)
    plain = RUNTIMES.load("tflite").open(path.parent / "plain.tflite").run({"image": feed})
    renamed = session.run({"picture": feed})
    assert all(map(np.array_equal, plain.values(), renamed.values()))


def test_an_edit_is_stable(data: bytes) -> None:
    once = edit_tflite(data, NAMES, "tiny")
    assert once == edit_tflite(data, NAMES, "tiny")
    assert once == edit_tflite(once, NAMES, "tiny")


def test_weights_are_aligned(data: bytes) -> None:
    model = schema.Model.GetRootAs(edit_tflite(data, NAMES, "tiny"), 0)
    for index in range(model.BuffersLength()):
        buffer = model.Buffers(index)
        if buffer.DataLength():
            start = buffer._tab.Vector(buffer._tab.Offset(4))
            assert start % 16 == 0


def test_the_wrong_number_of_names_is_refused(data: bytes) -> None:
    edit = TfliteEdit(inputs=("image",), outputs=("one",), metadata={})
    with pytest.raises(InvalidInput):
        edit_tflite(data, edit, "tiny")


def test_custom_and_flex_operators_are_refused_by_name(data: bytes) -> None:
    wanted = (IMAGE, *tiny.OUTPUTS)
    checked_tensors(
        parse_tflite(data, "tiny"), wanted, "a converter"
    )  # the control: the file itself passes
    custom = schema.BuiltinOperator.CUSTOM
    for name in (b"FlexErf", b"MyOperator"):
        graph = parse_tflite(with_operator(data, custom, name), "tiny")
        with pytest.raises(Unsupported) as caught:
            checked_tensors(graph, wanted, "a converter")
        assert name.decode() in caught.value.found


def test_changed_tensors_are_refused(data: bytes) -> None:
    graph = parse_tflite(data, "tiny")
    renamed = msgspec.structs.replace(IMAGE, name="picture")
    other = msgspec.structs.replace(IMAGE, dtype="int8")
    for spec in (renamed, other):
        with pytest.raises(ConversionFailed) as caught:
            checked_tensors(graph, (spec, *tiny.OUTPUTS), "a converter")
        assert "image float32" in caught.value.found


def test_a_weight_that_float16_cannot_hold_is_refused(data: bytes) -> None:
    require_float16_range(parse_tflite(data, "tiny"))  # the control
    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    tensor = next(
        t
        for t in model.subgraphs[0].tensors
        if t.shape is not None and len(t.shape) == 4 and model.buffers[t.buffer].data is not None
    )
    weights = np.array(model.buffers[tensor.buffer].data).view(np.float32).copy()
    weights[3] = -70000.0
    model.buffers[tensor.buffer].data = weights.view(np.uint8)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    with pytest.raises(OptimizationFailed) as caught:
        require_float16_range(parse_tflite(bytes(builder.Output()), "tiny"))
    assert "70000" in caught.value.found


def test_damaged_bytes_never_crash_the_reader(data: bytes) -> None:
    chance = random.Random(5)
    refused = 0
    for _ in range(300):
        damaged = bytearray(data)
        for _ in range(4):
            damaged[chance.randrange(8, len(data))] = chance.randrange(256)
        try:
            inventory(parse_tflite(bytes(damaged), "tiny"))
        except InvalidInput:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9])
def test_truncated_files_are_refused(data: bytes, share: float) -> None:
    with pytest.raises(InvalidInput):
        parse_tflite(data[: int(len(data) * share)], "tiny")


@pytest.mark.parametrize(
    ("file", "precision"),
    [
        ("models/classify/cifar10_resnet8_float.tflite", "float32"),
        ("models/classify/cifar10_resnet8_int8.tflite", "static_wi8_ai8"),
        ("models/classify/mobilenet_v1_0.25_128_quant.tflite", "static_wi8_ai8"),
        ("models/detect/yolov8n_int8.tflite", "dynamic_wi8"),
        ("models/detect/yolov8n_full_integer_quant.tflite", "static_wi8_ai8"),
        ("models/detect/yolox_nano_mask3_float16.tflite", "float16"),
    ],
)
def test_precision_of_real_files(file: str, precision: str) -> None:
    assert read_inventory(asset(file)).precision == precision
