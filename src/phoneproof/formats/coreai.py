"""Core AI models (``.aimodel``) as folders: what is checked and embedded without Apple's library.

A folder holds the program (``main.mlirb``, MLIR bytecode), its sha256 (``main.hash``, 32 bytes)
and ``metadata.json``, whose ``creatorDefinedMetadata`` is left to whoever made the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreai_bytecode import require_bytecode, with_fixed_names
from phoneproof.formats.saved_model import replacing_folder

PROGRAM: Final = "main.mlirb"
HASH: Final = "main.hash"
METADATA: Final = "metadata.json"
_WHAT: Final = "Core AI model (.aimodel)"
_MOST_METADATA_BYTES: Final = 1 << 24
"""A contract and a binding take thousands of bytes; with the priors of an SSD a megabyte."""


class _Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """``metadata.json``. The creation date is left out: equal models shall be equal files."""

    asset_version: str
    producer: str = ""
    creator_defined_metadata: dict[str, object] = {}


def require_core_ai(path: Path) -> None:
    """Refuse what Apple's library cannot load, or would end the process over.

    Raises:
        InvalidInput: not a folder, without a program or metadata, with a link in it, metadata that
            cannot be read, or a program that is truncated, damaged or not the one of its hash.
    """
    _require_files(path)
    _metadata(path)
    program = (path / PROGRAM).read_bytes()
    try:
        require_bytecode(program)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path.name} cannot be read", found=error.found, next_step=error.next_step
        ) from error
    digest = hashlib.sha256(program).digest()
    with (path / HASH).open("rb") as stream:
        said = stream.read(len(digest) + 1)  # no more: the file may be of any size
    if digest != said:
        raise InvalidInput(
            f"the program in {path.name} is not the one it was made with",
            found=f"{PROGRAM} has another sha256 than {HASH} says",
            next_step="copy the folder again, or convert the model again",
        )


def read_metadata(path: Path) -> dict[str, bytes]:
    """The texts that whoever made the model put into its metadata, by name.

    Raises:
        InvalidInput: not a Core AI model, or metadata that cannot be read.
    """
    require_core_ai(path)
    found = _metadata(path).creator_defined_metadata
    return {key: value.encode() for key, value in found.items() if isinstance(value, str)}


def write_core_ai(
    made: Path, output: Path, entries: Mapping[str, bytes], functions: Iterable[str]
) -> None:
    """Write what Apple's library saved at `made` so that equal models are equal bytes.

    Args:
        entries: documents for the metadata. functions: inner functions with random names.

    Raises:
        InvalidInput: `made` is not a Core AI model. StorageError: `output` cannot be written.
    """
    require_core_ai(made)
    program = with_fixed_names((made / PROGRAM).read_bytes(), functions)
    told = _metadata(made)
    documents: dict[str, object] = {key: entries[key].decode() for key in sorted(entries)}
    metadata = msgspec.structs.replace(told, creator_defined_metadata=documents)
    with replacing_folder(output) as part:
        (part / PROGRAM).write_bytes(program)
        (part / HASH).write_bytes(hashlib.sha256(program).digest())
        (part / METADATA).write_bytes(msgspec.json.format(msgspec.json.encode(metadata), indent=2))


def _require_files(path: Path) -> None:
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise InvalidInput(f"{path.name} is not a {_WHAT}", found=found)
    for name in (METADATA, PROGRAM, HASH):
        if not (path / name).is_file():
            raise InvalidInput(f"{path.name} is not a {_WHAT}", found=f"no {name} in the folder")
    # All of the folder, not only the three: Apple's library is given the folder.
    links = sorted(item for item in path.rglob("*") if item.is_symlink())
    if links:
        raise InvalidInput(
            f"{path.name} reads files from outside its own folder",
            found=f"{links[0].relative_to(path).as_posix()} is a link",
            next_step="do not trust this model; where you do, copy what is meant: cp -rL",
        )


def _metadata(path: Path) -> _Metadata:
    file = path / METADATA
    size = file.stat().st_size
    if size > _MOST_METADATA_BYTES:
        raise InvalidInput(
            f"the metadata of {path.name} cannot be read",
            found=f"{METADATA} of {size} bytes; at most {_MOST_METADATA_BYTES}",
        )
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(
            f"the metadata of {path.name} cannot be read", found=str(error)
        ) from error
