"""Core ML packages made message by message, for tests of what reads them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phoneproof.formats.coreml.messages import Message, model_messages, program_messages

ENTRY = struct.Struct("<IIQQQ32x")
HEADER = struct.Struct("<II56x")
SENTINEL = 0xDEADBEEF
FLOAT32, FLOAT16, INT4 = 2, 1, 8


def blob(*tensors: tuple[int, bytes]) -> tuple[bytes, list[int]]:
    """A file of weights from (type code, numbers), and the offsets of its tensors."""
    data, offsets = bytearray(HEADER.pack(len(tensors), 2)), []
    for code, numbers in tensors:
        offsets.append(len(data))
        start = len(data) + ENTRY.size
        data += ENTRY.pack(SENTINEL, code, len(numbers), start, 0) + numbers
        data += bytes(-len(data) % 64)
    return bytes(data), offsets


def weights() -> NDArray[np.float32]:
    return np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2) / np.float32(7)


def _tensor(message: Message, kind: str, *sides: int) -> None:
    message.tensorType.dataType = program_messages().DataType.Value(kind)
    message.tensorType.rank = len(sides)
    for side in sides:
        message.tensorType.dimensions.add().constant.size = side


def add_constant(block: Message, name: str, kind: str, *sides: int) -> Message:
    """A ``const``; the caller sets the returned value."""
    operation = block.operations.add(type="const")
    text = operation.attributes["name"]
    _tensor(text.type, "STRING")
    text.immediateValue.tensor.strings.values.append(name)
    output = operation.outputs.add(name=name)
    _tensor(output.type, kind, *sides)
    value = operation.attributes["val"]
    _tensor(value.type, kind, *sides)
    return value


def specification(offset: int = 64, file: str = "@model_path/weights/weight.bin") -> Message:
    """One conv of [1, 3, 8, 6] with the weights of `weights`, and a relu."""
    spec = model_messages().Model(specificationVersion=8)
    for entry, name, shape in (
        (spec.description.input, "image", (1, 3, 8, 6)),
        (spec.description.output, "out", (1, 2, 7, 5)),
    ):
        feature = entry.add(name=name)
        feature.type.multiArrayType.shape.extend(shape)
        feature.type.multiArrayType.dataType = 65568
    spec.description.metadata.userDefined["author"] = "a test"
    spec.mlProgram.version = 1
    function = spec.mlProgram.functions["main"]
    function.opset = "CoreML7"
    _tensor(function.inputs.add(name="image").type, "FLOAT32", 1, 3, 8, 6)
    block = function.block_specializations["CoreML7"]
    kernel = add_constant(block, "kernel", "FLOAT32", 2, 3, 2, 2)
    kernel.blobFileValue.fileName = file
    kernel.blobFileValue.offset = offset
    add_constant(block, "kind", "STRING").immediateValue.tensor.strings.values.append("valid")
    add_operation(
        block, "conv", "middle", (1, 2, 7, 5), x="image", weight="kernel", pad_type="kind"
    )
    add_operation(block, "relu", "out", (1, 2, 7, 5), x="middle")
    block.outputs.append("out")
    return spec


def add_operation(
    block: Message, kind: str, output: str, shape: tuple[int, ...], /, **inputs: str
) -> Message:
    operation = block.operations.add(type=kind)
    for key, name in inputs.items():
        operation.inputs[key].arguments.add().name = name
    _tensor(operation.outputs.add(name=output).type, "FLOAT32", *shape)
    return operation


def write(path: Path, spec: Message, data: bytes | None) -> Path:
    """A package folder."""
    folder = path / "Data" / "com.apple.CoreML"
    (folder / "weights").mkdir(parents=True)
    (folder / "model.mlmodel").write_bytes(spec.SerializeToString())
    if data is not None:
        (folder / "weights" / "weight.bin").write_bytes(data)
    manifest = {
        "fileFormatVersion": "1.0.0",
        "itemInfoEntries": {
            "m": {"path": "com.apple.CoreML/model.mlmodel"},
            "w": {"path": "com.apple.CoreML/weights"},
        },
        "rootModelIdentifier": "m",
    }
    (path / "Manifest.json").write_text(json.dumps(manifest))
    return path


def package(path: Path) -> Path:
    """The package of `specification`, whole."""
    data, offsets = blob((FLOAT32, weights().tobytes()))
    return write(path, specification(offsets[0]), data)
