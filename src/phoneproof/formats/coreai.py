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


class _Metadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """``metadata.json``. The creation date is left out: equal models shall be equal files."""

    asset_version: str
    producer: str = ""
    creator_defined_metadata: dict[str, object] = {}


def require_core_ai(path: Path) -> None:
    """Refuse what Apple's library cannot load, or would end the process over.

    Raises:
        InvalidInput: not a folder, without a program or metadata, or a program that is truncated,
            damaged or not the one of its hash.
    """
    if not path.is_dir():
        found = "a file" if path.exists() else "no such folder"
        raise InvalidInput(f"{path.name} is not a {_WHAT}", found=found)
    for name in (METADATA, PROGRAM, HASH):
        if not (path / name).is_file():
            raise InvalidInput(f"{path.name} is not a {_WHAT}", found=f"no {name} in the folder")
    program = (path / PROGRAM).read_bytes()
    try:
        require_bytecode(program)
    except InvalidInput as error:
        raise InvalidInput(
            f"{path.name} cannot be read", found=error.found, next_step=error.next_step
        ) from error
    if hashlib.sha256(program).digest() != (path / HASH).read_bytes():
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
    found = _metadata((path / METADATA).read_bytes(), path.name).creator_defined_metadata
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
    told = _metadata((made / METADATA).read_bytes(), made.name)
    documents: dict[str, object] = {key: entries[key].decode() for key in sorted(entries)}
    metadata = msgspec.structs.replace(told, creator_defined_metadata=documents)
    with replacing_folder(output) as part:
        (part / PROGRAM).write_bytes(program)
        (part / HASH).write_bytes(hashlib.sha256(program).digest())
        (part / METADATA).write_bytes(msgspec.json.format(msgspec.json.encode(metadata), indent=2))


def _metadata(data: bytes, name: str) -> _Metadata:
    try:
        return msgspec.json.decode(data, type=_Metadata)
    except msgspec.DecodeError as error:
        raise InvalidInput(f"the metadata of {name} cannot be read", found=str(error)) from error
