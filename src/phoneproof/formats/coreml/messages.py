"""Core ML's protobuf messages, without the rest of coremltools.

``import coremltools`` takes 2 to 9 seconds (it imports torch, its converters, and TensorFlow where
that is installed). Its generated message classes need the protobuf library alone and load in 0.1 s;
so the folder that holds them is imported as a package of another name. protobuf keeps one class
for each message of a process, so messages of both ways are the same kind: a specification made
here can be given to coremltools, and the other way round, whichever is imported first.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from phoneproof.core.errors import MissingExtra

Message = Any
"""A generated protobuf message; the generated classes carry no types."""

_OURS: Final = "phoneproof_coreml_messages"


def model_messages() -> ModuleType:
    """``Model.proto``: `Model`, the root of every Core ML file.

    Raises:
        MissingExtra: coremltools or protobuf is not installed.
    """
    return _messages("Model_pb2")


def program_messages() -> ModuleType:
    """``MIL.proto``: programs, operations, values; errors as `model_messages`."""
    return _messages("MIL_pb2")


def _messages(name: str) -> ModuleType:
    if _OURS not in sys.modules:
        package = ModuleType(_OURS)
        package.__path__ = [str(_folder())]
        sys.modules[_OURS] = package
    try:
        return importlib.import_module(f"{_OURS}.{name}")
    except ModuleNotFoundError as error:
        raise MissingExtra.of("protobuf", "ios") from error


def _folder() -> Path:
    found = importlib.util.find_spec("coremltools")  # finds the package without importing it
    if found is None or not found.submodule_search_locations:
        raise MissingExtra.of("coremltools", "ios")
    return Path(found.submodule_search_locations[0]) / "proto"
