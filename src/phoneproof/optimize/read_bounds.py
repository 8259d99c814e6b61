"""Reading the ranges that a static recipe of any format stands on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.errors import InvalidInput, OptimizationFailed, StorageError, nearest
from phoneproof.core.json_format import parse
from phoneproof.core.recipe import RangeMethod, Ranges

RANGES: Final = "ranges.json"
"""The file of them, in the folder of the step that measured or learned them."""

Bounds = Mapping[str, tuple[float, float]]
"""Tensor -> (low, high) of its values."""


def read_bounds(path: Path | None, artifact: Path, method: RangeMethod) -> Bounds:
    """Tensor -> (low, high) of one method.

    Raises:
        OptimizationFailed: no ranges at all, or not by this method.
        InvalidInput: the file is damaged, belongs to another model, or holds a range that is not
            finite or whose low end is above its high end (the tensor is named).
    """
    if path is None:
        raise OptimizationFailed(
            "a static recipe needs ranges", found=f"no {RANGES}", next_step="calibrate first"
        )
    try:
        ranges = parse(path.read_bytes(), Ranges, what=path.name)
    except OSError as error:
        raise StorageError.of(f"cannot read {path.name}", error) from error
    if ranges.artifact != tree_sha256(artifact):
        raise InvalidInput(
            f"{path.name} was calibrated on another file than {artifact.name}",
            found=f"ranges of {ranges.artifact[:12]}",
            next_step="calibrate this file",
        )
    found = ranges.of(method)
    if found is None:
        known = ", ".join(one.method for one in ranges.methods) or "none"
        raise OptimizationFailed(
            f"{path.name} has no ranges by the method {method}", found=f"it has {known}"
        )
    for one in found:
        if not (math.isfinite(one.low) and math.isfinite(one.high) and one.low <= one.high):
            raise InvalidInput(
                f"the range of tensor {one.tensor!r} cannot be used",
                found=f"{one.low} .. {one.high}",
                next_step="look for NaN or infinite activations in that layer",
            )
    return {one.tensor: (one.low, one.high) for one in found}


def bound_of(tensor: str, bounds: Bounds) -> tuple[float, float]:
    """(low, high) of one tensor.

    Raises:
        OptimizationFailed: it has no range; it is named, with a near name.
    """
    if tensor not in bounds:
        near = nearest(tensor, bounds)
        raise OptimizationFailed(
            f"there is no range for tensor {tensor!r}",
            found=f"{len(bounds)} ranges" + (f", among them {near!r}" if near else ""),
            next_step="calibrate this very file again",
        )
    return bounds[tensor]
