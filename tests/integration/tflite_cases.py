"""What a test of one TFLite operator is, and the constants that they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.integration.tflite_files import TfliteFile

Array = NDArray[Any]
Make = Callable[[TfliteFile, int], Sequence[int]]
SAME, VALID = 0, 1
IMAGE = (1, 9, 7, 4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """make: adds the operator behind tensor `x`, gives the output tensors."""

    name: str
    op: str
    make: Make
    shape: tuple[int, ...] = IMAGE
    low: float = -2.0
    high: float = 2.0


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def weights(*shape: int, seed: int = 1) -> Array:
    return rng(seed).normal(0, 0.5, shape).astype(np.float32)


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int32)


def one(op: str, options: Any = None, constants: Sequence[Array] = (), dtype: str = "") -> Make:
    """The operator on x followed by constants."""

    def make(file: TfliteFile, x: int) -> Sequence[int]:
        inputs = [x, *(file.const(values) for values in constants)]
        return [file.node(op, inputs, dtype=dtype or "float32", options=options)]

    return make
