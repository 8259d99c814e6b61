"""From a path to the reader of its format; nothing heavy is imported for a file it cannot read."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from phoneproof.capture.base import SOURCES, Source
from phoneproof.core.errors import InvalidInput, Unsupported

_LFS_PREFIX: Final = b"version https://git-lfs.github.com/spec/"
_HDF5: Final = b"\x89HDF\r\n\x1a\n"
_ZIP: Final = b"PK\x03\x04"

_TORCH: Final = ("torchscript", "torch_export", "state_dict", "ultralytics")
"""What torch saves under any of its endings, told apart by what is inside; a file that none of
the others recognises is left to the last one's messages."""

_BY_SUFFIX: Final[dict[str, tuple[str, ...]]] = {
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".th": _TORCH,
    ".ckpt": _TORCH,
    ".pt2": ("torch_export",),
    ".torchscript": ("torchscript",),
    ".onnx": ("onnx",),
    ".h5": ("keras_h5",),
    ".hdf5": ("keras_h5",),
    ".keras": ("keras",),
    ".pb": ("frozen_graph",),
    ".tflite": ("tflite",),
}
_CORE_ML: Final = (".mlmodel", ".mlpackage", ".mlmodelc")
_KNOWN: Final = (
    "PyTorch (.pt, .pth, .th, .pt2, TorchScript), Ultralytics (.pt), ONNX (.onnx), "
    "Keras (.h5, .hdf5, .keras), TensorFlow (SavedModel folder, frozen .pb), TFLite (.tflite)"
)


def find_source(path: Path) -> tuple[str, Source]:
    """The name and the reader of a model file's format, by its first bytes and its name.

    Raises:
        InvalidInput: missing, empty, a Git-LFS pointer, or not what its name says.
        Unsupported: a format that is not read; the message says what to type instead.
    """
    names = _folder(path) if path.is_dir() else _file(path)
    for name in names:
        if name not in SOURCES:
            continue
        source = SOURCES.load(name)
        if source.recognises(path):
            return name, source
    raise InvalidInput(
        f"{path.name} is not the kind of file its name says",
        found=f"it begins with {_head(path)[:8]!r}" if path.is_file() else "",
        next_step="it is truncated or damaged: copy, download or export it again",
    )


def _folder(path: Path) -> tuple[str, ...]:
    if (path / "saved_model.pb").is_file():
        return ("saved_model",)
    if path.suffix.lower() in _CORE_ML:
        raise _core_ml(path)
    raise Unsupported(
        f"{path.name} is a folder, not a model file",
        found="no saved_model.pb in it",
        next_step=f"name the file itself; known: {_KNOWN}",
    )


def _file(path: Path) -> tuple[str, ...]:
    head, suffix = _head(path), path.suffix.lower()
    if path.name == "saved_model.pb":
        raise Unsupported(
            "saved_model.pb is a part of a SavedModel",
            next_step=f"name its folder: {path.absolute().parent.name}",
        )
    if suffix in _CORE_ML:
        raise _core_ml(path)
    names = _BY_SUFFIX.get(suffix) or _by_magic(head, path)
    if not names:
        raise Unsupported(
            f"{path.name} is of a format that is not read",
            found=suffix or "a file name without an ending",
            next_step=f"known: {_KNOWN}",
        )
    return names


def _head(path: Path) -> bytes:
    if not path.exists():
        raise InvalidInput(f"there is no file {path.name}", next_step="check the path of the model")
    if not path.is_file():  # opening a pipe waits for whoever writes into it
        raise InvalidInput(
            f"{path.name} is neither a file nor a folder",
            found=_kind(path),
            next_step="save the model as a file and give its path",
        )
    try:
        with path.open("rb") as stream:
            head = stream.read(len(_LFS_PREFIX))
    except OSError as error:
        raise InvalidInput(f"{path.name} cannot be read", found=error.strerror or "") from error
    if not head:
        raise InvalidInput(
            f"{path.name} is empty",
            found="0 bytes",
            next_step="copy, download or export it again",
        )
    if head == _LFS_PREFIX:
        raise InvalidInput(
            f"{path.name} is a Git-LFS pointer: the model itself was never downloaded",
            next_step="run 'git lfs pull' in the repository the file came from",
        )
    return head


def _kind(path: Path) -> str:
    kinds = (
        ("a pipe", path.is_fifo()),
        ("a socket", path.is_socket()),
        ("a device", path.is_char_device() or path.is_block_device()),
    )
    return next((name for name, is_one in kinds if is_one), "something else")


def _by_magic(head: bytes, path: Path) -> tuple[str, ...]:
    if head.startswith(_HDF5):
        return ("keras_h5",)
    if head[4:8] == b"TFL3":
        return ("tflite",)
    if head.startswith(_ZIP) and zipfile.is_zipfile(path):
        return ("keras", *_TORCH)
    return _TORCH if head.startswith(_ZIP) else ()


def _core_ml(path: Path) -> Unsupported:
    from phoneproof.formats.coreml.summary import summary

    return Unsupported(
        f"{path.name} is a Core ML model, which is a target and not a source",
        found=summary(path),
        next_step="give the model it was made from (PyTorch, Keras, TensorFlow, ONNX or TFLite); "
        "'phoneproof compare' measures a .mlmodel or .mlpackage against another file",
    )
