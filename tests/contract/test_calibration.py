"""Calibration on every runtime that shows its tensors: the same ranges, inputs and outputs too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.binding import Format
from phoneproof.core.errors import OptimizationFailed
from phoneproof.optimize.calibrate import Calibration, Feed, calibrate
from phoneproof.optimize.consumers import file_consumers
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FORMATS: tuple[Format, ...] = ("tflite", "onnx")


def feeds(count: int) -> list[Feed]:
    rng = np.random.default_rng(2)
    return [
        Feed(image=f"{i}", tensors={"image": rng.random(tiny.SHAPE, dtype=np.float32)})
        for i in range(count)
    ]


def calibrated(format_: Format, path: Path, count: int = 10) -> Calibration:
    session = RUNTIMES.load(format_).open_for_trace(path)
    return calibrate(session, feeds(count), total=count)


@pytest.mark.parametrize("format_", FORMATS)
def test_inputs_outputs_and_layers_have_ranges(
    format_: Format, model_files: dict[str, Path]
) -> None:
    path = model_files[format_]
    session = RUNTIMES.load(format_).open(path)
    ranges = calibrated(format_, path).ranges("0" * 64)
    bounds = {one.tensor: one for one in ranges.of("min_max") or ()}
    assert {"image", *(spec.name for spec in session.outputs)} < set(bounds)
    seen = [session.run(feed.tensors)["map"] for feed in feeds(10)]
    assert bounds["map"].low == pytest.approx(min(float(one.min()) for one in seen), abs=1e-5)
    assert bounds["map"].high == pytest.approx(max(float(one.max()) for one in seen), abs=1e-5)
    for method in ranges.methods:
        assert [one.tensor for one in method.ranges] == list(bounds)
        assert all(one.low <= 0 <= one.high for one in method.ranges)


def test_both_runtimes_find_the_same_range_of_an_output(model_files: dict[str, Path]) -> None:
    found = []
    for format_ in FORMATS:
        ranges = calibrated(format_, model_files[format_]).ranges("0" * 64)
        found.append(
            [
                (one.low, one.high)
                for method in ranges.methods
                for one in method.ranges
                if one.tensor == "map"
            ]
        )
    assert np.array(found[0]) == pytest.approx(np.array(found[1]), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("format_", FORMATS)
def test_the_silu_of_the_stem_is_found(format_: Format, model_files: dict[str, Path]) -> None:
    path = model_files[format_]
    found = file_consumers(path, format_, read_embedded(path, format_).binding)
    assert list(found.values()) == ["silu"]
    assert set(found) <= set(calibrated(format_, path, 2).halves)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_value_that_overflows_is_named(format_: Format, model_files: dict[str, Path]) -> None:
    huge = Feed(image="huge.png", tensors={"image": np.full(tiny.SHAPE, 3e38, np.float32)})
    session = RUNTIMES.load(format_).open_for_trace(model_files[format_])
    with pytest.raises(OptimizationFailed, match=r"is not finite on image huge\.png"):
        calibrate(session, [*feeds(2), huge], total=3)
