"""A Core ML model on disk: the folder ``.mlpackage`` or the single file ``.mlmodel``, read.

A package holds ``Manifest.json``, which names the file of the specification, and that file with
its weights under ``Data/``. Layout: ``modelpackage/src/ModelPackage.cpp`` of coremltools (BSD-3).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Final

import msgspec

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.messages import Message, model_messages
from phoneproof.formats.model_file import require_model_file

_MANIFEST: Final = "Manifest.json"
_DATA: Final = "Data"
_MOST_MANIFEST_BYTES: Final = 1 << 20
"""A manifest lists a handful of files."""
_MOST_MODEL_BYTES: Final = (1 << 31) - 1
"""protobuf parses no longer message."""
_WHAT: Final = "Core ML model"
_MODEL_PATH: Final = "@model_path/"
"""How a program names the folder of its specification."""


class _Item(msgspec.Struct, frozen=True, kw_only=True):
    path: str


class _Contents(msgspec.Struct, frozen=True, kw_only=True):
    items: dict[str, _Item] = msgspec.field(name="itemInfoEntries")
    root: str = msgspec.field(name="rootModelIdentifier")


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreMlFile:
    """A parsed Core ML model.

    path: what was opened. model: the file that holds the specification (`path` itself for a bare
    ``.mlmodel``). spec: the message ``CoreML.Specification.Model``.
    """

    path: Path
    model: Path
    spec: Message

    @property
    def name(self) -> str:
        """For messages: the file's or folder's name."""
        return self.path.name

    @property
    def kind(self) -> str:
        """Which sort of model: ``mlProgram``, ``neuralNetwork``, ``pipeline`` ..."""
        return str(self.spec.WhichOneof("Type"))

    def beside(self, reference: str) -> Path:
        """A file of weights, as a program names it (``@model_path/weights/weight.bin``).

        Raises:
            InvalidInput: it leads out of the package, through a link, or is not there.
        """
        relative = reference.removeprefix(_MODEL_PATH)
        file = _inside(self.model.parent, relative, self.name)
        if not file.is_file():
            raise InvalidInput(
                f"{self.name} comes without its weights",
                found=f"no file {relative!r} beside its specification",
                next_step="copy the whole .mlpackage folder, with everything in it",
            )
        require_model_file(file, f"file of weights of {self.name}")
        return file


def read_coreml(path: Path) -> CoreMlFile:
    """Open a ``.mlpackage`` or a ``.mlmodel``.

    Raises:
        InvalidInput: missing, damaged, a Git-LFS pointer, or leading out of its folder.
        MissingExtra: the library with Core ML's messages is not installed.
    """
    model = spec_file(path)
    return CoreMlFile(path=path, model=model, spec=_parsed(model, path.name))


def spec_file(path: Path) -> Path:
    """The file that holds a model's specification.

    Raises:
        InvalidInput: a package whose manifest is missing, damaged, or leads elsewhere.
    """
    if not path.is_dir():
        require_model_file(path, _WHAT)
        return path
    contents = _contents(path)
    item = contents.items.get(contents.root)
    if item is None:
        raise InvalidInput(
            f"{path.name} names no model in its {_MANIFEST}",
            found=f"rootModelIdentifier {contents.root!r} is not among its items",
        )
    file = _inside(_inside(path, _DATA, path.name), item.path, path.name)
    if not file.is_file():
        raise InvalidInput(
            f"{path.name} comes without its specification",
            found=f"no file '{_DATA}/{item.path}' in it",
            next_step="copy the whole .mlpackage folder, with everything in it",
        )
    require_model_file(file, _WHAT)
    return file


def _contents(path: Path) -> _Contents:
    file = _inside(path, _MANIFEST, path.name)
    if not file.is_file():
        raise InvalidInput(
            f"{path.name} is not a {_WHAT}", found=f"a folder without the file {_MANIFEST}"
        )
    if file.stat().st_size > _MOST_MANIFEST_BYTES:
        raise InvalidInput(f"{path.name} is not a {_WHAT}", found=f"{_MANIFEST} of many megabytes")
    require_model_file(file, f"manifest of {path.name}")
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Contents)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"{_MANIFEST} of {path.name} cannot be read", found=str(error)
        ) from error


def _inside(folder: Path, relative: str, name: str) -> Path:
    """A path below `folder`; nothing on the way may be a link or lead up.

    Raises:
        InvalidInput: it leads elsewhere.
    """
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    parts = (*posix.parts, *windows.parts)
    if not relative or "\0" in relative or posix.is_absolute() or windows.anchor or ".." in parts:
        raise _outside(name, relative)
    place = folder
    for part in posix.parts:
        place = place / part
        if place.is_symlink():
            raise _outside(name, f"{relative} through the link {part}")
    return place


def _outside(name: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"{name} reads files from outside its own folder",
        found=found,
        next_step="do not trust this model; where you do, copy what is meant: cp -rL",
    )


def _parsed(file: Path, name: str) -> Message:
    messages = model_messages()
    from google.protobuf.message import DecodeError  # beside the messages: the same library

    if file.stat().st_size > _MOST_MODEL_BYTES:
        raise InvalidInput(f"{name} is not a {_WHAT}", found="more than 2 GB in one message")
    try:
        spec = messages.Model.FromString(file.read_bytes())
    except DecodeError as error:
        raise InvalidInput(
            f"{name} is not a {_WHAT}, or it is damaged", found=str(error)
        ) from error
    if spec.specificationVersion < 1 or spec.WhichOneof("Type") is None:
        raise InvalidInput(
            f"{name} is not a {_WHAT}", found="no specification version or no model in it"
        )
    return spec
