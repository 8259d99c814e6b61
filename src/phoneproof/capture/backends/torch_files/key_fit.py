"""A file's names for the weights, brought to those of the network that they are for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from phoneproof.capture.backends.torch_files.records import TensorRef, printable
from phoneproof.core.errors import ConfigError

_COUNTERS: Final = ("num_batches_tracked", "n_averaged")
"""Written since torch 0.4.1 by batch normalisation, and by moving averages: no model needs them."""

_SHOWN: Final = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The network's name of each tensor. removed: the prefix that the file's names had before."""

    tensors: Mapping[str, TensorRef]
    removed: str


def fit_keys(
    file_name: str, wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, TensorRef]
) -> Fit:
    """The file's tensors under the network's names.

    Wrappers put a word before every name ("module." DataParallel, "_orig_mod." torch.compile,
    "model." training frameworks). It is taken off where the names fit the network better so.

    Args:
        wanted: name -> shape, of the network's own state dict.

    Raises:
        ConfigError: names that are missing or too many, or tensors of another shape; lists them,
            with the nearest name that the file has.
    """
    ways = [Fit(tensors=found, removed=""), *_without_prefixes(found)]
    best = max(ways, key=lambda way: (len(wanted.keys() & way.tensors.keys()), -len(way.removed)))
    tensors = best.tensors
    missing = [n for n in wanted if n not in tensors and not _is_counter(n)]
    unexpected = [n for n in tensors if n not in wanted and not _is_counter(n)]
    other = [n for n in wanted if n in tensors and tensors[n].shape != wanted[n]]
    faults = (
        _listed("missing", (_with_nearest(n, unexpected) for n in missing), len(missing)),
        _listed("unexpected", map(printable, unexpected), len(unexpected)),
        _listed(
            "of another shape",
            (f"{n} {list(tensors[n].shape)}, the network has {list(wanted[n])}" for n in other),
            len(other),
        ),
    )
    if any(faults):
        raise ConfigError(
            f"the weights in {file_name} do not fit the network that the factory builds",
            found="; ".join(fault for fault in faults if fault),
            next_step="correct the factory: its modules need the file's names and shapes",
        )
    return Fit(tensors={n: t for n, t in tensors.items() if n in wanted}, removed=best.removed)


def _is_counter(name: str) -> bool:
    return name.rpartition(".")[2] in _COUNTERS


def _without_prefixes(found: Mapping[str, TensorRef]) -> Iterator[Fit]:
    """The names without the word that all of them begin with, then without the next, ..."""
    removed = ""
    tensors = {name: ref for name, ref in found.items() if name not in _COUNTERS}
    while tensors:
        words = {name.partition(".")[0] for name in tensors if "." in name}
        if len(words) != 1 or any("." not in name for name in tensors):
            return
        removed += f"{words.pop()}."
        tensors = {name.partition(".")[2]: ref for name, ref in tensors.items()}
        yield Fit(tensors=tensors, removed=removed)


def _with_nearest(name: str, others: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(others)[:2000], n=1, cutoff=0.6)
    return f"{name} (the file has {printable(near[0])})" if near else name


def _listed(what: str, names: Iterable[str], count: int) -> str:
    shown = [name for name, _ in zip(names, range(_SHOWN), strict=False)]
    more = f" and {count - _SHOWN} more" if count > _SHOWN else ""
    return f"{count} {what}: {', '.join(shown)}{more}" if count else ""
