"""What is said of a worker that died: its log's end, and the log only where it stays."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.events import Progress
from phoneproof.pipeline.process import _died, _rebuild
from phoneproof.pipeline.worker import Failure


@dataclass(frozen=True, kw_only=True)
class _Step:
    name: str = "inspect m.pt"
    tools: tuple[str, ...] = ()

    def identity(self) -> object:
        return ()

    def run(self, output: Path, progress: Progress) -> None:
        raise NotImplementedError


def _log(workspace: Path) -> Path:
    log = workspace / "logs" / "key.log"
    log.parent.mkdir(parents=True)
    log.write_text("loading\nout of memory\n")
    return log


FAILURE = Failure(kind="", failed="Traceback\nKeyError: 1", found="", next_step="")


def test_a_log_that_stays_is_named(tmp_path: Path) -> None:
    log = _log(tmp_path / ".phoneproof")
    for error in (_died(_Step(), -9, log, None), _rebuild(_Step(), FAILURE, log)):
        assert str(log) in error.next_step
        assert "loading | out of memory" in error.found


def test_a_log_that_goes_is_not_named() -> None:
    with tempfile.TemporaryDirectory(prefix="phoneproof-") as scratch:
        log = _log(Path(scratch))
        for error in (_died(_Step(), -9, log, None), _rebuild(_Step(), FAILURE, log)):
            assert error.next_step == ""
            assert "loading | out of memory" in error.found
