"""Builds that are stopped in the middle, and disks that are full: nothing half, nothing lost."""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from phoneproof.package.bundle import read_bundle
from tests.integration.command_line import Ran, phoneproof
from tests.integration.conftest import Shipped, write_project
from tests.integration.interrupted import (
    DONE,
    Build,
    canonical,
    differing,
    wait_for_no_worker,
)

NAME = "colours-1.0.0"
STEPS = 16
"""Lines that a build of the colour classifier prints of what is done, the images among them."""
SMALLER_THAN_THE_HUB = 8_000
SMALLER_THAN_A_PICTURE = 320_000
"""Bytes: more than the page and every tensor, less than the largest golden picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """Send `sent` this many seconds after so many steps are done."""

    done: int
    seconds: float
    sent: signal.Signals


def _moments() -> tuple[Moment, ...]:
    """Ten interrupts and three kills, spread over a build's steps."""
    generator = random.Random(20)
    sent = [signal.SIGINT] * 10 + [signal.SIGKILL] * 3
    generator.shuffle(sent)
    done = sorted(generator.sample(range(1, STEPS), len(sent)))
    return tuple(
        Moment(done=count, seconds=generator.uniform(0.0, 0.6), sent=one)
        for count, one in zip(done, sent, strict=True)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """How a build ended that was stopped. seconds: from the signal to the last worker's end."""

    moment: Moment
    code: int
    said: str
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Battered:
    """A project whose build met a small disk, was stopped thirteen times, and ended well."""

    folder: Path
    small_hub: Ran
    stopped: tuple[Stopped, ...]
    small_picture: Ran
    last: Ran

    @property
    def bundle(self) -> Path:
        return self.folder / "dist" / NAME

    def config(self, directory: str) -> Path:
        """The same with another place for the bundle."""
        text = (self.folder / "phoneproof.toml").read_text()
        path = self.folder / f"{directory}.toml"
        path.write_text(text.replace('directory = "dist"', f'directory = "{directory}"'))
        return path


def _stop(folder: Path, moment: Moment, *arguments: str) -> Stopped:
    with Build(folder, *arguments) as build:
        build.wait_for(DONE, moment.done)
        time.sleep(moment.seconds)
        started = time.monotonic()
        code = build.stop(moment.sent)
        wait_for_no_worker(folder / ".phoneproof", 30.0)
        seconds = time.monotonic() - started
        return Stopped(moment=moment, code=code, said=build.said, seconds=seconds)


def _limited(folder: Path, largest_file: int, *arguments: str) -> Ran:
    with Build(folder, *arguments, largest_file=largest_file) as build:
        code = build.end()
        return Ran(code=code, out="", err=build.said)


@pytest.fixture(scope="module")
def battered(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Battered:
    folder = write_project(tmp_path_factory.mktemp("battered"))
    (folder / "phoneproof.toml").write_text(shipped.config)
    small_hub = _limited(folder, SMALLER_THAN_THE_HUB)
    stopped = []
    for moment in _moments():
        stopped.append(_stop(folder, moment))
        _require_whole(folder / "dist")
    small_picture = _limited(folder, SMALLER_THAN_A_PICTURE)
    _require_whole(folder / "dist")
    return Battered(
        folder=folder,
        small_hub=small_hub,
        stopped=tuple(stopped),
        small_picture=small_picture,
        last=phoneproof("build", cwd=folder),
    )


def _require_whole(place: Path) -> None:
    """Nothing is there, or a whole bundle."""
    found = sorted(path.name for path in place.iterdir()) if place.exists() else []
    assert found in ([], [NAME])
    if found:
        read_bundle(place / NAME)


def test_it_ends_in_the_same_bundle(shipped: Shipped, battered: Battered) -> None:
    assert battered.last.code == 0, battered.last.said
    left, right = canonical(shipped.bundle), canonical(battered.bundle)
    assert differing(left, right) == []
    assert left.blanked == right.blanked
    read_bundle(battered.bundle)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("report.json", b'"top1_agreement"', b'"top5_agreement"'),
        ("report.html", b"</title>", b".</title>"),
        ("manifest.json", b'"onnx-float32"', b'"onnx-float64"'),
        ("MODEL_CARD.md", b"# colours", b"# colors"),
        ("artifacts/model.onnx", b"contract", b"Contract"),
    ],
)
def test_only_times_and_memory_are_left_out(
    battered: Battered, tmp_path: Path, name: str, old: bytes, new: bytes
) -> None:
    """The control: anything else that moved is seen."""
    found = canonical(battered.bundle)
    assert found.blanked == {
        ("report.json", "created"),
        ("report.json", "seconds"),
        ("report.json", "peak_rss_bytes"),
        ("manifest.json", "seconds"),
        ("manifest.json", "peak_rss_bytes"),
    }
    copy = tmp_path / "bundle"
    shutil.copytree(battered.bundle, copy)
    data = (copy / name).read_bytes()
    assert old in data
    (copy / name).write_bytes(data.replace(old, new, 1))
    assert differing(found, canonical(copy)) == [name]


def test_interrupts_are_answered_at_once(battered: Battered) -> None:
    interrupted = [one for one in battered.stopped if one.moment.sent == signal.SIGINT]
    assert len(interrupted) == 10
    for one in interrupted:
        assert one.code == 130, one
        assert one.said.endswith("phoneproof: interrupted; finished steps are kept\n"), one.said
        assert "Traceback" not in one.said
        assert "failed" not in one.said
        assert one.seconds < 3.0


def test_killed_builds_leave_no_worker(battered: Battered) -> None:
    killed = [one for one in battered.stopped if one.moment.sent == signal.SIGKILL]
    assert [one.code for one in killed] == [-signal.SIGKILL] * 3
    assert all(one.seconds < 3.0 for one in killed)


def test_the_moments_were_spread_and_work_was_kept(battered: Battered) -> None:
    started = [_names(one.said, "started") for one in battered.stopped]
    assert all(one.moment.done <= len(DONE.findall(one.said)) for one in battered.stopped)
    assert len({name for names in started for name in names}) > STEPS // 2
    said = [battered.small_hub.err, *(one.said for one in battered.stopped)]
    assert sum("baseline" in _names(one, "finished") for one in said) == 1
    assert "capture: cached" in battered.last.err
    assert list((battered.folder / ".phoneproof" / "work").iterdir()) == []


@pytest.mark.parametrize("which", ["small_hub", "small_picture"])
def test_a_full_disk_stops_a_step(battered: Battered, which: str) -> None:
    done: Ran = getattr(battered, which)
    step = {"small_hub": "capture", "small_picture": "golden vectors"}[which]
    assert done.code == 10, done.said
    assert "Traceback" not in done.err
    assert f"{step}: failed" in done.err
    assert "File too large" in done.err
    assert re.search(r"next: .*space", done.err)


def test_a_full_disk_stops_the_bundle(shipped: Shipped, battered: Battered) -> None:
    config = battered.config("elsewhere")
    for _ in range(2):
        done = _limited(battered.folder, SMALLER_THAN_A_PICTURE, "--config", config.name)
        assert done.code == 10, done.said
        assert "could not be written" in done.err
        assert not list((battered.folder / "elsewhere").iterdir())
    again = phoneproof("build", "--config", config, cwd=battered.folder)
    assert again.code == 0, again.said
    made = canonical(battered.folder / "elsewhere" / NAME)
    assert differing(canonical(shipped.bundle), made) == []


def test_interrupts_while_the_bundle_is_written(battered: Battered) -> None:
    config = battered.config("late")
    codes = []
    for seconds in (0.0, 0.1, 0.2, 0.4):
        moment = Moment(done=STEPS, seconds=seconds, sent=signal.SIGINT)
        codes.append(_stop(battered.folder, moment, "--config", config.name).code)
        _require_whole(battered.folder / "late")
    assert set(codes) <= {0, 130}
    assert 130 in codes


def test_a_place_that_is_a_file(battered: Battered) -> None:
    (battered.folder / "taken").write_text("not a folder")
    done = phoneproof("build", "--config", battered.config("taken"), cwd=battered.folder)
    assert done.code == 10, done.said
    assert "a part of its path is a file" in done.err
    assert "capture" not in done.err  # it is said before the work, not after it
    assert (battered.folder / "taken").read_text() == "not a folder"


def test_a_bundle_s_place_that_holds_something_else(battered: Battered) -> None:
    mine = battered.folder / "mine" / NAME
    mine.mkdir(parents=True)
    (mine / "thesis.txt").write_text("years of work")
    done = phoneproof("build", "--config", battered.config("mine"), cwd=battered.folder)
    assert done.code == 10, done.said
    assert "is not a bundle" in done.err
    assert "capture" not in done.err
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_a_summary_that_cannot_be_written(battered: Battered) -> None:
    done = phoneproof("build", "--summary", "nowhere/summary.md", cwd=battered.folder)
    assert done.code == 10, done.said
    assert "cannot write summary.md" in done.err
    assert "accepted" in done.out


def _names(said: str, state: str) -> list[str]:
    return re.findall(rf"^(.+): {state}\b", said, re.MULTILINE)
