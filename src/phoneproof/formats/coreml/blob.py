"""The file of weights beside a program: MIL blob storage, version 2.

A file header (64 bytes: count, version), then for each tensor a header of 64 bytes (sentinel,
type, bytes, offset of the numbers, unused bits at their end) and its numbers, all little-endian
and aligned to 64 bytes. Source: ``mlmodel/src/MILBlob/Blob/StorageFormat.hpp`` of coremltools.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.packed import packed_size, unpacked
from phoneproof.formats.coreml.program import BITS, MilDType, TensorType

_FILE: Final = struct.Struct("<II56x")
_ENTRY: Final = struct.Struct("<IIQQQ32x")
_SENTINEL: Final = 0xDEADBEEF
_VERSION: Final = 2
_ALIGNMENT: Final = 64

_TYPES: Final[dict[int, MilDType]] = {
    1: "float16",
    2: "float32",
    3: "uint8",
    4: "int8",
    5: "bfloat16",
    6: "int16",
    7: "uint16",
    8: "int4",
    9: "uint1",
    10: "uint2",
    11: "uint4",
    12: "uint3",
    13: "uint6",
    14: "int32",
    15: "uint32",
}
"""BlobDataType -> name."""


class BlobFile:
    """One open file of weights; what is read are read-only views of it, except packed numbers.

    Args:
        path: the file. owner: the model's name, for messages.

    Raises:
        InvalidInput: not a file of this form.
    """

    def __init__(self, path: Path, owner: str) -> None:
        self._owner = owner
        self._name = path.name
        if path.stat().st_size < _FILE.size:
            raise self._damaged(f"{path.stat().st_size} bytes")
        self._data = np.memmap(path, np.uint8, mode="r")
        _, version = _FILE.unpack(self._data[: _FILE.size].tobytes())
        if version != _VERSION:
            raise self._damaged(f"version {version} where {_VERSION} is known")

    def read(self, type_: TensorType, offset: int) -> NDArray[Any]:
        """The numbers of the tensor whose header lies at `offset`.

        Returns:
            an array of the declared shape and type; int4 as int8, uint1 to uint6 as uint8,
            bfloat16 as float32.

        Raises:
            InvalidInput: outside the file, no header there, or of another type or size than the
                program declares.
        """
        kind, size, start = self._entry(offset)
        if kind != type_.dtype:
            raise self._damaged(f"{kind} at byte {offset} where {type_.dtype} is declared")
        count = math.prod(type_.shape)
        if min(type_.shape, default=0) < 0 or size != packed_size(count, BITS[kind]):
            shape = list(type_.shape)
            raise self._damaged(f"{size} bytes at {offset} for {kind} of shape {shape}")
        data = self._data[start : start + size]
        return numbers(data, type_)

    def _entry(self, offset: int) -> tuple[MilDType, int, int]:
        """(type, bytes, where the numbers begin), all inside the file."""
        whole = self._data.size
        if offset % _ALIGNMENT or not _FILE.size <= offset <= whole - _ENTRY.size:
            raise self._damaged(f"a tensor at byte {offset} of {whole}")
        header = self._data[offset : offset + _ENTRY.size].tobytes()
        sentinel, code, size, start, _ = _ENTRY.unpack(header)
        if sentinel != _SENTINEL:
            raise self._damaged(f"no tensor begins at byte {offset}")
        if code not in _TYPES:
            raise Unsupported(
                f"weights of {self._owner} have a type that is not read", found=f"type {code}"
            )
        if start + size > whole or start < _FILE.size:
            raise self._damaged(f"numbers from byte {start} to {start + size} of {whole}")
        return _TYPES[code], size, start

    def _damaged(self, found: str) -> InvalidInput:
        return InvalidInput(
            f"the weights of {self._owner} are damaged, or are another model's",
            found=f"{self._name}: {found}",
            next_step="copy the whole .mlpackage folder again",
        )


def numbers(data: NDArray[np.uint8], type_: TensorType) -> NDArray[Any]:
    """Bytes of exactly one tensor as its numbers; types as `BlobFile.read`."""
    bits, count = BITS[type_.dtype], math.prod(type_.shape)
    if type_.dtype == "bool" or bits < 8:
        if type_.dtype == "bool":
            return data.view(np.bool_).reshape(type_.shape)
        signed = type_.dtype == "int4"
        return unpacked(data, count, bits, signed=signed).reshape(type_.shape)
    if type_.dtype == "bfloat16":
        widened = np.left_shift(data.view("<u2").astype(np.uint32), 16)
        return widened.view(np.float32).reshape(type_.shape)
    return data.view(np.dtype(type_.dtype).newbyteorder("<")).reshape(type_.shape)
