"""Where else the classes may lie: beside a background class, or in another order, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

Labels = tuple[str | None, ...]

_PLACEHOLDER = re.compile(r"class \d+")
BACKGROUND_NAMES: Final = frozenset({"background", "__background__", "__ignore__", "unlabeled"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelOrder:
    """One reading of the model's classes.

    labels: the contract's labels under it. index: for each label index of the given contract
    where that class lies now, -1 for nowhere.
    """

    name: str
    labels: Labels
    index: tuple[int, ...]


def label_orders(labels: Labels, *, used: frozenset[int], read: Labels = ()) -> list[LabelOrder]:
    """The given order first, then the others that place every class the images use.

    Args:
        labels: of the given contract. used: label indices of the images.
        read: labels found in the model file.
    """
    given = LabelOrder(name="", labels=labels, index=tuple(range(len(labels))))
    found = [given]
    for order in _others(labels, read):
        places = all(order.index[i] >= 0 for i in used)
        if places and all(order.index != earlier.index for earlier in found):
            found.append(order)
    return found


def _others(labels: Labels, read: Labels) -> Iterator[LabelOrder]:
    if len(labels) < 2:
        return
    yield from _background_named(labels)
    if labels[0] is None:
        yield _moved(labels, -1, "no background first")
    else:
        yield _moved(labels, 1, "background first" if _anonymous(labels) else "one place later")
        if labels[-1] is not None and not _anonymous(labels):
            yield _moved(labels, -1, "one place earlier")
    yield from _sorted(labels)
    if len(read) == len(labels):
        yield from _renamed(labels, read, "the model file's order")


def _background_named(labels: Labels) -> Iterator[LabelOrder]:
    """A first label that is called background counts no class of the images."""
    if (labels[0] or "").casefold() in BACKGROUND_NAMES:
        moved = tuple(i + 1 if i + 1 < len(labels) else -1 for i in range(len(labels)))
        yield LabelOrder(
            name="the first label is background", labels=(None, *labels[1:]), index=moved
        )


def _moved(labels: Labels, by: int, name: str) -> LabelOrder:
    """All names one place later (by = 1) or earlier (by = -1).

    Where a null is there to fill the gap, or names are placeholders, a null goes round; real
    names are never lost but go round themselves.
    """
    count = len(labels)
    if _anonymous(labels):
        named = tuple(label for label in labels if label is not None)
        missing = count - len(named)
        if by > 0:
            moved: Labels = (None, *labels[:-1])
        else:
            moved = (*labels[1:], f"class {len(named)}" if missing else None)
        index = tuple(i + by if 0 <= i + by < count else -1 for i in range(count))
        return LabelOrder(name=name, labels=moved, index=index)
    moved = (labels[-1], *labels[:-1]) if by > 0 else (*labels[1:], labels[0])
    return LabelOrder(name=name, labels=moved, index=tuple((i + by) % count for i in range(count)))


def _anonymous(labels: Labels) -> bool:
    return all(label is None or _PLACEHOLDER.fullmatch(label) for label in labels)


def _sorted(labels: Labels) -> Iterator[LabelOrder]:
    """Names in the order of the alphabet, as most loaders list class folders; numbers by value."""
    named = [label for label in labels if label is not None]
    if _anonymous(labels) or len(set(named)) < len(named):
        return
    yield from _renamed(labels, _filled(labels, sorted(named)), "alphabetical")
    if all(name.isdecimal() for name in named):
        by_value = sorted(named, key=int)
        yield from _renamed(labels, _filled(labels, by_value), "by number")


def _filled(labels: Labels, names: list[str]) -> Labels:
    """Names put where the given labels have one; background and gaps stay."""
    rest = iter(names)
    return tuple(None if label is None else next(rest) for label in labels)


def _renamed(labels: Labels, other: Labels, name: str) -> Iterator[LabelOrder]:
    places = {label: i for i, label in enumerate(other) if label is not None}
    if len(places) == sum(label is not None for label in other):
        index = tuple(-1 if label is None else places.get(label, -1) for label in labels)
        yield LabelOrder(name=name, labels=other, index=index)
