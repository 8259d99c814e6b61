"""What a model file really holds, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from phoneproof.core.binding import Precision
from phoneproof.core.errors import Unsupported


class FileInventory(msgspec.Struct, frozen=True, kw_only=True):
    """Operators and weights of one file.

    ops: (operator, how often), most frequent first. custom_ops: operators outside the format's
    own set. weights_bytes: (dtype, bytes) of constant tensors, largest first. precision: read
    from the operators and the weights, never from a name.
    """

    ops: tuple[tuple[str, int], ...]
    custom_ops: tuple[str, ...] = ()
    weights_bytes: tuple[tuple[str, int], ...]
    precision: Precision


PURE_SHARE = 0.99
"""A file is of one precision when that holds for 99 % of its weight bytes: quantisers leave a
first layer or a scale table alone, and calling such a file mixed would say less, not more."""


def dominant(weights: Iterable[tuple[Precision, int]]) -> Precision | None:
    """The precision of nearly all weight bytes, ``mixed`` where there is none, null for none."""
    shares: Counter[Precision] = Counter()
    for precision, size in weights:
        shares[precision] += size
    total = sum(shares.values())
    if not total:
        return None
    first, size = shares.most_common(1)[0]
    return first if size >= PURE_SHARE * total else "mixed"


def counted(names: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """(name, count), most frequent first, ties by name."""
    return ranked(Counter(names))


def ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    """A counter's items, largest first, ties by name."""
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def require_standard_ops(inventory: FileInventory, target: str, next_step: str) -> None:
    """Refuse a file with operators that a plain runtime lacks.

    Raises:
        Unsupported: names the operators.
    """
    if inventory.custom_ops:
        raise Unsupported(
            f"the model needs operators that {target} does not have",
            found=", ".join(inventory.custom_ops),
            next_step=next_step,
        )
