"""Calibration over a planted network: every tensor, two halves, flat memory, words of advice."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.tensors import TensorSpec
from phoneproof.optimize.calibrate import Calibration, Feed, calibrate
from phoneproof.optimize.consumers import Node, gates
from phoneproof.optimize.observers import Observer
from phoneproof.optimize.stability import LIMIT, difference, stability, too_small
from phoneproof.runtimes.base import Tensor, Tensors


def float32(values: list[list[float]]) -> Tensor:
    return np.array(values, np.float32)


class Doubler:
    """A TracingSession of one float layer and one integer layer."""

    inputs = (TensorSpec(name="image", shape=(1, -1), dtype="float32"),)
    outputs = (TensorSpec(name="doubled", shape=(1, -1), dtype="float32"),)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        return dict(self.trace(tensors))

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        yield "shape", np.array(tensors["image"].shape)
        yield "doubled", tensors["image"] * np.float32(2)


def feeds(count: int, size: int = 1000, spread: float = 0.0) -> Iterator[Feed]:
    for seed in range(count):
        rng = np.random.default_rng(seed)
        scale = np.float32(np.exp(spread * rng.normal()))
        values = rng.normal(size=(1, size)).astype(np.float32) * scale
        yield Feed(image=f"{seed}.jpg", tensors={"image": values})


def test_inputs_and_layers_are_watched_and_integers_are_not() -> None:
    seen = calibrate(Doubler(), feeds(9), total=9)
    assert list(seen.halves) == ["image", "doubled"]
    assert seen.images == 9
    ranges = seen.ranges("0" * 64)
    extremes = np.concatenate([feed.tensors["image"].reshape(-1) for feed in feeds(9)])
    found = ranges.of("min_max")
    assert found is not None
    assert [(one.tensor, one.low, one.high) for one in found] == [
        ("image", float(extremes.min()), float(extremes.max())),
        ("doubled", float(extremes.min()) * 2, float(extremes.max()) * 2),
    ]


def test_progress_counts_every_image() -> None:
    told: list[tuple[int, int]] = []
    calibrate(Doubler(), feeds(3), total=3, progress=lambda *at: told.append(at))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(OptimizationFailed, match="nothing to calibrate with"):
        calibrate(Doubler(), [], total=0)


def test_the_layer_and_image_that_break_are_named() -> None:
    bad = [*feeds(2), Feed(image="bad.jpg", tensors={"image": float32([[1, np.inf]])})]
    with pytest.raises(OptimizationFailed, match=r"'image' is not finite on image bad\.jpg"):
        calibrate(Doubler(), bad, total=3)


class Hoarder(Doubler):
    """A control: it keeps one small tensor of each image."""

    def __init__(self) -> None:
        self.kept: list[Tensor] = []

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        self.kept.append(tensors["image"][:, ::50].copy())
        yield from super().trace(tensors)


def traced_bytes(session: Doubler, count: int) -> tuple[int, int]:
    """Bytes that are held after `count` images, and at the worst moment."""
    tracemalloc.start()
    try:
        kept = calibrate(session, feeds(count, size=100_000, spread=1.0), total=count)
        assert kept.images == count
        return tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("session", "flat"), [(Doubler(), True), (Hoarder(), False)])
def test_memory_does_not_grow_with_the_images(session: Doubler, flat: bool) -> None:
    one_image = 100_000 * 4
    traced_bytes(session, 2)  # what is made once in a process
    few, many = traced_bytes(session, 20), traced_bytes(session, 80)
    # 60 images more: keeping a fiftieth of each would show.
    assert (many[0] - few[0] < one_image // 2) is flat
    assert (many[1] - few[1] < one_image // 2) is flat


def test_halves_of_like_images_agree_and_of_few_unlike_ones_do_not() -> None:
    many = stability(calibrate(Doubler(), feeds(100), total=100))
    few = stability(calibrate(Doubler(), feeds(8, spread=1.0), total=8))
    assert many is not None
    assert few is not None
    assert (many.enough, many.limit) == (True, LIMIT)
    assert too_small(many, 100) is None
    assert not few.enough
    assert few.worst >= few.spread > LIMIT
    told = too_small(few, 8)
    assert told is not None
    assert "your calibration set is too small" in told.found
    assert f"{few.spread:.1%}" in told.found
    assert "100 or more" in told.next_step


def test_one_image_has_no_halves() -> None:
    assert stability(calibrate(Doubler(), feeds(1), total=1)) is None
    assert too_small(None, 1) is None


def test_tensors_that_are_always_zero_have_nothing_to_differ_in() -> None:
    zero, some = (Observer(), Observer()), (Observer(), Observer())
    for half in range(2):
        zero[half].add(np.zeros(9, np.float32), tensor="zero", image="i", turn=0)
        some[half].add(np.ones(9, np.float32), tensor="some", image="i", turn=0)
    found = stability(Calibration(images=2, halves={"zero": zero, "some": some}))
    assert found is not None
    assert (found.worst_tensor, found.spread) == ("some", 0.0)
    assert stability(Calibration(images=2, halves={"zero": zero})) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((-1.0, 1.0), (-1.0, 1.0), 0.0),
        ((0.0, 1.0), (-1.0, 0.0), 1.0),
        ((-1.0, 3.0), (-1.0, 2.0), 0.25),
        ((0.0, 0.0), (0.0, 2.0), 1.0),
        ((0.0, 0.0), (0.0, 0.0), None),
    ],
)
def test_difference(
    first: tuple[float, float], second: tuple[float, float], expected: float | None
) -> None:
    assert difference(first, second) == expected
    assert difference(second, first) == expected


def node(op: str, inputs: str, output: str) -> Node:
    return Node(op=op, inputs=tuple(inputs.split()), outputs=(output,))


def test_gates_are_found_by_their_shape() -> None:
    nodes = [
        node("CONV_2D", "image w", "a"),
        node("LOGISTIC", "a", "b"),
        node("MUL", "a b", "c"),
        node("CONV_2D", "c w", "d"),
        node("HARD_SWISH", "d", "e"),
        node("CONV_2D", "e w", "f"),
        node("LOGISTIC", "f", "g"),
    ]
    assert gates(nodes) == {"a": "silu", "d": "hard_swish", "f": "sigmoid"}
    assert gates([*nodes, node("ADD", "a c", "h")]) == {"d": "hard_swish", "f": "sigmoid"}
    assert gates([*nodes, node("ADD", "b c", "h")]).get("a") is None
    assert gates(nodes, outputs=("a", "d")) == {"f": "sigmoid"}


def test_a_gate_on_another_tensor_is_no_silu() -> None:
    nodes = [node("Sigmoid", "a", "b"), node("Mul", "a x", "c"), node("Mul", "b x", "d")]
    assert gates(nodes) == {}


def test_consumers_change_the_mse_range_alone() -> None:
    seen = calibrate(Doubler(), feeds(9), total=9)
    plain, gated = seen.ranges("0"), seen.ranges("0", {"doubled": "sigmoid"})
    for before, after in zip(plain.methods, gated.methods, strict=True):
        assert (before == after) == (before.method != "mse")
