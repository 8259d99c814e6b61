"""What the weights of a Core AI file are, read from the program in the file by Apple's library."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from phoneproof.core.binding import Precision
from phoneproof.formats.inventory import dominant
from phoneproof.runtimes.backends.coreai import load_asset

_PLAIN: Final[dict[str, Precision]] = {"f32": "float32", "f16": "float16"}
_HELD: Final[dict[str, dict[str, Precision]]] = {
    "coreai.blockwise_shift_scale": {"si8": "weight_only_wi8", "si4": "weight_only_wi4"},
    "coreai.lut_to_dense": {"ui6": "palette6", "ui4": "palette4"},
}
"""What expands weights -> the type of its first operand -> the precision."""
_SPARSE: Final = "coreai.sparse_with_bitmask_to_dense"
_ON_THE_WAY: Final = frozenset({"coreai.transpose", "coreai.reshape", "coreai.cast"})
_LAYERS: Final = ("conv", "matmul")
"""Parts of the names of operations that have weights."""


def precision(path: Path) -> Precision:
    """Of nearly all weights (by number), ``mixed`` where there is none.

    Weights are the constants of convolutions and products, as they are stored. A file without any
    is called by its float constants.

    Raises:
        InvalidInput: not a Core AI model, truncated or damaged.
    """
    program = load_asset(path).program
    operations = tuple(_operations(program._module._mlir_module.operation))
    layers = [kind for one in operations for kind in _weights(one)]
    plain = (_plain(one) for one in operations if one.name == "coreai.constant")
    return dominant(layers) or dominant(one for one in plain if one) or "float32"


def _operations(operation: Any) -> Iterator[Any]:
    for region in operation.regions:
        for block in region.blocks:
            for inner in block.operations:
                yield inner.operation
                yield from _operations(inner.operation)


def _weights(operation: Any) -> Iterator[tuple[Precision, int]]:
    """(precision, numbers) of what a convolution or a product reads that is constant."""
    if not any(part in operation.name for part in _LAYERS):
        return
    for operand in operation.operands:
        maker = _maker(operand)
        shape, kind = _type(operand)
        if maker is None or len(shape) < 2:
            continue
        if maker.name in _HELD:
            _, held = _type(maker.operands[0])
            yield _HELD[maker.name].get(held, "mixed"), math.prod(shape)
        elif maker.name == _SPARSE:
            yield "sparse", math.prod(shape)
        elif maker.name == "coreai.constant" and kind in _PLAIN:
            yield _PLAIN[kind], math.prod(shape)


def _maker(value: Any) -> Any:
    """The operation behind transposes and casts that makes a value; null for an argument."""
    while True:
        maker = getattr(value.owner, "operation", value.owner)
        name = getattr(maker, "name", None)
        if not isinstance(name, str):
            return None
        if name not in _ON_THE_WAY:
            return maker
        value = maker.operands[0]


def _plain(constant: Any) -> tuple[Precision, int] | None:
    shape, kind = _type(constant.results[0])
    return (_PLAIN[kind], math.prod(shape)) if kind in _PLAIN else None


def _type(value: Any) -> tuple[tuple[int, ...], str]:
    """(shape, the name of the element's type) of a tensor with a static shape; else ((), "")."""
    kind = value.type
    if not getattr(kind, "has_static_shape", False):
        return (), ""
    return tuple(kind.shape), str(kind.element_type)
