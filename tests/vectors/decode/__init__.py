"""decode.json: output tensors to results."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tests.vectors.decode import classify, final, levels, refused, rows, rules
from tests.vectors.decode.setup import case
from tests.vectors.types import DecodeCase


def cases() -> Iterator[DecodeCase]:
    """Every role and row of the binding's table, the rules of results, and what is refused."""
    groups = (
        rows.setups(),
        levels.setups(),
        final.setups(),
        rules.setups(),
        classify.setups(),
        refused.setups(),
    )
    for setup in itertools.chain.from_iterable(groups):
        yield case(setup)
