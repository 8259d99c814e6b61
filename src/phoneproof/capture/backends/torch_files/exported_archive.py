"""A torch.export archive, made safe to load: checked, and packed again without its pickles."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import (
    ZIP_ERRORS,
    check_first_bytes,
    checked_entries,
    damaged,
)
from phoneproof.capture.backends.torch_files.exported_json import (
    checked_payload,
    checked_program,
)
from phoneproof.capture.backends.torch_files.legacy import is_legacy
from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.capture.backends.torch_files.torch_file import refuse_hostile
from phoneproof.capture.backends.torch_files.unpickle import read_pickle
from phoneproof.core.errors import InvalidInput, Unsupported

MODEL: Final = "models/model.json"
_SAMPLE: Final = "data/sample_inputs/model.pt"
_TABLES: Final = (
    "data/weights/model_weights_config.json",
    "data/constants/model_constants_config.json",
)
_KEPT: Final = ("archive_format", "archive_version", "byteorder", ".data/version")
_IGNORED: Final = (".data/", "extra/", "data/sample_inputs/")
_TENSORS: Final = ("data/weights/weight_", "data/constants/tensor_")
_COMPILED: Final = "data/aotinductor/"
_BEFORE_2_8: Final = "serialized_exported_program.json"


def is_exported(path: Path) -> bool:
    """Whether a zip archive is one of torch.export."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        return False
    return any(name in (_BEFORE_2_8,) or name.partition("/")[2] == MODEL for name in names)


def safe_archive(path: Path) -> bytes:
    """The archive with its tensors and its checked program, and nothing else.

    The example inputs, which torch.export.load unpickles without restriction, are left out.

    Raises:
        InvalidInput: truncated, a zip bomb, a pickle that calls functions, text that would be
            evaluated.
        Unsupported: of torch before 2.8, with compiled libraries, pickled tensors or operators of
            other libraries.
    """
    if is_legacy(path):
        raise InvalidInput(f"{path.name} is a legacy torch file, not an exported program")
    check_first_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = checked_entries(path, archive.infolist())
            parts = {_inner(path, name): archive.read(info) for name, info in entries.items()}
    except ZIP_ERRORS as error:
        raise damaged(path, error) from error
    return _packed(_safe_parts(path, parts))


def _inner(path: Path, name: str) -> str:
    if name == _BEFORE_2_8:
        raise Unsupported(
            f"{path.name} is an exported program of torch before 2.8",
            found=_BEFORE_2_8,
            next_step="load it with the torch that wrote it and save it again with a newer one",
        )
    return name.partition("/")[2]


def _safe_parts(path: Path, parts: Mapping[str, bytes]) -> Mapping[str, bytes]:
    missing = [name for name in (MODEL, *_TABLES, *_KEPT) if name not in parts]
    if missing:
        raise InvalidInput(
            f"{path.name} is not a complete exported program",
            found=f"no {missing[0]}",
            next_step="save it again with torch.export.save",
        )
    safe: dict[str, bytes] = {name: parts[name] for name in _KEPT}
    safe[MODEL] = json.dumps(checked_program(parts[MODEL], name=path.name)).encode()
    for table in _TABLES:
        safe[table] = json.dumps(checked_payload(parts[table], name=path.name)).encode()
    for name, data in parts.items():
        if name.startswith(_TENSORS):
            safe[name] = data
        elif name not in safe:
            _check_other(path, name, data)
    safe[_SAMPLE] = b""
    return safe


def _check_other(path: Path, name: str, data: bytes) -> None:
    """What is not passed on: a hostile pickle refuses the file all the same."""
    if name.startswith(_COMPILED):
        raise Unsupported(
            f"{path.name} holds a compiled library (AOTInductor), which would be run as it is",
            found=printable(name),
            next_step="save the exported program alone with torch.export.save",
        )
    if name == _SAMPLE:
        _check_pickles(path, data)
    elif not name.startswith(_IGNORED):
        raise Unsupported(
            f"{path.name} holds parts that are not read",
            found=printable(name),
            next_step="save one exported program with torch.export.save",
        )


def _check_pickles(path: Path, data: bytes) -> None:
    if not data:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".pkl") and info.file_size <= len(data):
                    refuse_hostile(read_pickle(archive.read(info)), path.name)
    except ZIP_ERRORS as error:
        raise InvalidInput(
            f"{path.name}: its example inputs are damaged", found=printable(str(error))
        ) from error


def _packed(parts: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts.items():
            archive.writestr(f"program/{name}", data)
    return stream.getvalue()
