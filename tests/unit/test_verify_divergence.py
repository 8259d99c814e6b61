"""Finding the first wrong layer, on small networks made of NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.tensors import TensorSpec
from phoneproof.verify.divergence import Divergence, Edges, first_divergence
from phoneproof.verify.tensor_matching import match_traces, relative_error

Array = NDArray[Any]


@dataclass
class FakeSession:
    """A TracingSession over tensors that were computed beforehand."""

    layers: dict[str, Array]
    results: dict[str, Array] = field(default_factory=dict)
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()

    def run(self, tensors: object) -> dict[str, Array]:
        del tensors
        return self.results

    def trace(self, tensors: object) -> Iterator[tuple[str, Array]]:
        del tensors
        yield from self.layers.items()


class GraphFakeSession(FakeSession):
    def edges(self) -> Edges:
        return EDGES


EDGES: Edges = {
    "relu1": ("conv1",),
    "left": ("relu1",),
    "left_relu": ("left",),
    "right": ("relu1",),
    "right_relu": ("right",),
    "join": ("left_relu", "right_relu"),
    "head": ("join",),
}


def mix(x: Array, seed: int, scale: float = 1.0) -> Array:
    """A 1x1 convolution [C, H, W] -> [8, H, W]; `scale` corrupts the first output channel."""
    weights = np.random.default_rng(seed).normal(0, 1, (8, len(x)))
    weights[0] *= scale
    return np.asarray(np.einsum("oc,chw->ohw", weights, x), np.float32)


def network(fault: str = "") -> dict[str, Array]:
    """Two branches of one trunk; `fault` names the layer with wrong weights."""

    def layer(name: str, x: Array) -> Array:
        return mix(x, len(name), 1.3 if name == fault else 1.0)

    x = np.random.default_rng(0).normal(0, 1, (3, 6, 7)).astype(np.float32)
    t: dict[str, Array] = {"conv1": layer("conv1", x)}
    t["relu1"] = np.maximum(t["conv1"], 0)
    t["left"] = layer("left", t["relu1"])
    t["left_relu"] = np.maximum(t["left"], 0)
    t["right"] = layer("right", t["relu1"])
    t["right_relu"] = np.maximum(t["right"], 0)
    t["join"] = np.concatenate([t["left_relu"], t["right_relu"]])
    t["head"] = layer("head", t["join"])
    return t


def converted(layers: dict[str, Array], *, fused: bool = True) -> FakeSession:
    """As a converter leaves it: other names, channels last, convolution and ReLU in one."""
    kept = {k: v for k, v in layers.items() if not fused or k not in ("conv1", "left", "right")}
    moved = {f"t{i};{k}": v.transpose(1, 2, 0)[None] for i, (k, v) in enumerate(kept.items())}
    return FakeSession(moved, {"out": layers["head"].transpose(1, 2, 0)[None]})


def hub(kind: type[FakeSession] = FakeSession) -> FakeSession:
    layers = network()
    return kind({k: v[None] for k, v in layers.items()}, {"out": layers["head"][None]})


def diverges(ours: FakeSession, theirs: FakeSession) -> Divergence | None:
    return first_divergence(hub=ours, artifact=theirs, hub_inputs={}, artifact_inputs={})


@pytest.mark.parametrize("kind", [FakeSession, GraphFakeSession])
@pytest.mark.parametrize("fused", [True, False])
def test_equal_models_do_not_diverge(kind: type[FakeSession], fused: bool) -> None:
    artifact = converted(network(), fused=fused)
    assert diverges(hub(kind), artifact) is None


@pytest.mark.parametrize("fault", ["conv1", "left", "right", "head"])
@pytest.mark.parametrize("fused", [True, False])
def test_with_edges_the_faulty_layer_is_named(fault: str, fused: bool) -> None:
    artifact = converted(network(fault), fused=fused)
    found = diverges(hub(GraphFakeSession), artifact)
    assert found is not None
    assert found.layer == fault
    before = {"conv1": "the input", "left": "relu1", "right": "relu1", "head": "join"}
    assert found.last_good == before[fault]
    assert fault in found.explanation


@pytest.mark.parametrize("fault", ["conv1", "left", "right", "head"])
def test_without_edges_the_order_of_execution_will_do(fault: str) -> None:
    artifact = converted(network(fault), fused=False)
    found = diverges(hub(), artifact)
    assert found is not None
    assert found.layer == fault
    assert found.artifact_tensor is not None
    assert found.artifact_tensor.endswith(fault)
    assert 1e-3 < found.relative_error < 1


def test_a_layer_without_counterpart_is_still_named() -> None:
    layers = network("head")
    layers["head"] = layers["head"][:4]
    found = diverges(hub(), converted(layers))
    assert found is not None
    assert (found.layer, found.artifact_tensor, found.last_good) == ("head", None, "join")
    assert "no counterpart" in found.explanation


def test_not_a_number_diverges() -> None:
    layers = network()
    for name in ("right", "right_relu", "join", "head"):
        layers[name] = np.full_like(layers[name], np.nan)
    found = diverges(hub(), converted(layers, fused=False))
    assert found is not None
    assert found.layer == "right"


def test_a_small_difference_is_rounding_and_the_tolerance_says_what_is_small() -> None:
    layers = {k: (v * np.float32(1.003)) for k, v in network().items()}
    tight = diverges(hub(), converted(layers))
    assert tight is not None
    assert tight.layer in ("conv1", "relu1")
    loose = first_divergence(
        hub=hub(), artifact=converted(layers), hub_inputs={}, artifact_inputs={}, tolerance=1e-2
    )
    assert loose is None


def test_swapped_outputs_are_told_apart_from_wrong_layers() -> None:
    layers = network()
    ours = FakeSession(
        {k: v[None] for k, v in layers.items()},
        {"boxes": layers["left"], "scores": layers["right"]},
    )
    theirs = converted(layers)
    theirs.results = {"boxes": layers["right"], "scores": layers["left"]}
    found = diverges(ours, theirs)
    assert found is not None
    assert found.layer == "boxes"
    assert "changed places" in found.explanation
    assert "scores" in found.explanation


def test_a_missing_output_is_named() -> None:
    layers = network()
    ours = FakeSession(
        {k: v[None] for k, v in layers.items()},
        {"first": layers["left"], "second": layers["right"]},
    )
    theirs = converted(layers)
    theirs.results = {"a": layers["left"]}
    found = diverges(ours, theirs)
    assert found is not None
    assert (found.layer, found.artifact_tensor) == ("second", None)


def test_constants_and_small_tensors_are_not_matched() -> None:
    trace = [("zeros", np.zeros(100, np.float32)), ("three", np.arange(3, dtype=np.float32))]
    assert match_traces(trace, trace, 1e-3).hub == ()


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 3, 1, 2), (0, 3, 2, 1)])
def test_relative_error_knows_orders_of_axes(order: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).normal(0, 1, (1, 4, 5, 6)).astype(np.float32)
    assert relative_error(x, x.transpose(order)) == 0
    assert relative_error(x, x.transpose(order) * np.float32(1.5)) == pytest.approx(0.5)
    assert relative_error(x, x[:, :2]) == np.inf
