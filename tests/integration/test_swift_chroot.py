"""The script that makes the Swift toolchain leaves a whole one or none. debootstrap is faked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.assets import ROOT

SCRIPT = ROOT / "scripts" / "swift_chroot.sh"
BIN = "$4/usr/libexec/swift/bin"
GOOD = f'mkdir -p "{BIN}" && install -m 755 /dev/null "{BIN}/swift"'

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 and not os.environ.get("CI"), reason="the script needs root"
)


def start(folder: Path, body: str) -> subprocess.Popen[str]:
    """Run the script; `body` is what debootstrap does ($4 is its target)."""
    tools = folder / "tools"
    tools.mkdir(exist_ok=True)
    stand_in = tools / "debootstrap"
    stand_in.write_text(f"#!/bin/sh\necho ran >> {folder}/runs\n{body}\n")
    stand_in.chmod(0o755)
    return subprocess.Popen(
        [SCRIPT, folder / "swift"],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out.strip(), err


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"tools", "runs", "swift.lock", "swift.log"}


def test_it_is_made_once(tmp_path: Path) -> None:
    made = finish(start(tmp_path, GOOD))
    assert made[:2] == (0, str(tmp_path / "swift"))
    assert (tmp_path / "swift" / "work").is_dir()
    assert finish(start(tmp_path, GOOD)) == (0, str(tmp_path / "swift"), "")
    assert (tmp_path / "runs").read_text() == "ran\n"
    assert left(tmp_path) == {"swift"}


def test_two_at_a_time_make_one(tmp_path: Path) -> None:
    both = [start(tmp_path, f"sleep 1; {GOOD}") for _ in range(2)]
    assert [finish(one)[0] for one in both] == [0, 0]
    assert (tmp_path / "runs").read_text() == "ran\n"


@pytest.mark.parametrize("body", ["echo no network; exit 1", 'mkdir -p "$4"'])
def test_a_failure_leaves_nothing(tmp_path: Path, body: str) -> None:
    code, out, err = finish(start(tmp_path, body))
    assert (code, out) == (1, "")
    assert "no network" in err or "no swift in it" in err
    assert left(tmp_path) == set()


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    process = start(tmp_path, 'mkdir -p "$4/etc"; sleep 30')
    deadline = time.monotonic() + 30
    while not (tmp_path / "swift.new" / "etc").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert finish(process)[0] == 130
    assert left(tmp_path) == set()


def test_what_a_killed_run_left_is_cleared(tmp_path: Path) -> None:
    """Through no mount: what lay under one is still there."""
    precious, stale = tmp_path / "tools" / "precious", tmp_path / "swift.new"
    precious.mkdir(parents=True)
    (precious / "file").write_text("kept")
    (stale / "proc").mkdir(parents=True)
    subprocess.run(["mount", "--bind", precious, stale / "proc"], check=True)
    assert finish(start(tmp_path, GOOD))[0] == 0
    assert (precious / "file").read_text() == "kept"
    assert left(tmp_path) == {"swift"}
    assert str(stale) not in Path("/proc/mounts").read_text()
