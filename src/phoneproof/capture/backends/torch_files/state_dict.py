"""Bare weights: the one mapping of names to tensors that a training checkpoint holds a network in.

Torch fixes no layout for checkpoints. What is common: the state dict itself, or a dict that holds
it under a name such as "state_dict" or "model", with a moving average (EMA) and the optimizer's
state beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from phoneproof.capture.backends.torch_files.records import (
    ITEM_BYTES,
    Record,
    TensorRef,
    number,
    printable,
    text_keys,
)

MAX_DEPTH: Final = 4
MAX_TENSORS: Final = 100_000
MAX_CANDIDATES: Final = 100
"""Networks in one file; a GAN with its averages has four."""

_AVERAGED: Final = ("ema", "averaged", "swa")
"""Parts of the names that moving averages of the weights are kept under."""

_TRAINING_ONLY: Final = ("optim", "sched", "scaler", "loss", "callback", "loops")
"""Parts of the names of what only goes on training."""

_USUAL: Final = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights"),
    *("params", "module", "generator", "backbone"),
)
"""Names that networks are saved under, most telling first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateDict:
    """The weights of a network, and what lay beside them.

    place: the keys that lead to it ("state_dict", "ema.module"; "" for the file itself).
    averaged: whether that is a moving average, preferred over the raw weights.
    others: places of further networks in the file. extra: entries that are no tensors.
    training_bytes: of tensors that only go on training (optimizer state).
    metrics: the numbers beside the weights (best accuracy, epoch).
    """

    place: str
    averaged: bool
    tensors: Mapping[str, TensorRef]
    others: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    training_bytes: int = 0
    metrics: tuple[tuple[str, float], ...] = ()


def find_state_dict(root: object) -> StateDict | None:
    """The network's weights in what torch.save wrote; null where there are none.

    A pickled module is no state dict: its class would be needed.
    """
    if not isinstance(root, dict) or holds_module(root):
        return None
    candidates = islice(_candidates(root, (), set()), MAX_CANDIDATES)
    found = sorted(candidates, key=lambda each: _rank(*each))
    if not found:
        return None
    place, mapping = found[0]
    fields = text_keys(mapping)
    tensors = {key: value for key, value in fields.items() if isinstance(value, TensorRef)}
    if len(tensors) > MAX_TENSORS:
        return None
    outer = text_keys(root) if place else {}
    return StateDict(
        place=".".join(place),
        averaged=_is_averaged(place),
        tensors=tensors,
        others=tuple(printable(".".join(other)) for other, _ in found[1:]),
        extra=tuple(printable(key) for key in fields if key not in tensors),
        training_bytes=_training_bytes(root),
        metrics=tuple(
            (printable(key), value)
            for key, item in outer.items()
            if (value := number(item)) is not None
        ),
    )


def holds_module(root: object) -> bool:
    """Whether a whole pickled module lies at the root or under one of its names."""
    values = root.values() if isinstance(root, dict) else (root,)
    return any(
        isinstance(value, Record) and value.has_attributes("_modules", "training")
        for value in values
    )


def _candidates(
    value: Mapping[object, object], place: tuple[str, ...], without: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping[object, object]]]:
    """Mappings with tensors. without: ids of those that hold none, each searched once only.

    The same mapping may lie under two names; dicts of dicts of the same dicts would take forever.
    """
    if id(value) in without:
        return
    if any(isinstance(item, TensorRef) for item in value.values()):
        yield place, value
        return
    without.add(id(value))
    if len(place) == MAX_DEPTH:
        return
    for key, item in text_keys(value).items():
        if isinstance(item, dict) and not _is_training(key):
            yield from _candidates(item, (*place, key), without)


def _rank(place: tuple[str, ...], mapping: Mapping[object, object]) -> tuple[int, int, int, str]:
    """Averages first, then telling names, then the larger network."""
    usual = min((_USUAL.index(part) for part in place if part in _USUAL), default=len(_USUAL))
    size = sum(v.numel for v in mapping.values() if isinstance(v, TensorRef))
    return (0 if _is_averaged(place) else 1, usual, -size, ".".join(place))


def _is_averaged(place: tuple[str, ...]) -> bool:
    return any(part in key.lower() for key in place for part in _AVERAGED)


def _is_training(key: str) -> bool:
    return any(part in key.lower() for part in _TRAINING_ONLY)


def _training_bytes(root: Mapping[object, object]) -> int:
    """Of storages that only entries named as an optimizer's refer to, each once."""
    waiting: list[object] = [v for k, v in text_keys(root).items() if _is_training(k)]
    storages: dict[str, int] = {}
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, TensorRef):
            storage = value.storage
            storages[storage.key] = storage.numel * ITEM_BYTES[storage.dtype]
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            waiting += value.values() if isinstance(value, dict) else value
    return sum(storages.values())
