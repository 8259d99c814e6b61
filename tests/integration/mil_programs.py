"""Tiny MIL programs made with coremltools' builder, saved, read back and run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import NDArray

from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.package import write_package
from phoneproof.formats.coreml.program import Program
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.runtimes.backends.coreml import MilSession
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools

Array = NDArray[Any]
Body = Callable[..., Any]
"""Gets the builder and its inputs' variables, gives the output's (or several)."""

VERSIONS = {"iOS15": 6, "iOS16": 7, "iOS17": 8, "iOS18": 9}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A program of one operation, what it is fed, and what torch makes of that.

    expected: None where only shapes and types are compared. exact: compared without tolerance.
    """

    body: Body
    feeds: Sequence[Array]
    expected: Sequence[torch.Tensor]
    opset: str = "iOS17"
    tolerance: float = 1e-5


@cache
def builder() -> ModuleType:
    """coremltools' builder (a class that is used as a namespace)."""
    import_coremltools()
    from coremltools.converters.mil.mil import Builder

    found: ModuleType = Builder
    return found


def save(body: Body, feeds: Sequence[Array], path: Path, opset: str = "iOS17") -> Path:
    """Write a program as a package.

    Args:
        feeds: arrays of the inputs' shapes and types; their numbers are not looked at.
    """
    tools = import_coremltools()
    from coremltools.converters.mil.backend.mil.load import load
    from coremltools.converters.mil.mil import types

    mb = builder()
    kinds = {"float32": types.fp32, "float16": types.fp16, "int32": types.int32}
    specs = [mb.TensorSpec(shape=feed.shape, dtype=kinds[feed.dtype.name]) for feed in feeds]
    wrappers: dict[int, Body] = {
        0: lambda: body(mb),
        1: lambda x: body(mb, x),
        2: lambda x, y: body(mb, x, y),
        3: lambda x, y, z: body(mb, x, y, z),
        4: lambda x, y, z, w: body(mb, x, y, z, w),
    }
    version = getattr(tools.target, opset)
    program = mb.program(input_specs=specs, opset_version=version)(wrappers[len(feeds)])
    with tempfile.TemporaryDirectory() as folder:
        spec = load(program, folder, resume_on_errors=False, specification_version=VERSIONS[opset])
        weights = Path(folder) / "weight.bin"
        write_package(path, spec, weights.read_bytes() if weights.exists() else None)
    return path


def opened(case: Case, folder: Path) -> tuple[MilSession, Program]:
    """The case's program, written, read back and opened."""
    file = read_coreml(save(case.body, case.feeds, folder / "one.mlpackage", case.opset))
    return MilSession(file), program_of(file)


def run(case: Case) -> tuple[list[Array], set[str]]:
    """Outputs in the program's order, and the types of its operations."""
    with tempfile.TemporaryDirectory() as folder:
        session, program = opened(case, Path(folder))
        feeds = {spec.name: feed for spec, feed in zip(session.inputs, case.feeds, strict=True)}
        found = list(session.run(feeds).values())
    return found, {operation.type for operation in program.operations}


def differences(case: Case) -> tuple[list[float], set[str]]:
    """Of each output: the largest difference from torch, relative to torch's largest number (or
    to 1 where that is smaller)."""
    found, kinds = run(case)
    assert len(found) == len(case.expected)
    gaps = []
    for ours, theirs in zip(found, case.expected, strict=True):
        wanted = theirs.numpy()
        assert ours.shape == wanted.shape
        same = (ours == wanted) | (np.isnan(ours) & np.isnan(wanted))
        gap = np.abs(np.where(same, 0, ours.astype(np.float64) - wanted.astype(np.float64)))
        finite = np.abs(wanted.astype(np.float64))[np.isfinite(wanted)]
        gaps.append(float(gap.max(initial=0)) / max(1.0, float(finite.max(initial=0))))
    return gaps, kinds


class Draw:
    """What cases take from hypothesis: shapes, numbers, choices."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return int(self._data.draw(st.integers(low, high)))

    def flag(self) -> bool:
        return bool(self._data.draw(st.booleans()))

    def choice(self, options: Sequence[Any]) -> Any:
        return self._data.draw(st.sampled_from(list(options)))

    def shape(self, low_rank: int, high_rank: int, most: int = 5) -> tuple[int, ...]:
        rank = self.integer(low_rank, high_rank)
        return tuple(self.integer(1, most) for _ in range(rank))

    def axes(self, rank: int, least: int = 1) -> tuple[int, ...]:
        axes = self._data.draw(st.sets(st.integers(0, rank - 1), min_size=least))
        return tuple(axis - rank if self.flag() else axis for axis in sorted(axes))

    def permutation(self, count: int) -> tuple[int, ...]:
        return tuple(self._data.draw(st.permutations(range(count))))

    def array(self, shape: Sequence[int], low: float = -2.0, high: float = 2.0) -> Array:
        rng = np.random.default_rng(self.integer(0, 2**31))
        return rng.uniform(low, high, tuple(shape)).astype(np.float32)

    def whole(self, shape: Sequence[int], low: int, high: int) -> Array:
        """int32 from low to high, both included."""
        rng = np.random.default_rng(self.integer(0, 2**31))
        return rng.integers(low, high + 1, tuple(shape)).astype(np.int32)


def tensor(array: Array) -> torch.Tensor:
    """As torch's, with memory of its own."""
    return torch.from_numpy(np.array(array))
