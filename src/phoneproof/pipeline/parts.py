"""Runs over many images, in parts: each part is a step of its own, kept when it is done.

An interrupted run over 50 000 images goes on where it was, the parts keep all cores busy, and
added images touch only the parts that they fall into: a part holds the images whose content hash
begins with the same bits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.events import Event, Listener, Progress
from phoneproof.pipeline.artifact_steps import PredictStep
from phoneproof.pipeline.capture_steps import BaselineStep
from phoneproof.pipeline.live import LiveBaselineStep
from phoneproof.pipeline.prediction import PREDICTIONS, RUNTIME_FILE
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop

if TYPE_CHECKING:
    from phoneproof.runtimes.predict import Prediction

PART_IMAGES = 2048
"""Most images of one part: minutes of work for a slow model, so that little is lost; yet opening
the model again for every part costs nothing that is felt."""

RunStep = PredictStep | BaselineStep | LiveBaselineStep
"""A step that runs one model over `images`."""


def predicted(workshop: Workshop, step: RunStep) -> StepResult:
    """The step's result, made in parts where there are many images.

    Raises:
        PhoneproofError: what a part raised; the finished parts stay.
    """
    parts = hash_parts(step.images.items, PART_IMAGES)
    if len(parts) <= 1:
        return workshop.cache.result(step)
    whole = _Whole(step.name, workshop.cache.listener, len(step.images.items))
    futures = [
        workshop.start(_part(step, items, is_first=index == 0), whole.part(index, len(items)))
        for index, items in enumerate(parts)
    ]
    wait(futures, return_when="FIRST_EXCEPTION")
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            for other in futures:
                other.cancel()
            future.result()
    folders = tuple(future.result().folder for future in futures)
    return workshop.cache.result(JoinStep(label=step.name, parts=folders))


def hash_parts(items: tuple[ImageItem, ...], most: int) -> tuple[tuple[ImageItem, ...], ...]:
    """Images, sorted by hash, divided by the first bits of their hashes; no part is empty.

    As many bits are used as bring `most` or fewer images into a part on average.
    """
    bits = max(0, (len(items) - 1).bit_length() - (most.bit_length() - 1))
    parts: dict[int, list[ImageItem]] = {}
    for item in items:
        parts.setdefault(int(item.sha256[:8], 16) >> (32 - bits), []).append(item)
    return tuple(tuple(parts[key]) for key in sorted(parts))


def _part(step: RunStep, items: tuple[ImageItem, ...], *, is_first: bool) -> RunStep:
    images = ImageSet(split=step.images.split, items=items)
    return replace(step, images=images, keeps_outputs=step.keeps_outputs and is_first)


def _counted(
    predictions: Iterator[Prediction], progress: Progress, total: int
) -> Iterator[Prediction]:
    for done, prediction in enumerate(predictions, start=1):
        yield prediction
        progress(done, total)


class _Whole:
    """The parts' events as those of one step: people wait for the run, not for its parts."""

    def __init__(self, name: str, listener: Listener, total: int) -> None:
        self._name = name
        self._listener = listener
        self._total = total
        self._done: dict[int, int] = {}
        self._guard = threading.Lock()
        listener(Event(step=name, state="started"))

    def part(self, index: int, size: int) -> Listener:
        """What hears the events of one part of `size` images."""

        def listener(event: Event) -> None:
            if event.state == "failed":
                self._listener(msgspec.structs.replace(event, step=self._name))
            elif event.state in ("progress", "finished", "cached"):
                self._moved(index, event.done if event.state == "progress" else size)

        return listener

    def _moved(self, index: int, done: int) -> None:
        with self._guard:
            self._done[index] = done
            total = sum(self._done.values())
        state: Literal["progress", "finished"] = "finished" if total == self._total else "progress"
        self._listener(Event(step=self._name, state=state, done=total, total=self._total))


@dataclass(frozen=True, kw_only=True)
class JoinStep:
    """Prediction folders of all parts, in order -> one prediction folder."""

    label: str
    parts: tuple[Path, ...]

    tools = ()

    @property
    def name(self) -> str:
        """Named by what was run."""
        return f"{self.label}: join {len(self.parts)} parts"

    def identity(self) -> object:
        """The parts, by their addresses."""
        return [part.name for part in self.parts]

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``predictions/`` and ``runtime.json``; one prediction is in memory at a time."""
        from phoneproof.runtimes.prediction_store import read_predictions, write_predictions

        stores = [read_predictions(part / PREDICTIONS) for part in self.parts]
        total = sum(map(len, stores))
        counted = _counted(chain.from_iterable(stores), progress, total)
        write_predictions(output / PREDICTIONS, counted)
        (output / RUNTIME_FILE).write_bytes((self.parts[0] / RUNTIME_FILE).read_bytes())
