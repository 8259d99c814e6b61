"""Tensor specifications that runtimes and model files share."""

from __future__ import annotations

import msgspec

from phoneproof.core.binding import DType, Quant


class TensorSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Name, shape (-1: dynamic) and dtype of one tensor; `quant` where it is quantised."""

    name: str
    shape: tuple[int, ...]
    dtype: DType
    quant: Quant | None = None
