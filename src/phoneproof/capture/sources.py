"""From a path to the reader of its format; nothing heavy is imported for a file it cannot read."""

from __future__ import annotations

from pathlib import Path

from phoneproof.capture.base import SOURCES, Source
from phoneproof.core.errors import InvalidInput, Unsupported

_LFS_PREFIX = b"version https://git-lfs.github.com/spec/"
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"

_BY_SUFFIX: dict[str, tuple[str, ...]] = {
    ".pt": ("ultralytics",),
    ".onnx": ("onnx",),
    ".h5": ("keras_h5",),
    ".hdf5": ("keras_h5",),
}
_NEXT_STEP: dict[str, str] = {
    ".keras": "keras.models.load_model('{name}').export('{stem}.onnx', format='onnx')",
    ".pb": "python -m tf2onnx.convert --graphdef {name} --inputs IN:0 --outputs OUT:0 "
    "--output {stem}.onnx",
    ".tflite": "python -m tf2onnx.convert --tflite {name} --dequantize --output {stem}.onnx",
    ".pth": "build the module, load the weights, then torch.onnx.export(module, (x,), "
    "'{stem}.onnx')",
    ".th": "build the module, load the weights, then torch.onnx.export(module, (x,), "
    "'{stem}.onnx')",
    ".pt2": "torch.onnx.export(torch.export.load('{name}'), f='{stem}.onnx')",
}
_KNOWN = "Ultralytics checkpoints (.pt), ONNX (.onnx), Keras 2 HDF5 (.h5, .hdf5)"


def find_source(path: Path) -> tuple[str, Source]:
    """The name and the reader of a model file's format, by its first bytes and its name.

    Raises:
        InvalidInput: missing, empty, a Git-LFS pointer, or not what its name says.
        Unsupported: a folder or a format that is not read; the message says what to type instead.
    """
    head = _head(path)
    suffix = path.suffix.lower()
    names = _BY_SUFFIX.get(suffix) or _by_magic(head)
    if suffix in _NEXT_STEP:
        raise _unknown(path)
    for name in SOURCES:
        if name not in names:
            continue
        source = SOURCES.load(name)
        if source.recognises(path):
            return name, source
    if suffix in _BY_SUFFIX:
        raise InvalidInput(
            f"{path.name} is not the kind of file its name says",
            found=f"it begins with {head[:8]!r}",
            next_step="it is truncated or damaged: copy, download or export it again",
        )
    raise _unknown(path)


def _head(path: Path) -> bytes:
    if path.is_dir():
        raise Unsupported(
            f"{path.name} is a folder, not a model file",
            found="SavedModel" if (path / "saved_model.pb").is_file() else "no known model format",
            next_step=f"python -m tf2onnx.convert --saved-model {path.name} --output model.onnx"
            if (path / "saved_model.pb").is_file()
            else f"name the file itself; known: {_KNOWN}",
        )
    if not path.exists():
        raise InvalidInput(f"there is no file {path.name}", next_step="check the path of the model")
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


def _by_magic(head: bytes) -> tuple[str, ...]:
    if head.startswith(_HDF5):
        return ("keras_h5",)
    return ("ultralytics",) if head.startswith(_ZIP) else ()


def _unknown(path: Path) -> Unsupported:
    line = _NEXT_STEP.get(path.suffix.lower(), "")
    known = f"known: {_KNOWN}"
    return Unsupported(
        f"{path.name} is of a format that is not read",
        found=path.suffix or "a file name without an ending",
        next_step=f"{line.format(name=path.name, stem=path.stem)}; {known}" if line else known,
    )
