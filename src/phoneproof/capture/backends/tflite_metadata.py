"""What exporters pack into a TFLite file: labels, an Ultralytics record, the normalisation.

TFLite metadata (https://ai.google.dev/edge/litert/models/metadata) is a flatbuffer inside the
model, with files in a zip archive appended to it. Everything is bounded before it is read.
"""

from __future__ import annotations

import ast
import io
import json
import math
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any, Final

import flatbuffers
from flatbuffers import number_types

from phoneproof.core.capture import Finding
from phoneproof.core.errors import InvalidInput
from phoneproof.formats.tflite import TfliteGraph

_ENTRY: Final = "TFLITE_METADATA"
_IDENTIFIER: Final = b"M001"
_LARGEST_FILE: Final = 1 << 20
_MOST_FILES: Final = 64
_TRAINING: Final = ("imgsz", "stride", "task", "batch", "version", "date", "channels")
_IMAGE: Final = 0  # the first input tensor
_NORMALIZATION: Final = 1  # ProcessUnitOptions.NormalizationOptions
_MOST_CHANNELS: Final = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class TfliteMetadata:
    """labels: class names by index. task: of an Ultralytics export, "" for anything else.

    normalisation: (mean, std) of pixels 0..255, one each or one a channel; null without.
    """

    labels: tuple[str | None, ...] = ()
    task: str = ""
    license: str = ""
    training: tuple[tuple[str, str], ...] = ()
    normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    findings: tuple[Finding, ...] = ()


def read_metadata(data: bytes, graph: TfliteGraph, name: str) -> TfliteMetadata:
    """What the model file `data` says of itself; `name` is for messages.

    Raises:
        InvalidInput: an archive that unpacks to more than labels take, or a damaged one.
    """
    files = _packed_files(data, name)
    record = _record(files)
    labels, where = _labels(files, record)
    normalisation = _normalisation(graph.metadata.get(_ENTRY, b""))
    findings = []
    if labels:
        why = f"{where}, packed into the model file"
        findings.append(Finding(key="contract.labels", value=f"{len(labels)} names", reason=why))
    if normalisation is not None:
        mean, std = normalisation
        value = f"(pixel - {_shown(mean)}) / {_shown(std)}"
        why = "read: the normalisation in the file's TFLite metadata"
        findings.append(Finding(key="input.normalisation", value=value, reason=why))
    return TfliteMetadata(
        labels=labels,
        task=str(record.get("task", "")) if "names" in record else "",
        license=str(record.get("license", ""))[:200],
        training=tuple((key, str(record[key])[:200]) for key in _TRAINING if key in record),
        normalisation=normalisation,
        findings=tuple(findings),
    )


def _shown(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _packed_files(data: bytes, name: str) -> dict[str, bytes]:
    """Texts of the archive at the end of the file; empty where there is none."""
    stream = io.BytesIO(data)
    if not zipfile.is_zipfile(stream):
        return {}
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_FILES or sum(e.file_size for e in entries) > _LARGEST_FILE:
                raise InvalidInput(
                    f"the metadata of {name} is larger than labels are",
                    found=f"{len(entries)} files of {sum(e.file_size for e in entries)} bytes",
                    next_step="remove the archive appended to the file, or export it again",
                )
            return {entry.filename: _text(archive, entry) for entry in entries}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, RuntimeError) as error:
        raise InvalidInput(f"the metadata of {name} is damaged", found=str(error)) from error


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # A declared size is not to be trusted: read one byte more than allowed at most.
    with archive.open(entry) as stream:
        text = stream.read(_LARGEST_FILE + 1)
    if len(text) > _LARGEST_FILE:
        raise zipfile.BadZipFile(f"{entry.filename} unpacks to more than it declares")
    return text


def _record(files: dict[str, bytes]) -> dict[str, Any]:
    """Ultralytics' record: a literal in temp_meta.txt, JSON in metadata.json."""
    for name, text in files.items():
        base = name.rpartition("/")[2]
        try:
            if base == "metadata.json":
                value = json.loads(text)
            elif base == "temp_meta.txt":
                value = ast.literal_eval(text.decode("utf-8", "replace"))
            else:
                continue
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return {}


def _labels(files: dict[str, bytes], record: dict[str, Any]) -> tuple[tuple[str | None, ...], str]:
    names = record.get("names")
    if isinstance(names, dict) and names:
        try:
            table = {int(key): str(value) for key, value in names.items()}
        except (TypeError, ValueError):
            table = {}
        if table and min(table) >= 0 and max(table) < _LARGEST_FILE:
            return tuple(table.get(index) for index in range(max(table) + 1)), "names"
    for name, text in sorted(files.items()):
        if name.lower().endswith(".txt") and "label" in name.lower():
            lines = text.decode("utf-8", "replace").splitlines()
            return tuple(_label(line) for line in lines), name
    return (), ""


def _label(line: str) -> str | None:
    """Null for the background and for gaps (??? in COCO's map)."""
    label = line.strip()
    return None if label.lower() in ("", "???", "background", "__background__") else label


def _normalisation(entry: bytes) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """NormalizationOptions of the first input (metadata_schema.fbs); null where unreadable."""
    if entry[4:8] != _IDENTIFIER:
        return None
    try:
        root = flatbuffers.table.Table(
            entry, flatbuffers.encode.Get(number_types.UOffsetTFlags.packer_type, entry, 0)
        )
        subgraph = _item(_field(root, 3), 0)
        image = _item(_field(subgraph, 2), _IMAGE)
        units = _field(image, 4)
        for place in range(_length(units)):
            unit = _item(units, place)
            kind = _offset(unit, 0)
            if not kind or unit.Get(number_types.Uint8Flags, unit.Pos + kind) != _NORMALIZATION:
                continue
            options = _table(unit, 1)
            mean, std = _floats(options, 0), _floats(options, 1)
            if mean and len(mean) == len(std) and 0 not in std:
                return mean, std
    except (IndexError, ValueError, TypeError, _Absent, struct.error):
        return None
    return None


class _Absent(Exception):
    """A field that a flatbuffer leaves out."""


_Vector = tuple[Any, int]


def _offset(table: Any, field: int) -> int:
    return int(table.Offset(4 + 2 * field))


def _table(table: Any, field: int) -> Any:
    offset = _offset(table, field)
    if not offset:
        raise _Absent
    return flatbuffers.table.Table(table.Bytes, table.Indirect(table.Pos + offset))


def _field(table: Any, field: int) -> _Vector:
    """A vector: its table and the field's offset."""
    offset = _offset(table, field)
    if not offset:
        raise _Absent
    return table, offset


def _length(vector: _Vector) -> int:
    table, offset = vector
    length = int(table.VectorLen(offset))
    if length > len(table.Bytes):
        raise ValueError("a list longer than its file")
    return length


def _item(vector: _Vector, place: int) -> Any:
    table, offset = vector
    if place >= _length(vector):
        raise _Absent
    start = table.Vector(offset) + 4 * place
    return flatbuffers.table.Table(table.Bytes, table.Indirect(start))


def _floats(table: Any, field: int) -> tuple[float, ...]:
    vector = _field(table, field)
    count = _length(vector)
    if count > _MOST_CHANNELS:
        return ()
    start = table.Vector(vector[1])
    values = [table.Get(number_types.Float32Flags, start + 4 * place) for place in range(count)]
    return tuple(values) if all(math.isfinite(value) for value in values) else ()
