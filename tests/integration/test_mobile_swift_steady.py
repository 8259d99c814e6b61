"""What a frame costs in memory in the Swift core once everything is prepared."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import msgspec
import pytest

from tests.integration.mobile_swift_build import FLAGS, built

pytestmark = pytest.mark.timeout(1800)

COUNTER = Path(__file__).parent / "allocation_counter.c"
FRAMES = os.environ.get("PHONEPROOF_FRAMES", "300")
"""10000 is what the project is held to; it takes a minute."""


class Steady(msgspec.Struct, frozen=True, rename="camel"):
    """What ``phoneproof-bench steady`` prints: allocations of one run, by what was done."""

    allocations: dict[str, float]
    grown_kilobytes: int
    frames: int


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Steady:
    package = built(tmp_path_factory)
    shutil.copyfile(COUNTER, package.folder / COUNTER.name)
    swift = package.swift
    swift.succeed(f"cc -shared -fPIC -O2 -Wall -Werror -o counter.so {COUNTER.name}")
    where = swift.succeed(f"cd ios && swift build {FLAGS} --show-bin-path").strip()
    said = swift.succeed(
        f"LD_PRELOAD=/work/counter.so {where}/phoneproof-bench steady {int(FRAMES)}"
    )
    return msgspec.json.decode(said, type=Steady)


def test_pixels_allocate_nothing(steady: Steady) -> None:
    assert steady.allocations["opencv.linear"] == 0
    assert steady.allocations["pillow.bilinear"] == 0


def test_decoding_allocates_the_list_that_it_gives_and_nothing_else(steady: Steady) -> None:
    assert steady.allocations["decode"] == 1
    assert steady.allocations["decode nothing"] == 0


def test_allocations_are_counted(steady: Steady) -> None:
    """The control: one that is there."""
    assert steady.allocations["one"] == 1


def test_frames_leave_nothing_behind(steady: Steady) -> None:
    assert steady.frames == int(FRAMES)
    assert steady.grown_kilobytes < 256
