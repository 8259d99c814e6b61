"""Golden tensors on disk: raw little-endian values, whole or every k-th of a large tensor."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import DType
from phoneproof.core.errors import InvalidInput, VerificationFailed
from phoneproof.core.golden import GoldenTensor

Tensor = NDArray[Any]

SAMPLE = 16384
"""Elements kept of a large tensor. Golden vectors ship inside apps: a detector's outputs on 16
pictures would take 45 MB an artifact, samples of them 1 MB. The hash is of the whole tensor."""

_DTYPES: dict[str, DType] = {name: name for name in get_args(DType)}


def write_tensor(
    root: Path, file: str, name: str, tensor: Tensor, *, whole: bool = False
) -> GoldenTensor:
    """Write `tensor` (or a sample of it) to ``root/file``; equal files are written once.

    Raises:
        InvalidInput: a dtype that the index cannot name.
    """
    if tensor.dtype.name not in _DTYPES:
        raise InvalidInput(f"golden tensor {name!r} has a type that is not handled",
                           found=tensor.dtype.name)  # fmt: skip
    every = 1 if whole else sample_step(tensor.size)
    data = _little_endian(tensor.reshape(-1)[::every])
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return GoldenTensor(
        name=name,
        dtype=_DTYPES[tensor.dtype.name],
        shape=tensor.shape,
        sha256=tensor_sha256(tensor),
        file=file,
        file_sha256=hashlib.sha256(data).hexdigest(),
        every=every,
    )


def sample_step(count: int) -> int:
    """The smallest step that keeps at most `SAMPLE` of `count` elements and is coprime to it.

    Coprime: the sample then walks through every residue of each dimension, so that no row,
    column or channel of the tensor is left out.
    """
    step = max(1, -(-count // SAMPLE))
    while math.gcd(step, count) != 1 and step < count:
        step += 1
    return step


def tensor_sha256(tensor: Tensor) -> str:
    """sha256 of the whole tensor's little-endian bytes in row-major order."""
    return hashlib.sha256(_little_endian(tensor)).hexdigest()


def read_tensor(root: Path, golden: GoldenTensor) -> Tensor:
    """The stored elements, flat.

    Raises:
        VerificationFailed: the file is missing or altered; it is named.
        InvalidInput: the index speaks of another number of elements than the file holds.
    """
    data = read_checked(root, golden.file, golden.file_sha256)
    dtype = np.dtype(golden.dtype).newbyteorder("<")
    expected = -(-math.prod(golden.shape) // max(1, golden.every)) * dtype.itemsize
    if golden.every < 1 or len(data) != expected:
        raise InvalidInput(
            f"{golden.file} does not hold the tensor that the golden index describes",
            found=f"{len(data)} bytes instead of {expected}",
        )
    return np.frombuffer(data, dtype)


def read_checked(root: Path, file: str, sha256: str) -> bytes:
    """A file's bytes, if they are the recorded ones."""
    path = root / file
    if ".." in Path(file).parts or Path(file).is_absolute():
        raise InvalidInput("the golden index names a file outside its folder", found=file)
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != sha256:
        raise VerificationFailed(
            f"the golden file {file} is not as it was built",
            found="altered" if path.is_file() else "missing",
            next_step="copy the bundle again from where it was built, or build it again",
        )
    return data


def _little_endian(tensor: Tensor) -> bytes:
    return tensor.astype(tensor.dtype.newbyteorder("<"), copy=False).tobytes()
