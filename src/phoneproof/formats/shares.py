"""Adding up a file by arithmetic type, the same for every format."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.optimization import ReadBack, Share

_GZIP: Final = 16 + zlib.MAX_WBITS
"""zlib's way of asking for a gzip header; its time stamp is 0 then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Operators, bytes of weights and multiply-accumulates by arithmetic type."""

    ops: Counter[str] = field(default_factory=Counter)
    weights: Counter[str] = field(default_factory=Counter)
    macs: Counter[str] = field(default_factory=Counter)

    def read_back(self, *, fused: tuple[tuple[str, int], ...], zeros: float | None) -> ReadBack:
        """The shares, most work first; each column sums to 1 where there is anything in it."""
        names = self.ops.keys() | self.weights.keys() | self.macs.keys()
        order = sorted(names, key=lambda name: (-self.macs[name], -self.weights[name], name))
        return ReadBack(
            macs=self.macs.total(),
            shares=tuple(
                Share(
                    dtype=name,
                    ops=_part(self.ops, name),
                    weights=_part(self.weights, name),
                    macs=_part(self.macs, name),
                )
                for name in order
            ),
            fused=fused,
            zeros=zeros,
        )


def _part(counts: Counter[str], name: str) -> float:
    total = counts.total()
    return counts[name] / total if total else 0.0


def zeros_in(weights: Iterable[NDArray[np.float32]]) -> float | None:
    """The share (0..1) of numbers that are exactly zero; null where there is no number."""
    found = [(one.size, one.size - int(np.count_nonzero(one))) for one in weights]
    total = sum(size for size, _ in found)
    return sum(zeros for _, zeros in found) / total if total else None


def gzip_size(path: Path) -> int:
    """Bytes of a file compressed with gzip level 9, no name and no time in the header; of a folder
    those of its files."""
    if path.is_dir():
        return sum(gzip_size(file) for file in sorted(path.rglob("*")) if file.is_file())
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    size = 0
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            size += len(packer.compress(block))
    return size + len(packer.flush())
