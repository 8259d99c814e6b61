"""The stored baseline is read as it is needed, as often as it is needed."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import cast

from phoneproof.pipeline.verify_bundle import Known
from phoneproof.runtimes.predict import Prediction


class _One:
    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256


class _Store:
    def __init__(self) -> None:
        self.made: list[weakref.ref[_One]] = []

    def __iter__(self) -> Iterator[Prediction]:
        for index in range(100):
            one = _One(str(index))
            self.made.append(weakref.ref(one))
            yield cast(Prediction, one)


def test_one_prediction_is_held_at_a_time() -> None:
    store = _Store()
    known = Known(stored=store, wanted=frozenset(str(index) for index in range(0, 100, 2)))
    assert not store.made
    for _ in range(2):
        seen = []
        for one in known:
            seen.append(one.sha256)
            alive = [ref for ref in store.made if ref() is not None]
            assert len(alive) <= 2
        assert seen == [str(index) for index in range(0, 100, 2)]
