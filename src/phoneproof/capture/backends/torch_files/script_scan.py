"""What a TorchScript archive would do, read from its code before anything of it is loaded.

`torch.jit.load` compiles the code in the archive and runs `__setstate__` methods in it, so the
text is searched first. TorchScript has no import, eval or getattr by text: what reaches outside is
a handful of operators and every namespace that a library may have registered.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import (
    ZIP_ERRORS,
    check_first_bytes,
    damaged,
    hostile_archive,
)
from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.capture.backends.torch_files.torch_file import records_of
from phoneproof.capture.backends.torch_files.unpickle import read_pickle
from phoneproof.core.errors import InvalidInput, Unsupported

MAX_TEXT_BYTES: Final = 64 << 20
"""Code and pickles of an archive together, unpacked; a large detector has 2 MB."""

_GAP: Final = r"(?:\s|\\\n|#[^\n]*\n)*"
"""What may stand between a dot and the name after it."""

_OUTSIDE: Final = re.compile(rf"\.{_GAP}(from_file|save|rpc_async|rpc_sync|rpc_remote)\b")
"""Operators with a file name or another machine among their arguments (torch 2.13's schemas)."""

_NAMESPACE: Final = re.compile(rf"\bops{_GAP}\.{_GAP}(\w+){_GAP}\.{_GAP}(\w+)")
_KNOWN_NAMESPACES: Final = ("aten", "prim", "prims")
_CLASSES: Final = re.compile(rf"__torch__{_GAP}\.{_GAP}torch{_GAP}\.{_GAP}classes\b")
_QUANTISED: Final = re.compile(
    rf"\bops{_GAP}\.{_GAP}_?quantized\b|\.{_GAP}(?:quantize_per_\w+|_empty_affine_quantized)\b"
)
_TYPES_OF_PICKLES: Final = ("torch._utils.", "torch.jit._pickle.", "__torch__.")


def is_script(path: Path) -> bool:
    """Whether a zip archive has the parts of a TorchScript program."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except ZIP_ERRORS:
        return False
    return "constants.pkl" in names and any(name.startswith("code/") for name in names)


def scan_script(path: Path) -> None:
    """Refuse a TorchScript archive that would touch more than its own tensors.

    Raises:
        InvalidInput: truncated, a zip bomb, pickles that call functions, or code that names files
            or other machines.
        Unsupported: operators and classes of other libraries, and quantised programs.
    """
    check_first_bytes(path)
    try:
        with zipfile.ZipFile(path) as archive:
            texts = _texts(path, archive)
    except ZIP_ERRORS as error:
        raise damaged(path, error) from error
    for name, data in texts.items():
        if name.endswith(".py"):
            _check_code(path, name, _decoded(path, name, data))
        else:
            _check_pickle(path, name, data)


def _texts(path: Path, archive: zipfile.ZipFile) -> Mapping[str, bytes]:
    """Code and pickles, the only parts that torch interprets; their sizes are checked first."""
    infos = archive.infolist()
    if len({info.filename for info in infos}) != len(infos):
        raise hostile_archive(path, "two entries of the same name")
    wanted = [i for i in infos if i.filename.endswith((".py", ".pkl", "_pkl"))]
    total = sum(info.file_size for info in wanted)
    if total > MAX_TEXT_BYTES:
        raise hostile_archive(path, f"{total} bytes of code and pickles")
    others = sum(i.file_size for i in infos if i.compress_type == zipfile.ZIP_STORED)
    packed = [i for i in infos if i not in wanted and i.compress_type != zipfile.ZIP_STORED]
    if packed or others > path.stat().st_size:
        what = f"compressed entry {printable(packed[0].filename)}" if packed else f"{others} bytes"
        raise hostile_archive(path, f"{what} beside the code; torch stores tensors as they are")
    return {info.filename: archive.read(info) for info in wanted}


def _decoded(path: Path, name: str, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise hostile_archive(path, f"{printable(name)} is not text") from error


def _check_code(path: Path, name: str, text: str) -> None:
    where = printable(name.partition("/")[2])
    if found := _OUTSIDE.search(text):
        raise InvalidInput(
            f"{path.name} is hostile: its code reaches outside the model",
            found=f"{found.group(1)} in {where}, line {text[: found.start()].count(chr(10)) + 1}; "
            "it was not executed",
            next_step="do not open this file elsewhere; ask its source for the original",
        )
    if found := _QUANTISED.search(text):
        raise Unsupported(
            f"{path.name} is a quantised TorchScript program",
            found=f"{printable(found.group(0))} in {where}: torch runs it with kernels of its own "
            "that no other format has",
            next_step="give the float model; phoneproof quantises it, and measures what that costs",
        )
    for found in _NAMESPACE.finditer(text):
        if found.group(1) not in _KNOWN_NAMESPACES:
            raise _foreign(path, f"ops.{found.group(1)}.{found.group(2)}", where)
    if _CLASSES.search(text):
        raise _foreign(path, "torch.classes", where)


def _foreign(path: Path, what: str, where: str) -> Unsupported:
    return Unsupported(
        f"{path.name} uses operators of another library",
        found=f"{printable(what)} in {where}",
        next_step="export the part of the model without them, or export it to ONNX",
    )


def _check_pickle(path: Path, name: str, data: bytes) -> None:
    if len(data) < 2:
        raise hostile_archive(path, f"{printable(name)} is empty")
    for record in records_of(read_pickle(data)):
        kind = record.type
        if not kind.dotted.startswith(_TYPES_OF_PICKLES):
            raise InvalidInput(
                f"{path.name} is hostile: a pickle in it calls {kind.dotted}",
                found=f"{printable(name.partition('/')[2])}; it was not executed",
                next_step="do not open this file elsewhere; ask its source for the original",
            )
