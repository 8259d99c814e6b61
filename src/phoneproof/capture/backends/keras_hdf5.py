"""HDF5 files of Keras opened with care: no part of one may lie in another file."""

from __future__ import annotations

from pathlib import Path

import h5py

from phoneproof.core.errors import InvalidInput, Unsupported

_MAX_CONFIG = 1 << 26
"""EfficientNetB7's description has a megabyte; 64 is no network's."""
_MAX_GROWTH = 100
"""Trained weights hardly compress; data that unpacks to more than this was made to."""
_SMALL = 1 << 24


def description(path: Path) -> tuple[str, str]:
    """Keras version and model description of an ``.h5`` file, both as text.

    Raises:
        InvalidInput: damaged, not a Keras file, or reading from other files.
        Unsupported: weights without their layers.
    """
    try:
        with h5py.File(path, "r") as file:
            refuse_outside(path.name, file, path.stat().st_size)
            version = _text(file.attrs.get("keras_version", ""))
            if "model_config" not in file.attrs:
                raise _no_config(path, is_weights="layer_names" in file.attrs)
            return version, _text(file.attrs["model_config"])
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise damaged(path, str(error).splitlines()[0] if str(error) else "") from error


def refuse_outside(name: str, file: h5py.File, stored: int) -> None:
    """HDF5 can point into other files of the disk; a model has no reason to.

    Args:
        name: of the model, for messages. stored: the size of the HDF5 file in bytes.

    Raises:
        InvalidInput: a link or data in another file, or data that unpack to an absurd size.
    """
    groups, seen, unpacked = [file], set(), 0
    while groups:
        group = groups.pop()
        for key in group:
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _outside(name, f"{group.name}/{key} links to {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue
            item = group[key]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                continue
            seen.add(place)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise _outside(name, f"data set {item.name} lies in another file")
                unpacked += item.nbytes
    if unpacked > max(_SMALL, _MAX_GROWTH * stored):
        raise InvalidInput(
            f"{name} would unpack to an absurd size",
            found=f"{unpacked} bytes of weights in {stored} bytes",
            next_step="do not trust this file; save the model again",
        )


def damaged(path: Path, found: str) -> InvalidInput:
    """The error for what no library could read either."""
    return InvalidInput(
        f"{path.name} is not a readable Keras model",
        found=found,
        next_step="it is truncated or of another kind: copy, download or save it again",
    )


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > _MAX_CONFIG:
        raise ValueError("a model description of more than 64 MiB")
    return text


def _no_config(path: Path, *, is_weights: bool) -> Unsupported | InvalidInput:
    if not is_weights:
        return InvalidInput(
            f"{path.name} is not a Keras model", found="an HDF5 file without a model description"
        )
    return Unsupported(
        f"{path.name} holds weights only, without the layers they belong to",
        next_step="where the model is built, load them and type: "
        f"model.save({path.stem + '_full.h5'!r}, save_format='h5')",
    )


def _outside(name: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"{name} reads data from outside itself",
        found=found,
        next_step="do not trust this file; save the model again",
    )
