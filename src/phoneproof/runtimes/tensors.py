"""What all runtimes share: dtype names, the check of what goes in, the number of threads."""

from __future__ import annotations

import os
from typing import get_args

import numpy as np

from phoneproof.core.binding import DType
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Tensors

_DTYPES: dict[str, DType] = {name: name for name in get_args(DType)}


def dtype_of(name: str, tensor: str) -> DType:
    """The project's name of a NumPy dtype name.

    Raises:
        Unsupported: a dtype that no binding can carry (float64, string ...).
    """
    if name not in _DTYPES:
        raise Unsupported(
            f"tensor {tensor!r} has a type that is not handled",
            found=name,
            next_step=f"supported: {', '.join(_DTYPES)}",
        )
    return _DTYPES[name]


def check_tensors(specs: tuple[TensorSpec, ...], tensors: Tensors) -> None:
    """Compare what the caller feeds with what the file asks for.

    Raises:
        InvalidInput: a missing or extra tensor, a wrong shape or dtype.
    """
    expected = {spec.name for spec in specs}
    if expected != set(tensors):
        raise InvalidInput(
            "the input tensors are not those of the model",
            found=f"fed {_listed(set(tensors))}; the model takes {_listed(expected)}",
        )
    for spec in specs:
        given = tensors[spec.name]
        if not isinstance(given, np.ndarray) or given.dtype.name != spec.dtype:
            kind = given.dtype.name if isinstance(given, np.ndarray) else type(given).__name__
            raise InvalidInput(
                f"input {spec.name!r} has the wrong type", found=f"{kind}, not {spec.dtype}"
            )
        if not fits(given.shape, spec.shape):
            raise InvalidInput(
                f"input {spec.name!r} has the wrong shape",
                found=f"{given.shape}, not {spec.shape}",
            )


def fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a shape is the expected one; -1 stands for any size."""
    return len(shape) == len(expected) and all(
        want in (-1, have) for have, want in zip(shape, expected, strict=True)
    )


def thread_count(threads: int) -> int:
    """Threads to use; 0 means every core this process may run on."""
    if threads > 0:
        return threads
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
