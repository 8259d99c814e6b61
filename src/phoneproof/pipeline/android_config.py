"""What only ``[targets.android]`` has: the engine of the generated app."""

from __future__ import annotations

from collections.abc import Iterator

from phoneproof.core.binding import Format
from phoneproof.core.engine import ENGINE_FORMATS, AndroidEngine
from phoneproof.pipeline.config_faults import Fault
from phoneproof.pipeline.config_types import TargetConfig, TargetName


def app_engine(formats: tuple[Format, ...], wanted: AndroidEngine | None) -> AndroidEngine | None:
    """The engine of an app for files of `formats`: `wanted`, or the first that runs some of them;
    null where none does."""
    if wanted is not None:
        return wanted
    return next((engine for engine, runs in ENGINE_FORMATS.items() if runs in formats), None)


def engine_faults(
    name: TargetName, target: TargetConfig, formats: tuple[Format, ...]
) -> Iterator[Fault]:
    """An engine of a target without an Android app, or one that runs none of its files."""
    if target.engine is None:
        return
    place = f"targets.{name}.engine"
    runs = ENGINE_FORMATS[target.engine]
    if name != "android":
        yield Fault(place=place, what="only targets.android has an app that takes an engine")
    elif runs not in formats:
        what = f"{target.engine} runs {runs} files; the formats are {', '.join(formats)}"
        yield Fault(place=place, what=what)
