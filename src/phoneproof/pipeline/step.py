"""A step of a build as data: what it depends on, and how to do it."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import msgspec

from phoneproof.core.events import Progress
from phoneproof.core.json_format import content_hash

_PACKAGE = Path(__file__).resolve().parents[1]


class Step(Protocol):
    """One unit of work whose result is a folder.

    A step is pickled to a worker process, so it holds plain data only, and it knows nothing of
    where its result will lie.
    """

    @property
    def name(self) -> str:
        """What people see: "convert tflite-float32"."""
        ...

    @property
    def tools(self) -> tuple[str, ...]:
        """Distributions whose versions can change the result."""
        ...

    def identity(self) -> object:
        """Everything else that can change the result, as JSON values: hashes, never paths."""
        ...

    def run(self, output: Path, progress: Progress) -> None:
        """Write the result into the empty folder `output`."""
        ...


@runtime_checkable
class RunsHere(Protocol):
    """Marks a step that holds something no other process has: it runs in this one."""

    runs_here: Literal[True]


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What doing a step took; lies as ``step.json`` in its folder."""

    name: str
    key: str
    seconds: float
    peak_rss_bytes: int
    tools: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class StepResult:
    """A finished step: its folder in the cache, its record, and whether it was there already."""

    folder: Path
    record: StepRecord
    cached: bool


def tool_versions(distributions: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """(name, version) of each; "absent" where a distribution is not installed."""
    return tuple((name, _version(name)) for name in sorted(set(distributions)))


def step_key(step: Step) -> str:
    """Address of a step's result: its kind, identity, tools and this package's own code."""
    return content_hash(
        {
            "step": f"{type(step).__module__}.{type(step).__qualname__}",
            "identity": step.identity(),
            "tools": tool_versions(step.tools),
            "code": code_fingerprint(),
        }
    )


@cache
def code_fingerprint() -> str:
    """sha256 over this package's own source: a changed line never meets an old result."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*")):
        if path.suffix in {".py", ".j2"}:
            digest.update(path.relative_to(_PACKAGE).as_posix().encode() + b"\0")
            digest.update(path.read_bytes())
    return digest.hexdigest()


@cache
def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "absent"
