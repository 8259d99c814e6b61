"""A TorchScript archive, made safe to load: its entries known by name, and packed again.

torch's zip reader finds entries whatever their case is, takes the first of two alike and has its
own idea of a damaged directory. What was checked is therefore written into a new archive, and
only that is loaded.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import (
    ZIP_ERRORS,
    check_first_bytes,
    damaged,
    hostile_archive,
)
from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.capture.backends.torch_files.script_scan import check_code, check_pickle

MAX_TEXT_BYTES: Final = 64 << 20
"""Code and pickles of an archive together, unpacked; a large detector has 2 MB."""

_CODE: Final = re.compile(r"code/(\w+/)*\w+\.py", re.ASCII)
_PICKLES: Final = ("data.pkl", "constants.pkl")
_TENSOR: Final = re.compile(r"(data|constants)/\d{1,9}", re.ASCII)
_FACTS: Final = ("version", "byteorder", ".data/version")

_LEFT_OUT_PICKLE: Final = re.compile(
    r"code/(\w+/)*\w+\.py\.debug_pkl|(traced_inputs|bytecode|mobile_debug_handles)\.pkl", re.ASCII
)
"""Lines of the original source, example inputs, bytecode for phones: checked all the same."""

_LEFT_OUT: Final = re.compile(
    r"(extra|\.data)/[^\\]+|(traced_inputs|bytecode)/\d{1,9}|\.format_version|\.storage_alignment",
    re.ASCII,
)


def is_script(path: Path) -> bool:
    """Whether a zip archive has the parts of a TorchScript program."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2].casefold() for name in archive.namelist()]
    except ZIP_ERRORS:
        return False
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def safe_script(path: Path) -> bytes:
    """The archive with its checked code, pickles and tensors, and nothing else.

    Raises:
        InvalidInput: truncated, a zip bomb, entries that torch does not write or that differ by
            case only, pickles that call functions, or code that names files or other machines.
        Unsupported: operators and classes of other libraries, and quantised programs.
    """
    check_first_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _checked_entries(path, archive.infolist())
            texts = {name: archive.read(entries[name]) for name in entries if _is_text(name)}
            _check_texts(path, texts)
            tensors = (
                (name, archive.read(entry))
                for name, entry in entries.items()
                if _TENSOR.fullmatch(name) or name in _FACTS
            )
            return _packed(texts, tensors)
    except ZIP_ERRORS as error:
        raise damaged(path, error) from error


def _is_text(name: str) -> bool:
    """What torch interprets, and what it would where somebody asked for it."""
    return name in _PICKLES or any(p.fullmatch(name) for p in (_CODE, _LEFT_OUT_PICKLE))


def _checked_entries(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The entries by their name within the archive's one folder; nothing is unpacked yet."""
    if len({info.filename.partition("/")[0] for info in infos}) > 1:
        raise hostile_archive(path, "more than one folder")
    entries = {info.filename.partition("/")[2]: info for info in infos}
    if len({name.casefold() for name in entries}) != len(infos):
        raise hostile_archive(path, "two entries of the same name, or alike but for their case")
    for name in entries:
        known = _TENSOR.fullmatch(name) or _LEFT_OUT.fullmatch(name) or name in _FACTS
        if not (known or _is_text(name)):
            raise hostile_archive(path, f"{printable(repr(name))}, a part that torch never writes")
    total = sum(entry.file_size for name, entry in entries.items() if _is_text(name))
    if total > MAX_TEXT_BYTES:
        raise hostile_archive(path, f"{total} bytes of code and pickles")
    others = {name: entry for name, entry in entries.items() if not _is_text(name)}
    packed = [n for n, entry in others.items() if entry.compress_type != zipfile.ZIP_STORED]
    size = sum(entry.file_size for entry in others.values())
    if packed or size > path.stat().st_size:
        what = f"compressed entry {printable(packed[0])}" if packed else f"{size} bytes"
        raise hostile_archive(path, f"{what} beside the code; torch stores tensors as they are")
    return entries


def _check_texts(path: Path, texts: Mapping[str, bytes]) -> None:
    """Code first: what it says of foreign classes is clearer than the pickles that hold them."""
    for name, data in texts.items():
        if _CODE.fullmatch(name):
            check_code(path, name, _decoded(path, name, data))
    for name, data in texts.items():
        if not _CODE.fullmatch(name):
            check_pickle(path, name, data)


def _decoded(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise hostile_archive(path, f"{printable(name)} is not text") from error


def _packed(texts: Mapping[str, bytes], others: Iterator[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in texts.items():
            if not _LEFT_OUT_PICKLE.fullmatch(name):
                archive.writestr(f"program/{name}", data)
        for name, data in others:
            archive.writestr(f"program/{name}", data)
    return stream.getvalue()
