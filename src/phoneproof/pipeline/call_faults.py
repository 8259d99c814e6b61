"""What is wrong with the arguments of a call from Python: all faults of a call in one error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from phoneproof.core.binding import Format
from phoneproof.core.contract import ImageInput, Size
from phoneproof.core.errors import ConfigError, nearest
from phoneproof.core.presets import PRESETS
from phoneproof.pipeline.config import AVAILABLE, NAME_PATTERN
from phoneproof.pipeline.config_faults import Fault

MAX_SIDE = 16384
"""The largest side a contract takes, in pixels."""

_FORMATS: Final = AVAILABLE["android"]
"""What a call can ask for; Apple's formats need what only a configuration says (minimum iOS)."""


def check_capture(
    *, name: str, version: str, size: object, preset: str | None, image: ImageInput | None
) -> Size:
    """[height, width] of a call of `capture_module` whose arguments are sound.

    Args:
        size: the side of a square, or (height, width), in pixels.

    Raises:
        ConfigError: any number of faults, all in one error.
    """
    sides = _sides(size)
    faults = [*_name_faults(name, version), *_input_faults(preset, image, sides)]
    if sides is None:
        what = f"{size!r} is not a side or (height, width), each in 1..{MAX_SIDE}"
        faults.append(Fault(place="size", what=what))
    if faults or sides is None:
        raise _error("capture_module", faults)
    return sides


def check_formats(formats: object) -> tuple[Format, ...]:
    """The formats to make, each once, in the order of the call.

    Raises:
        ConfigError: a string or another thing in place of a sequence, none, or unknown ones.
    """
    known = ", ".join(_FORMATS)
    if isinstance(formats, (str, bytes)) or not isinstance(formats, Sequence):
        what = f"{formats!r} is not a list of formats; known: {known}"
        raise _error("build", [Fault(place="formats", what=what)])
    if not formats:
        raise _error("build", [Fault(place="formats", what=f"empty; known: {known}")])
    asked = tuple(dict.fromkeys(str(value) for value in formats))
    faults = [
        Fault(place="formats", what=f"{value!r} is not known; known: {known}")
        for value in asked
        if value not in _FORMATS
    ]
    if faults:
        raise _error("build", faults)
    by_name: dict[str, Format] = {format_: format_ for format_ in _FORMATS}
    return tuple(by_name[value] for value in asked)


def no_input_error() -> ConfigError:
    """Of a module that does not show how its pictures are to be fed."""
    what = "neither is given, and the module does not imply how it wants its pictures"
    return _error("capture_module", [Fault(place="preset, image", what=what)])


def _sides(size: object) -> Size | None:
    pair = (size, size) if isinstance(size, int) else size
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        return None
    if any(type(side) is not int or not 1 <= side <= MAX_SIDE for side in pair):
        return None
    return pair[0], pair[1]


def _name_faults(name: object, version: object) -> Iterator[Fault]:
    for place, value in (("name", name), ("version", version)):
        if not isinstance(value, str) or not NAME_PATTERN.fullmatch(value):
            what = f"{value!r} names a folder: use letters, digits, '.', '_' and '-'"
            yield Fault(place=place, what=what)


def _input_faults(
    preset: str | None, image: ImageInput | None, size: Size | None
) -> Iterator[Fault]:
    if preset is not None and image is not None:
        yield Fault(place="preset, image", what="both are given; keep one")
    if preset is not None and preset not in PRESETS:
        near = nearest(str(preset), PRESETS)
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(PRESETS)}"
        yield Fault(place="preset", what=f"{preset!r} is not known; {hint}")
    if image is not None and size is not None and tuple(image.size) != size:
        yield Fault(place="image.size", what=f"{list(image.size)} differs from size {list(size)}")


def _error(call: str, faults: Sequence[Fault]) -> ConfigError:
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = "".join(f"\n    {fault.place}: {fault.what}" for fault in faults)
    return ConfigError(f"the call of {call} has {count}", found=lines, next_step="correct the call")
