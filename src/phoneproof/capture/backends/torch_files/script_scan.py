"""What a TorchScript archive would do, read from its code before anything of it is loaded.

`torch.jit.load` compiles the code in the archive and runs `__setstate__` methods in it, so the
text is searched first. TorchScript has no import, eval or getattr by text: what reaches outside is
a handful of operators and every namespace that a library may have registered.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import hostile_archive
from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.capture.backends.torch_files.torch_file import records_of
from phoneproof.capture.backends.torch_files.unpickle import read_pickle
from phoneproof.core.errors import InvalidInput, Unsupported

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
_FOREIGN_TYPES: Final = "__torch__.torch.classes."
"""C++ classes, whose own code makes them from the pickle's values."""


def check_code(path: Path, name: str, text: str) -> None:
    """Refuse code that would touch more than the program's own tensors.

    Args:
        name: of the entry, for messages.

    Raises:
        InvalidInput: it names files or other machines.
        Unsupported: operators and classes of other libraries, quantised operators.
    """
    where = printable(name)
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


def check_pickle(path: Path, name: str, data: bytes) -> None:
    """Refuse a pickle that names more than tensors and the program's own classes.

    Raises:
        InvalidInput: empty, broken, or it calls something else.
        Unsupported: an object of another library's class.
    """
    if len(data) < 2:
        raise hostile_archive(path, f"{printable(name)} is empty")
    for record in records_of(read_pickle(data)):
        kind = record.type
        if kind.dotted.startswith(_FOREIGN_TYPES):
            raise _foreign(path, kind.dotted, printable(name))
        if not kind.dotted.startswith(_TYPES_OF_PICKLES):
            raise InvalidInput(
                f"{path.name} is hostile: a pickle in it calls {kind.dotted}",
                found=f"{printable(name)}; it was not executed",
                next_step="do not open this file elsewhere; ask its source for the original",
            )
