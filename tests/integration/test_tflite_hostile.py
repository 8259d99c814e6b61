"""Damaged and hostile TFLite files: a clear error, quickly, and nothing runs or is read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from phoneproof.capture.backends.tflite import TfliteSource
from phoneproof.capture.backends.tflite_to_hub import TfliteNetwork, hub_from_tflite
from phoneproof.core.errors import InvalidInput, PhoneproofError, Unsupported
from phoneproof.formats.tflite import parse_tflite, read_tflite
from tests.assets import asset
from tests.integration.tflite_files import TfliteFile, packed, unpacked

SHAPE = (1, 8, 8, 3)


def _good() -> bytes:
    file = TfliteFile()
    image = file.add(SHAPE, name="image")
    options = schema.Conv2DOptionsT(padding=0, strideW=1, strideH=1)
    options.dilationWFactor = options.dilationHFactor = 1
    weights = file.const(np.ones((4, 3, 3, 3), np.float32))
    bias = file.const(np.zeros(4, np.float32))
    made = file.node("CONV_2D", [image, weights, bias], (1, 8, 8, 4), options=options)
    return file.pack([image], [made])


def _capture(path: Path) -> None:
    """What a build does before it runs anything."""
    TfliteSource().inspect(path)
    TfliteNetwork(read_tflite(path), SHAPE)


def test_the_undamaged_file_is_captured(tmp_path: Path) -> None:
    path = tmp_path / "good.tflite"
    path.write_bytes(_good())
    _capture(path)


def _sparse(model: Any) -> None:
    model.subgraphs[0].tensors[1].sparsity = schema.SparsityParametersT()


def _short_weights(model: Any) -> None:
    model.buffers[1].data = model.buffers[1].data[:-4]


def _huge_shape(model: Any) -> None:
    model.subgraphs[0].tensors[1].shape = [2**31 - 1] * 4


def _negative_shape(model: Any) -> None:
    model.subgraphs[0].tensors[1].shape = [4, -3, -3, 3]


def _wide_weights(model: Any) -> None:
    model.subgraphs[0].tensors[1].shape = [4, 3, 9, 1]


def _outside_buffer(model: Any) -> None:
    model.buffers[1].data = None
    model.buffers[1].offset, model.buffers[1].size = 1 << 40, 432


def _wrapping_buffer(model: Any) -> None:
    model.buffers[1].data = None
    model.buffers[1].offset, model.buffers[1].size = 2**64 - 8, 432


def _no_such_buffer(model: Any) -> None:
    model.subgraphs[0].tensors[1].buffer = 999


def _no_such_tensor(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [0, 77, 2]


def _no_such_code(model: Any) -> None:
    model.subgraphs[0].operators[0].opcodeIndex = 5


def _reads_itself(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = [3, 1, 2]


def _no_stride(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptions.strideW = 0


def _negative_stride(model: Any) -> None:
    model.subgraphs[0].operators[0].builtinOptions.strideH = -1


def _odd_scales(model: Any) -> None:
    tensor = model.subgraphs[0].tensors[1]
    tensor.type = schema.TensorType.INT8
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [1.0] * 7, [0] * 7
    model.buffers[1].data = np.ones(108, np.uint8)


FAULTS: list[tuple[Callable[[Any], None], type[PhoneproofError]]] = [
    (_sparse, Unsupported),
    (_short_weights, InvalidInput),
    (_huge_shape, InvalidInput),
    (_negative_shape, InvalidInput),
    (_wide_weights, InvalidInput),
    (_outside_buffer, InvalidInput),
    (_wrapping_buffer, InvalidInput),
    (_no_such_buffer, InvalidInput),
    (_no_such_tensor, InvalidInput),
    (_no_such_code, InvalidInput),
    (_reads_itself, InvalidInput),
    (_no_stride, InvalidInput),
    (_negative_stride, InvalidInput),
    (_odd_scales, InvalidInput),
]


@pytest.mark.parametrize(("damage", "error"), FAULTS, ids=lambda value: value.__name__)
def test_damage_is_named(
    damage: Callable[[Any], None], error: type[PhoneproofError], tmp_path: Path
) -> None:
    model = unpacked(_good())
    damage(model)
    path = tmp_path / "bad.tflite"
    path.write_bytes(packed(model))
    with pytest.raises(error):
        _capture(path)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_truncated_files_are_refused(share: float, tmp_path: Path) -> None:
    data = asset("models/classify/cifar10_resnet8_float.tflite").read_bytes()
    path = tmp_path / "cut.tflite"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidInput):
        _capture(path)


def test_scrambled_bytes_never_raise_anything_else(tmp_path: Path) -> None:
    """Whatever three hundred random bytes say, the answer is an error of ours or a model."""
    data = _good()
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for place in rng.integers(8, len(data), 3):
            broken[place] = int(rng.integers(0, 256))
        path = tmp_path / "scrambled.tflite"
        path.write_bytes(bytes(broken))
        try:
            _capture(path)
        except PhoneproofError:
            refused += 1
    assert refused > 50


def _zip(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return stream.getvalue()


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tflite"
    path.write_bytes(_good() + _zip({"labels.txt": b"\n" * (64 << 20)}))
    with pytest.raises(InvalidInput, match="larger than labels"):
        TfliteSource().inspect(path)


def test_packed_labels_are_read_and_nothing_is_run_or_written(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    record = f"__import__('pathlib').Path({str(canary)!r}).write_text('ran')"
    files = {"temp_meta.txt": record.encode(), f"../{canary.name}": b"x", "labels.txt": b"cat\ndog"}
    path = tmp_path / "model.tflite"
    path.write_bytes(_good() + _zip(files))
    inspection = TfliteSource().inspect(path)
    assert inspection.labels == ("cat", "dog")
    assert not canary.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.tflite"]


def test_an_ultralytics_record_is_a_literal(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    record = b"{'task': 'detect', 'stride': 32, 'names': {0: 'cat', 2: 'dog'}}"
    path.write_bytes(_good() + _zip({"temp_meta.txt": record}))
    assert TfliteSource().inspect(path).labels == ("cat", None, "dog")


@pytest.mark.parametrize("op", ["MyCanary", "FlexConv2D", "TFLite_Detection_PostProcess"])
def test_custom_operators_are_named_and_refused(op: str) -> None:
    file = TfliteFile()
    image = file.add(SHAPE)
    made = file.node(op, [image])
    with pytest.raises(Unsupported, match=op):
        hub_from_tflite(file.pack([image], [made]), shape=SHAPE)


@pytest.mark.parametrize("op", ["WHILE", "IF", "CALL_ONCE", "VAR_HANDLE"])
def test_control_flow_is_named_and_refused(op: str) -> None:
    file = TfliteFile()
    image = file.add(SHAPE)
    made = file.node(op, [image])
    with pytest.raises(Unsupported, match=op):
        hub_from_tflite(file.pack([image], [made]), shape=SHAPE)


def test_tensors_made_from_nothing_are_bounded() -> None:
    file = TfliteFile()
    image = file.add(SHAPE)
    many = file.const(np.array([1 << 20, 1 << 10, 1, 1], np.int32))
    made = file.node("TILE", [image, many])
    graph = parse_tflite(file.pack([image], [made]), "tile")
    with pytest.raises(InvalidInput, match="makes a tensor"):
        TfliteNetwork(graph, SHAPE)
