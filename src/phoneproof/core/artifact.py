"""An artifact: one model file in one format and precision, with its binding and lineage."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.binding import Binding, Format, Precision

FLOATS: Final[frozenset[Precision]] = frozenset({"float32", "float16", "sparse"})
"""Computed in floats in every format."""

STORED: Final[frozenset[Precision]] = frozenset(
    {"weight_only_wi8", "weight_only_wi4", "palette4", "palette6"}
)
"""Small weights that are expanded, to be computed with in floats: by Core ML, and by LiteRT (a
DEQUANTIZE before each layer: its kernel sets differ by 3e-6 of the range on cifar10-resnet8)."""


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """Where an artifact came from.

    parent: sha256 of what the step read (the source file, the hub or another artifact).
    options: the step's options as sorted (name, JSON text) pairs. tools: (library, version).
    seconds, peak_rss_bytes: the step's wall time and the largest resident set of its process.
    """

    parent: str
    step: str
    options: tuple[tuple[str, str], ...] = ()
    tools: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0
    peak_rss_bytes: int = 0


class WrittenModel(msgspec.Struct, frozen=True, kw_only=True):
    """What a converter or optimizer says of the file it wrote.

    binding: with ``artifact`` null; its precision is read back from the file. options: sorted
    (name, JSON text). tools: (library, version).
    """

    binding: Binding
    options: tuple[tuple[str, str], ...]
    tools: tuple[tuple[str, str], ...]


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable; addressed by `sha256`. `path` is relative to the folder that holds it.

    id: format and precision, e.g. ``tflite-float32``. requested: what the user wrote;
    precision: what was read back from the file.
    """

    id: str
    format: Format
    requested: Precision
    precision: Precision
    path: str
    bytes: int
    sha256: str
    binding: Binding
    lineage: Lineage

    @property
    def in_floats(self) -> bool:
        """Whether all of its arithmetic is in floats.

        What is mixed is told by what was asked for: of float16, of weights alone and of palettes
        it is floats of two widths. In an ONNX file that reads back as weights alone a few layers
        may multiply integers (dynamic ones, beside transposed convolutions, which ONNX has no
        such form of).
        """
        kind = self.requested if self.precision == "mixed" else self.precision
        return kind in FLOATS or (kind in STORED and self.format != "onnx")


def file_sha256(path: Path) -> str:
    """sha256 (hex) of a file's bytes, read in 1 MiB blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def tree_sha256(path: Path) -> str:
    """sha256 of a file, or of a folder's sorted ``path NUL sha256`` lines."""
    if path.is_file():
        return file_sha256(path)
    files = sorted(p for p in path.rglob("*") if p.is_file())
    lines = (f"{p.relative_to(path).as_posix()}\0{file_sha256(p)}\n" for p in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def tree_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
