"""The user's own training of a pruned network: what it is given, and what is taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from phoneproof.core.errors import ConfigError, OptimizationFailed
from phoneproof.core.recipe import Prune
from phoneproof.optimize.backends.hub_graph import graph_of
from phoneproof.optimize.backends.recovered import PrunedNetwork
from phoneproof.optimize.base import PRUNERS
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.base import RUNTIMES
from tests.integration.pruned_nets import CLASSES, SHAPE, Kind, Net, tiny_net

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the exporter's own imports
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

HALF = Prune(share=0.5, seconds=7.0)


@dataclass(frozen=True, kw_only=True)
class Own:
    """A function in the place of the user's."""

    train: Callable[[nn.Module, float], object]
    name: str = "mine:recover"

    def __call__(self, network: nn.Module, seconds: float) -> object:
        return self.train(network, seconds)


def pruned(net: Net, output: Path, train: Callable[[nn.Module, float], object]) -> dict[str, str]:
    request = net.request(output, HALF)
    model = PRUNERS.load("hub-prune").prune(request, lambda _done, _all: None, Own(train=train))
    return dict(model.options)


def pictures(count: int) -> Tensor:
    return torch.randn((count, *SHAPE[1:]), generator=torch.Generator().manual_seed(1))


def answers(path: Path, images: Tensor) -> Tensor:
    session = RUNTIMES.load("hub").open(path)
    (name,) = (spec.name for spec in session.inputs)
    found = [session.run({name: one[None].numpy()})["logits"] for one in images]
    return torch.from_numpy(np.concatenate(found))


@pytest.mark.parametrize("kind", ["residual", "flatten"])
def test_a_batch_through_the_network_is_each_picture_by_itself(kind: Kind, tmp_path: Path) -> None:
    program = graph_of(load_hub(tiny_net(kind, tmp_path).path)[0])
    network = PrunedNetwork(program).eval()
    images = pictures(5)
    found = network(images)
    assert found.shape == (5, CLASSES)
    alone = torch.cat([program(one[None])[0] for one in images])
    torch.testing.assert_close(found, alone)


def test_what_was_trained_is_what_is_written(tmp_path: Path) -> None:
    net, output = tiny_net("residual", tmp_path), tmp_path / "pruned.pt2"
    images, labels = pictures(16), torch.arange(16) % CLASSES
    told: list[float] = []
    losses: list[float] = []

    def train(network: nn.Module, seconds: float) -> nn.Module:
        told.append(seconds)
        assert not network.training
        assert {one.dtype for one in network.parameters()} == {torch.float32}
        network.train()
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(images), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(float(loss.detach()))
        return network

    options = pruned(net, output, train)
    assert told == [7.0]
    assert losses[-1] < losses[0] / 4
    assert options["finetune"] == '"mine:recover"'
    assert float(functional.cross_entropy(answers(output, images), labels)) < losses[0] / 4


def test_a_copy_with_other_weights_is_taken_over(tmp_path: Path) -> None:
    net, output = tiny_net("concat", tmp_path), tmp_path / "pruned.pt2"

    def train(network: nn.Module, seconds: float) -> nn.Module:
        with torch.no_grad():
            for value in network.parameters():
                value.zero_()
        return network

    pruned(net, output, train)
    assert not answers(output, pictures(2)).any()


def _nothing(network: nn.Module, seconds: float) -> None:
    return None


def _wider(network: nn.Module, seconds: float) -> nn.Module:
    program = network.get_submodule("program")
    name, value = next((n, p) for n, p in program.named_parameters() if p.dim() == 4)
    path, _, last = name.rpartition(".")
    owner = program.get_submodule(path)
    setattr(owner, last, nn.Parameter(torch.cat([value, value])))
    return network


def _wrapped(network: nn.Module, seconds: float) -> nn.Module:
    return nn.Sequential(network)


def _halved(network: nn.Module, seconds: float) -> nn.Module:
    return network.half()


def _number(network: nn.Module, seconds: float) -> float:
    return 0.5


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (_nothing, "returned nothing"),
        (_number, "returned no network but float"),
        (_wider, r"returned another network .*in place of float32 \["),
        (_wrapped, r"returned another network .*is missing"),
        (_halved, r"returned another network .*float16 \["),
    ],
)
def test_what_is_not_the_network_that_was_given_is_refused(
    train: Callable[[nn.Module, float], object], words: str, tmp_path: Path
) -> None:
    output = tmp_path / "pruned.pt2"
    with pytest.raises(ConfigError, match=rf"(?s)finetune mine:recover {words}"):
        pruned(tiny_net("residual", tmp_path), output, train)
    assert not output.exists()


@pytest.mark.parametrize("planted", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(planted: float, tmp_path: Path) -> None:
    def train(network: nn.Module, seconds: float) -> nn.Module:
        with torch.no_grad():
            next(network.parameters()).view(-1)[0] = planted
        return network

    output = tmp_path / "pruned.pt2"
    with pytest.raises(OptimizationFailed, match=r"mine:recover returned weights .* not finite"):
        pruned(tiny_net("residual", tmp_path), output, train)
    assert not output.exists()
