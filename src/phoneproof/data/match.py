"""Data-set classes to label indices of the contract, by number or by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from phoneproof.core.errors import ConfigError, nearest
from phoneproof.data.annotations import Annotations, ClassRef

SHOWN_NAMES: Final = 20
"""How many unknown names one message lists."""

_PLACEHOLDER = re.compile(r"class \d+")


def placeholder_labels(count: int) -> tuple[str, ...]:
    """Labels of a model whose class names nobody knows: "class 0", "class 1", ..."""
    return tuple(f"class {index}" for index in range(count))


def simple_name(name: str) -> str:
    """A name without the differences people do not mean: case, spaces, _ and -."""
    return re.sub(r"[\s_-]+", "", name).casefold()


@dataclass(frozen=True, kw_only=True, slots=True)
class Matcher:
    """Turns what a data set states into label indices. table: by number or stated name."""

    table: dict[ClassRef, int]

    def index(self, ref: ClassRef) -> int:
        """Label index of a class that `match_classes` was given."""
        return self.table[ref]


def match_classes(
    annotations: Annotations,
    labels: tuple[str | None, ...],
    class_index: Callable[[int], int],
) -> Matcher:
    """Match every class the data set uses, or report all that cannot be matched.

    Names win where both sides have names; numbers count the labels that are not null. Where the
    contract has placeholder labels ("class 3"), the data set's own class order counts.

    Raises:
        ConfigError: names or numbers the contract does not know, all together.
    """
    used = sorted(_used(annotations), key=str)
    numeric = all(isinstance(ref, int) or ref.isdecimal() for ref in used)
    named = {simple_name(label): i for i, label in reversed([*enumerate(labels)]) if label}
    order = {simple_name(name): k for k, name in enumerate(annotations.class_names)}
    anonymous = all(label is None or _PLACEHOLDER.fullmatch(label) for label in labels)
    table: dict[ClassRef, int] = {}
    unknown: list[str] = []
    for ref in used:
        name = _name_of(ref, annotations.class_names)
        number = _number_of(ref, order, numeric=numeric)
        if name is not None and simple_name(name) in named:
            table[ref] = named[simple_name(name)]
        elif number is not None and (name is None or anonymous or name == str(number)):
            try:
                table[ref] = class_index(number)
            except IndexError:
                unknown.append(_shown(ref, labels))
        else:
            unknown.append(_shown(name if name is not None else ref, labels))
    if unknown:
        raise _unknown_error(unknown, annotations.source, labels)
    return Matcher(table=table)


def _used(annotations: Annotations) -> Iterable[ClassRef]:
    refs: set[ClassRef] = set()
    for stated in annotations.by_image.values():
        if stated.label is not None:
            refs.add(stated.label)
        refs.update(box.class_ref for box in stated.boxes or ())
    return refs


def _name_of(ref: ClassRef, class_names: tuple[str, ...]) -> str | None:
    if isinstance(ref, str):
        return ref
    return class_names[ref] if 0 <= ref < len(class_names) else None


def _number_of(ref: ClassRef, order: dict[str, int], *, numeric: bool) -> int | None:
    if isinstance(ref, int) or numeric:
        return int(ref)  # numeric: a column of numbers, or folders named by them
    return order.get(simple_name(ref))


def _shown(ref: ClassRef, labels: tuple[str | None, ...]) -> str:
    if isinstance(ref, int):
        return f"number {ref}"
    known = {simple_name(label): label for label in labels if label}
    near = nearest(simple_name(ref), known)
    return f"{ref!r} (nearest: {known[near]!r})" if near else repr(ref)


def _unknown_error(unknown: list[str], source: str, labels: tuple[str | None, ...]) -> ConfigError:
    count = sum(label is not None for label in labels)
    more = f" and {len(unknown) - SHOWN_NAMES} more" if len(unknown) > SHOWN_NAMES else ""
    return ConfigError(
        f"{len(unknown)} class(es) of {source} are not in the contract",
        found=f"{', '.join(unknown[:SHOWN_NAMES])}{more}; the contract has {count} labels",
        next_step="correct labels in [contract], or the data set's class names",
    )
