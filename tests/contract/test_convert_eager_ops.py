"""Each operator that is renamed for the exporters computes what it computed before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from phoneproof.convert.backends.eager_ops import RULES, to_eager_ops
from phoneproof.convert.backends.torch_onnx import TorchOnnxConverter
from phoneproof.runtimes.base import RUNTIMES
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of torch.onnx itself
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

aten = torch.ops.aten
Body = Callable[[torch.Tensor], torch.Tensor]

WEIGHT = torch.linspace(0.5, 1.5, 6)
GRID = torch.stack(
    torch.meshgrid(torch.linspace(-0.9, 0.9, 12), torch.linspace(-0.8, 0.8, 8), indexing="xy"), -1
)[None]

BODIES: dict[object, Body] = {
    aten._softmax.default: lambda x: aten._softmax(x, 1, False),
    aten._log_softmax.default: lambda x: aten._log_softmax(x, -1, False),
    aten.upsample_nearest2d.default: lambda x: aten.max_pool2d(
        aten.upsample_nearest2d(x, [16, 24], 2.0, 2.0), [2, 2], [2, 2]
    ),
    aten.upsample_bilinear2d.default: lambda x: aten.max_pool2d(
        aten.upsample_bilinear2d(x, [16, 24], False), [2, 2], [2, 2]
    ),
    aten._native_batch_norm_legit_no_training.default: lambda x: (
        aten._native_batch_norm_legit_no_training(x, WEIGHT, -WEIGHT, WEIGHT / 2, WEIGHT, 0.1, 1e-5)
    )[0],
    aten.native_group_norm.default: lambda x: aten.native_group_norm(
        x, WEIGHT, -WEIGHT, 1, 6, 96, 3, 1e-5
    )[0],
    aten._to_copy.default: lambda x: aten._to_copy(
        aten._to_copy(x * 100, dtype=torch.int32), dtype=torch.float32
    ),
    aten._adaptive_avg_pool2d.default: lambda x: x * aten._adaptive_avg_pool2d(x, [1, 1]),
    aten._unsafe_view.default: lambda x: aten._unsafe_view(x + 1, [1, 6, 8, 12]),
    aten.view.default: lambda x: aten.view(x + 1, [1, 6, 8, 12]),
    aten.grid_sampler_2d.default: lambda x: aten.grid_sampler_2d(x, GRID, 0, 0, False),
}


class OneOperator(nn.Module):
    """The tiny network's tensors, with one operator on the way to the map."""

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        halves = image[:, :, ::2, ::2]
        six = torch.cat([halves, 1 - halves], 1)
        return six.mean((2, 3))[:, :5], self.body(six)


def test_every_rule_has_a_case() -> None:
    assert set(BODIES) == set(RULES)


@pytest.mark.parametrize("operator", BODIES, ids=str)
def test_the_value_stays(operator: object, tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", OneOperator(BODIES[operator]))
    feed = {"image": tiny.pixels("NCHW")}
    expected = RUNTIMES.load("hub").open(hub).run(feed)
    output = tmp_path / "m.onnx"
    TorchOnnxConverter().convert(tiny.request(hub, "NCHW", "NCHW", output, 17))
    found = RUNTIMES.load("onnx").open(output).run(feed)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-4)


@pytest.mark.parametrize("operator", BODIES, ids=str)
def test_the_operator_is_gone(operator: object) -> None:
    image = torch.from_numpy(tiny.pixels("NCHW"))
    program = torch.export.export(OneOperator(BODIES[operator]), (image,))
    module = program.module(check_guards=False)
    assert operator in {node.target for node in module.graph.nodes}, "the case lacks its operator"
    to_eager_ops(module)
    assert operator not in {node.target for node in module.graph.nodes}
    expected = OneOperator(BODIES[operator])(image)
    assert all(torch.allclose(a, b) for a, b in zip(module(image), expected, strict=True))


class Flat(nn.Module):
    """A convolution whose output is viewed as a row."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        row: torch.Tensor = torch.ops.aten.view(self.conv(image), [1, 4 * 6 * 6])
        return row


def test_a_row_does_not_mind_the_strides_of_an_nhwc_input() -> None:
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    strided = torch.empty(1, 8, 8, 1).permute(0, 3, 1, 2).copy_(image)
    net = Flat()
    expected = net(image)
    module = torch.export.export(net, (image,)).module(check_guards=False)
    with pytest.raises(RuntimeError, match="view"):
        module(strided)
    to_eager_ops(module)
    # Another layout may take another kernel, which adds in another order.
    torch.testing.assert_close(module(strided), expected)
