"""Bundles whose Core ML file was altered afterwards and sealed again, so that no hash tells."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import msgspec

from phoneproof.core.artifact import Artifact, tree_bytes, tree_sha256
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.messages import Message
from phoneproof.formats.model_file import write_bytes
from phoneproof.package.app_parts import BINDING_SUFFIX
from phoneproof.package.bundle import (
    GOLDEN,
    MANIFEST,
    REPORT,
    listed_files,
    read_bundle,
)
from phoneproof.package.golden import INDEX

Fault = Callable[[Path], None]
BGR = 30
"""ImageFeatureType.ColorSpace."""


def altered(bundle: Path, copy: Path, fault: Fault) -> Path:
    """A copy of a bundle of one Core ML file, with a fault in it and every hash as it has to be."""
    shutil.copytree(bundle, copy)
    sealed = read_bundle(copy)
    (artifact,) = sealed.manifest.artifacts
    fault(copy / artifact.path)
    new = _described(copy / artifact.path, artifact)
    binding = copy / f"{artifact.path}{BINDING_SUFFIX}"
    binding.write_bytes(pretty_bytes(new.binding))
    index = parse((copy / GOLDEN / INDEX).read_bytes(), GoldenIndex, what="index")
    known = msgspec.structs.replace(index, artifacts=((new.id, new.sha256),))
    (copy / GOLDEN / INDEX).write_bytes(pretty_bytes(known))
    said = tuple(
        msgspec.structs.replace(one, sha256=new.sha256, bytes=new.bytes)
        for one in sealed.report.artifacts
    )
    report = msgspec.structs.replace(sealed.report, artifacts=said)
    (copy / REPORT).write_bytes(pretty_bytes(report))
    (copy / MANIFEST).unlink()
    manifest = msgspec.structs.replace(sealed.manifest, artifacts=(new,), files=listed_files(copy))
    (copy / MANIFEST).write_bytes(pretty_bytes(manifest))
    return copy


def _described(path: Path, artifact: Artifact) -> Artifact:
    sha256 = tree_sha256(path)
    binding = msgspec.structs.replace(artifact.binding, artifact=sha256)
    return msgspec.structs.replace(artifact, sha256=sha256, bytes=tree_bytes(path), binding=binding)


def exchange_weights(package: Path) -> None:
    """The numbers of the largest tensor in the opposite order: another model's, of that shape."""
    file = next(package.rglob("weight.bin"))
    data = bytearray(file.read_bytes())
    size, start = max(_tensors(data))
    data[start : start + size] = _reversed(data[start : start + size])
    file.write_bytes(bytes(data))


def _tensors(data: bytearray) -> list[tuple[int, int]]:
    """(bytes, where they begin) of each tensor of a blob file, by its headers."""
    found = []
    for at in range(64, len(data) - 63, 64):
        sentinel, _, size, start = struct.unpack_from("<IIQQ", data, at)
        if sentinel == 0xDEADBEEF:
            found.append((size, start))
    return found


def _reversed(data: bytearray) -> bytes:
    numbers = struct.unpack(f"<{len(data) // 4}f", data)
    return struct.pack(f"<{len(numbers)}f", *reversed(numbers))


def scale_twice(package: Path) -> None:
    """Pixels divided by 255 once more."""

    def edit(spec: Message) -> None:
        (block,) = spec.mlProgram.functions["main"].block_specializations.values()
        (constant,) = [
            op for op in block.operations if op.type == "const" and "pixel_mul" in _name(op)
        ]
        values = constant.attributes["val"].immediateValue.tensor.floats.values
        for place, value in enumerate(values):
            values[place] = value / 255

    _edit(package, edit)


def declare_bgr(package: Path) -> None:
    """The system is asked for blue, green, red."""

    def edit(spec: Message) -> None:
        spec.description.input[0].type.imageType.colorSpace = BGR

    _edit(package, edit)


def _name(operation: Message) -> str:
    return str(operation.outputs[0].name)


def _edit(package: Path, edit: Callable[[Message], None]) -> None:
    file = read_coreml(package)
    edit(file.spec)
    write_bytes(file.model, file.spec.SerializeToString(deterministic=True))
