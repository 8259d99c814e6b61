"""Finished files are read back while others are still tried."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from phoneproof.core.binding import Format
from phoneproof.core.errors import OptimizationFailed
from phoneproof.pipeline.artifact_chain import JudgedArtifact
from phoneproof.pipeline.examine import read_once_judged
from phoneproof.pipeline.facts_step import FactsStep
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop

Judging = Future[JudgedArtifact]


def judged(name: str, format_: Format = "tflite") -> JudgedArtifact:
    artifact = SimpleNamespace(id=name, format=format_, sha256=name)
    made = SimpleNamespace(artifact=artifact, path=Path(name))
    return cast(JudgedArtifact, SimpleNamespace(made=made))


@dataclass(frozen=True)
class Bench:
    """A workshop that reads nothing; what it has begun to read ends the trying of another."""

    last: Judging
    begun: list[str] = field(default_factory=list)

    def start(self, step: FactsStep) -> Future[StepResult]:
        self.begun.append(step.label)
        if not self.last.done():
            self.last.set_result(judged("last"))
        return Future()


def done(one: JudgedArtifact) -> Judging:
    future: Judging = Future()
    future.set_result(one)
    return future


def test_a_file_is_read_while_another_is_still_tried() -> None:
    last: Judging = Future()
    bench = Bench(last)
    folder = judged("folder", "saved_model")
    reading = read_once_judged(cast(Workshop, bench), (last, done(folder), done(judged("first"))))
    assert bench.begun == ["first", "last"]
    assert set(reading) == {"first", "last"}


def test_a_try_that_broke_ends_the_wait() -> None:
    broken, never = cast(Any, Future()), cast(Any, Future())
    broken.set_exception(OptimizationFailed("no file"))
    assert read_once_judged(cast(Workshop, Bench(never)), (never, broken)) == {}
