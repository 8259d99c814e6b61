"""The preprocessing that is pickled with a classifier."""

from __future__ import annotations

from phoneproof.capture.backends.torch_files.records import Record
from phoneproof.capture.backends.ultralytics.description import Description, small_floats
from phoneproof.capture.backends.ultralytics.recorded import as_text


def transforms_text(description: Description) -> str:
    """The preprocessing pickled with a classifier, in one line; empty where there is none."""
    return ", ".join(_step_text(description, step) for step in _steps(description)[:16])


def normalisations(description: Description) -> tuple[tuple[str, str], ...]:
    """Mean and deviation of each Normalize step, as "r/g/b"."""
    steps = _steps(description)
    found = (s for s in steps if isinstance(s, Record) and s.type.name == "Normalize")
    return tuple(
        (_setting(description, s.attribute("mean")), _setting(description, s.attribute("std")))
        for s in found
    )


def _steps(description: Description) -> list[object]:
    composed = description.model.record.attribute("transforms")
    steps = composed.attribute("transforms") if isinstance(composed, Record) else None
    return steps if isinstance(steps, list) else []


def _step_text(description: Description, step: object) -> str:
    if not isinstance(step, Record):
        return type(step).__name__
    known = ("size", "interpolation", "antialias", "mean", "std")
    pairs = ((key, _setting(description, step.attribute(key))) for key in known)
    return f"{step.type.name}({', '.join(f'{key} {text}' for key, text in pairs if text)})"


def _setting(description: Description, value: object) -> str:
    numbers = small_floats(description.checkpoint, value)
    if numbers is not None:
        return "/".join(f"{n:g}" for n in numbers)
    if isinstance(value, Record) and value.args:  # an enumeration member
        return as_text(value.args[0])
    return as_text(value)
