"""Whether an opened file is the one its binding describes."""

from __future__ import annotations

import numpy as np

from phoneproof.core.binding import Binding, DType, InputBinding, OutputBinding, Quant
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.heads import input_size
from phoneproof.runtimes.base import Session
from phoneproof.runtimes.tensors import fits


def check_session(session: Session, contract: Contract, binding: Binding) -> None:
    """Compare the file's tensors with the binding's, and the binding's input with the contract.

    The file may have further outputs; it may not have further inputs.

    Raises:
        InvalidInput: every difference is named.
    """
    differences = [
        *_compare("input", session.inputs, binding.inputs),
        *_compare("output", session.outputs, binding.outputs),
    ]
    bound = {image.tensor for image in binding.inputs}
    differences += [
        f"the file also asks for input {spec.name!r}"
        for spec in session.inputs
        if spec.name not in bound
    ]
    if not differences and input_size(binding) != contract.image.size:
        differences.append(
            f"the input is {_sides(input_size(binding))}, "
            f"the contract prepares {_sides(contract.image.size)}"
        )
    if differences:
        raise InvalidInput(
            "the model file and its binding do not fit each other",
            found="; ".join(dict.fromkeys(differences)),
            next_step="use the binding that was written for this file",
        )


def _compare(
    kind: str,
    specs: tuple[TensorSpec, ...],
    bound: tuple[InputBinding, ...] | tuple[OutputBinding, ...],
) -> list[str]:
    by_name = {spec.name: spec for spec in specs}
    found: list[str] = []
    for one in bound:
        spec = by_name.get(one.tensor)
        if spec is None:
            names = ", ".join(by_name) or "none"
            found.append(f"no {kind} {one.tensor!r} (the file has {names})")
            continue
        what = f"{kind} {one.tensor!r}"
        if not fits(one.shape, spec.shape):
            found.append(f"{what} has shape {list(spec.shape)}, not {list(one.shape)}")
        if spec.dtype != one.dtype:
            found.append(f"{what} is {spec.dtype}, not {one.dtype}")
        elif not _same_scale(spec.quant, one.quant, one.dtype):
            found.append(f"{what} is quantised by {_affine(spec.quant)}, not {_affine(one.quant)}")
    return found


def _same_scale(file: Quant | None, bound: Quant | None, dtype: DType) -> bool:
    """Scales are float32 in the file; a format without quantised tensors says nothing."""
    if file is None or dtype not in ("int8", "uint8", "int16"):
        return True
    return (
        bound is not None
        and file.zero_point == bound.zero_point
        and np.float32(file.scale) == np.float32(bound.scale)
    )


def _affine(quant: Quant | None) -> str:
    return "nothing" if quant is None else f"({quant.scale:.9g}, {quant.zero_point})"


def _sides(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]} pixels (height x width)"
