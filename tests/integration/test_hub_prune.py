"""Pruning a hub: the smaller program is proved, its cost is read back, and wrong groups show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Prune
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_read_back import layer_macs
from phoneproof.optimize.backends.channel_choice import cost_of
from phoneproof.optimize.backends.hub_channels import Channels
from phoneproof.optimize.backends.hub_graph import graph_of
from phoneproof.optimize.backends.hub_prune import Surgery
from phoneproof.optimize.base import PRUNERS
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.integration.pruned_nets import KINDS, SHAPE, Kind, Net, tiny_net

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

Mask = NDArray[np.bool_]


def surgery_of(net: Net) -> Surgery:
    return Surgery.of(graph_of(load_hub(net.path)[0]))


def pictures(count: int = 2) -> torch.Tensor:
    return torch.randn((count, *SHAPE), generator=torch.Generator().manual_seed(1))


def some(surgery: Surgery, share: float, seed: int) -> Mask:
    """Groups taken out at random; one channel of every layer stays."""
    channels = surgery.channels
    gone = np.random.default_rng(seed).random(channels.count) < share
    gone = gone[surgery.groups] & channels.prunable()
    for layer in channels.layers:
        if layer.rows is not None and gone[layer.rows].all():
            gone[np.isin(surgery.groups, surgery.groups[layer.rows[:1]])] = False
    return ~gone


def prune(net: Net, output: Path, recipe: Prune) -> dict[str, str]:
    model = PRUNERS.load("hub-prune").prune(net.request(output, recipe), lambda _done, _all: None)
    return dict(model.options)


def outputs_of(path: Path) -> NDArray[np.float32]:
    session = RUNTIMES.load("hub").open(path)
    (name,) = (spec.name for spec in session.inputs)
    return np.stack([session.run({name: one.numpy()})["logits"] for one in pictures(4)])


@pytest.mark.parametrize("kind", KINDS)
def test_any_channels_may_go_and_the_rest_computes_the_same(kind: Kind, tmp_path: Path) -> None:
    surgery = surgery_of(tiny_net(kind, tmp_path))
    for seed in range(3):
        stays = some(surgery, 0.4, seed)
        assert not stays.all()
        surgery.proved(stays, pictures())


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_that_names_other_channels_is_refused(kind: Kind, tmp_path: Path) -> None:
    surgery = surgery_of(tiny_net(kind, tmp_path))
    channels = surgery.channels
    stays = some(surgery, 0.4, 0)
    columns = [
        place
        for place, cut in enumerate(channels.cuts)
        if cut.axis == 1 and 0 < stays[cut.numbers].sum() < len(cut.numbers)
    ]
    place = columns[-1]
    wrong = replace(channels.cuts[place], numbers=np.roll(channels.cuts[place].numbers, 1))
    channels.cuts[place] = wrong
    with pytest.raises(OptimizationFailed, match="not the program with those channels at zero"):
        surgery.proved(stays, pictures())


@pytest.mark.parametrize("kind", KINDS)
def test_pruning_nothing_changes_nothing(kind: Kind, tmp_path: Path) -> None:
    net = tiny_net(kind, tmp_path)
    output = tmp_path / "pruned.pt2"
    options = prune(net, output, Prune(share=1.0, seconds=0.0))
    assert options["macs_left"] == "1.0"
    assert np.array_equal(outputs_of(output), outputs_of(net.path))


@pytest.mark.parametrize("kind", ["residual", "depthwise", "flatten"])
def test_what_was_asked_for_is_in_the_converted_file(kind: Kind, tmp_path: Path) -> None:
    net = tiny_net(kind, tmp_path)
    smaller = tmp_path / "pruned.pt2"
    said = float(prune(net, smaller, Prune(share=0.6, seconds=0.0))["macs_left"])
    full, left = (macs_in_tflite(net, path) for path in (net.path, smaller))
    assert left / full == pytest.approx(said, abs=0.01)
    assert 0.5 < said < 0.63  # whole groups go, and here one is a twentieth of everything
    assert read_embedded(smaller, "hub").contract == net.contract


def macs_in_tflite(net: Net, hub: Path) -> int:
    output = hub.with_suffix(".tflite")
    CONVERTERS.load("hub-tflite").convert(
        ConvertRequest(
            source=hub,
            contract=net.contract,
            binding=net.binding,
            layout="NHWC",
            opset=12,
            output=output,
        )
    )
    return sum(layer_macs(read_tflite(output)).values())


def test_a_size_target_counts_weights(tmp_path: Path) -> None:
    net = tiny_net("residual", tmp_path)
    output = tmp_path / "pruned.pt2"
    prune(net, output, Prune(of="size", share=0.5, seconds=0.0))
    costs = [
        cost_of(channels, np.ones(channels.count, bool), "size")
        for channels in (Channels.of(graph_of(load_hub(path)[0])) for path in (output, net.path))
    ]
    assert costs[0] / costs[1] == pytest.approx(0.5, abs=0.06)


def test_learning_comes_nearer_to_the_original(tmp_path: Path) -> None:
    net = tiny_net("residual", tmp_path)
    options = prune(net, tmp_path / "pruned.pt2", Prune(share=0.5, seconds=4.0))
    assert int(options["steps"]) > 0
    assert float(options["loss_after"]) < float(options["loss_before"])


def test_shared_weights_stay_whole(tmp_path: Path) -> None:
    """A layer is used twice: what it makes and reads has to stay."""
    channels = Channels.of(graph_of(load_hub(tiny_net("shared", tmp_path).path)[0]))
    free = channels.prunable()
    (stem,) = (layer for layer in channels.layers if layer.inputs == 3)
    assert stem.rows is not None
    assert not free[stem.rows].any()
    assert free.any()


@pytest.mark.parametrize(
    ("share", "words"),
    [(0.0, "above 0"), (1.5, "at most 1"), (float("nan"), "above 0"), (0.001, "cannot be pruned")],
)
def test_targets_that_cannot_be_met(share: float, words: str, tmp_path: Path) -> None:
    net = tiny_net("concat", tmp_path)
    output = tmp_path / "pruned.pt2"
    with pytest.raises(OptimizationFailed, match=words):
        prune(net, output, Prune(share=share, seconds=0.0))
    assert not output.exists()


def test_no_image_to_weigh_by(tmp_path: Path) -> None:
    net = replace(tiny_net("concat", tmp_path), images=())
    with pytest.raises(OptimizationFailed, match="no image to learn from"):
        prune(net, tmp_path / "pruned.pt2", Prune(share=0.5, seconds=0.0))
