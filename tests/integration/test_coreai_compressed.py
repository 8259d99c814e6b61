"""Core AI with small weights: Apple's runtime expands what our codes say, and the file is small."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from phoneproof.core.artifact import WrittenModel, tree_bytes
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.recipe import Palette, Recipe, Sparse, WeightOnly
from phoneproof.optimize.backends.hub_fold import fold_batch_norms
from phoneproof.optimize.backends.hub_graph import graph_of
from phoneproof.optimize.backends.hub_sensitivity import HubDamageRequest, damage
from phoneproof.optimize.backends.hub_weights import Weighted, coded, masked, weighted
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest, optimizer_for
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.base import Float
from tests.integration.coreai_nets import CONTRACT, Small, core_ai, picture, seeded, small

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

RECIPES: dict[str, tuple[Recipe, float]] = {
    "weight_only_wi8": (WeightOnly(bits=8), 8),
    "weight_only_wi4": (WeightOnly(bits=4), 4),
    "palette6": (Palette(bits=6), 6),
    "palette4": (Palette(bits=4), 4),
    "sparse": (Sparse(share=0.7), 1 + 0.3 * 32),
}
"""Precision -> its recipe, and the bits that a float32 weight takes afterwards."""
FLOAT32 = 1e-5
"""Largest difference, relative to the largest magnitude."""


class Layers(nn.Module):
    """Every kind of weights: plain, grouped, transposed and matrices, and bins that are counted."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 64, 3, padding=1)
        self.norm = nn.BatchNorm2d(64)
        self.wide = nn.Conv2d(64, 96, 3, padding=1)
        self.depthwise = nn.Conv2d(96, 96, 3, padding=1, groups=96)
        self.up = nn.ConvTranspose2d(96, 32, 2, stride=2)
        self.last = nn.Linear(32, 16)
        self.bins = nn.Conv2d(16, 1, 1, bias=False)
        seeded(self)
        with torch.no_grad():
            self.bins.weight.copy_(torch.arange(16.0).reshape(1, 16, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.first(image)))
        x = torch.relu(self.up(torch.relu(self.depthwise(torch.relu(self.wide(x))))))
        x = self.last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        expected: torch.Tensor = self.bins(torch.softmax(x, 1))
        return expected


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small(Layers(), tmp_path_factory.mktemp("hub") / "hub.pt2")


@pytest.fixture(scope="module")
def float32_bytes(hub: Small, tmp_path_factory: pytest.TempPathFactory) -> int:
    path = tmp_path_factory.mktemp("float32") / "m.aimodel"
    hub.convert(path)
    return tree_bytes(path)


def proposed(of: Small, recipe: Recipe, output: Path) -> tuple[Small, WrittenModel]:
    written = OPTIMIZERS.load(optimizer_for("hub", recipe)).propose(
        OptimizeRequest(
            artifact=of.hub, contract=CONTRACT, binding=of.binding, recipe=recipe, output=output
        )
    )
    return Small(hub=output, binding=written.binding), written


def weights(of: Small) -> tuple[Weighted, ...]:
    """The weights as the optimizer finds them."""
    module = graph_of(load_hub(of.hub)[0])
    fold_batch_norms(module)
    return weighted(module)


def relative(found: Float, expected: Float) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("precision", list(RECIPES))
def test_apples_runtime_computes_with_our_codes_and_the_file_is_small(
    hub: Small, float32_bytes: int, tmp_path: Path, precision: str
) -> None:
    recipe, bits = RECIPES[precision]
    narrow, written = proposed(hub, recipe, tmp_path / "narrow.pt2")
    assert written.binding.precision == precision
    made = narrow.convert(tmp_path / "m.aimodel")
    # No zeros are put into the first layer: 2.4 % of so small a network.
    assert made.binding.precision == ("mixed" if precision == "sparse" else precision)
    image = picture()
    assert relative(core_ai(tmp_path / "m.aimodel", image), narrow.run(image)) <= FLOAT32
    # And these are not the weights of before.
    assert relative(narrow.run(image), hub.run(image)) > 2 * FLOAT32
    saved = float32_bytes - tree_bytes(tmp_path / "m.aimodel")
    numbers = sum(one.values.size for one in weights(hub))
    assert saved > 0.9 * numbers * (32 - bits) / 8


class Wide(nn.Module):
    """A first layer that hardly counts."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.wide = nn.Conv2d(8, 512, 3, stride=4)
        seeded(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.wide(torch.relu(self.first(image)))
        return result


def test_a_file_of_masks_is_called_sparse(tmp_path: Path) -> None:
    hub = small(Wide(), tmp_path / "hub.pt2")
    narrow, written = proposed(hub, Sparse(share=0.5), tmp_path / "narrow.pt2")
    options = dict(written.options)
    assert options == {"share": "0.5", "sparse_weights": "1", "zeros": str(512 * 8 * 9 // 2)}
    assert narrow.convert(tmp_path / "m.aimodel").binding.precision == "sparse"


def test_two_palette_entries_exchanged_show(hub: Small, tmp_path: Path) -> None:
    right, _ = proposed(hub, Palette(bits=4), tmp_path / "right.pt2")
    right.convert(tmp_path / "right.aimodel")
    expected = right.run(picture())
    module = graph_of(load_hub(right.hub)[0])
    found = [name for name, _ in module.named_buffers() if name.endswith("_lut")]
    palettes = dict(module.named_buffers())[found[1]]
    palettes[..., [0, 15], :] = palettes[..., [15, 0], :]
    with torch.no_grad():
        (wrong,) = module(torch.from_numpy(picture()))
    assert relative(wrong.numpy(), expected) > 100 * FLOAT32


def test_the_label_is_of_the_file_whatever_the_binding_says(hub: Small, tmp_path: Path) -> None:
    said = msgspec.structs.replace(hub.binding, precision="palette4")
    written = Small(hub=hub.hub, binding=said).convert(tmp_path / "m.aimodel")
    assert written.binding.precision == "float32"


def test_float16_arithmetic_stays_around_small_weights(hub: Small, tmp_path: Path) -> None:
    half = hub.half(tmp_path / "half.pt2")
    narrow, _ = proposed(half, WeightOnly(bits=8), tmp_path / "narrow.pt2")
    made = narrow.convert(tmp_path / "m.aimodel")
    assert made.binding.precision == "weight_only_wi8"
    image = picture()
    found, expected = core_ai(tmp_path / "m.aimodel", image), narrow.run(image)
    assert FLOAT32 < relative(found, expected) < 2e-3  # both round, in other orders


def test_layers_that_stay_wide_are_named_and_make_the_file_mixed(
    hub: Small, tmp_path: Path
) -> None:
    layers = [one.layers[0] for one in weights(hub)]
    assert len(layers) == 5  # not the bins
    recipe = WeightOnly(bits=8, float_layers=(layers[1],))
    narrow, written = proposed(hub, recipe, tmp_path / "narrow.pt2")
    assert dict(written.options)["coded"] == "4"
    assert narrow.convert(tmp_path / "m.aimodel").binding.precision == "mixed"
    with pytest.raises(OptimizationFailed, match="no such layer with weights") as caught:
        proposed(hub, WeightOnly(bits=8, float_layers=(layers[1] + "x",)), tmp_path / "no.pt2")
    assert layers[1] in caught.value.next_step


def test_small_weights_are_not_compressed_again(hub: Small, tmp_path: Path) -> None:
    narrow, _ = proposed(hub, WeightOnly(bits=8), tmp_path / "narrow.pt2")
    for again in (Palette(bits=4), Sparse(share=0.5)):
        with pytest.raises(InvalidInput):
            proposed(narrow, again, tmp_path / "again.pt2")
    assert not (tmp_path / "again.pt2").exists()


@pytest.mark.parametrize("recipe", [WeightOnly(bits=8), WeightOnly(bits=4), Palette(bits=6)])
def test_operators_give_the_weights_that_the_codes_stand_for(
    hub: Small, recipe: WeightOnly | Palette
) -> None:
    for one in weights(hub):
        code = coded(one, recipe)
        if code is not None:
            given = (torch.from_numpy(np.ascontiguousarray(v)) for v in code.tensors.values())
            expanded = code.operator(*given, *code.settings)  # type: ignore[operator]
            assert np.array_equal(expanded.numpy(), code.weights)


def test_a_mask_that_saves_nothing_is_not_made() -> None:
    values = np.ones((8, 8), np.float32)
    assert masked(values) is None
    values[2:] = 0
    code = masked(values)
    assert code is not None
    assert code.bytes == 8 + 16 * 4


def test_the_most_harmful_layer_is_found_first(hub: Small, tmp_path: Path) -> None:
    """What one layer alone does to the output, measured, is what the estimate ranks."""
    pixels = np.random.default_rng(7).integers(0, 256, (32, 40, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = damage(
        HubDamageRequest(
            artifact=hub.hub,
            recipe=Palette(bits=4),
            contract=CONTRACT,
            binding=hub.binding,
            images=(tmp_path / "a.png",),
        )
    )
    names = [one.layers[0] for one in weights(hub)]
    assert sorted(one.layer for one in found) == sorted(names)
    assert found[0].damage > 3 * found[-1].damage
    assert abs(sum(one.macs for one in found) - 1) < 1e-6
    noise = {}
    values: Float = pixels.transpose(2, 0, 1)[None].astype(np.float32)
    image: Float = np.ascontiguousarray(values / np.float32(255))
    for name in names:
        others = tuple(other for other in names if other != name)
        alone, _ = proposed(hub, Palette(bits=4, float_layers=others), tmp_path / f"{name}.pt2")
        noise[name] = float(np.square(alone.run(image) - hub.run(image)).sum())
    assert max(noise, key=noise.__getitem__) in {one.layer for one in found[:2]}
