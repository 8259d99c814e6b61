"""Scale, mean and std as operators of a file: how near they come to the contract's table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phoneproof.convert.backends.pixel_scaling import bake
from phoneproof.core.binding import InputBinding
from phoneproof.core.contract import ImageInput
from phoneproof.pixels.baked import EXACT_ENOUGH, scaling_of, why_no_image
from phoneproof.pixels.values import value_tables

BINDING = InputBinding(tensor="image", shape=(1, 3, 16, 16), layout="NCHW")


def spec(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageInput:
    return ImageInput(geometry=(), size=(16, 16), scale=scale, mean=mean, std=std)


CONTRACTS = {
    "raw": spec(1.0, (0.0,) * 3, (1.0,) * 3),
    "unit": spec(1 / 255, (0.0,) * 3, (1.0,) * 3),
    "minus one to one": spec(1 / 127.5, (1.0,) * 3, (1.0,) * 3),
    "ssd": spec(1.0, (127.0,) * 3, (128.0,) * 3),
    "imagenet": spec(1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "caffe": spec(1.0, (103.939, 116.779, 123.68), (1.0,) * 3),
}


class Echo(torch.nn.Module):
    """Gives its input back, through one operator."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.permute(0, 2, 3, 1)


@pytest.mark.parametrize("name", CONTRACTS)
def test_what_is_baked_is_the_table_as_far_as_it_says(name: str) -> None:
    contract = CONTRACTS[name]
    scaling = scaling_of(contract)
    module = torch.fx.symbolic_trace(Echo())
    bake(module, scaling)
    pixels = torch.arange(256, dtype=torch.float32).reshape(1, 1, 16, 16).repeat(1, 3, 1, 1)
    baked = module(pixels).reshape(256, 3).T.numpy()
    table = value_tables(contract, BINDING)
    away = np.abs(baked.astype(np.float64) - table).max()
    assert away == scaling.max_abs
    assert why_no_image(contract) == ""
    assert scaling.ulp <= 1.0
    assert away <= 1.0 * np.spacing(np.abs(table).max())


@pytest.mark.parametrize("name", ["raw", "ssd"])
def test_what_float32_can_do_exactly_is_exact(name: str) -> None:
    assert scaling_of(CONTRACTS[name]).max_abs == 0.0


def test_what_changes_nothing_is_left_out() -> None:
    assert scaling_of(CONTRACTS["raw"]).steps == ()
    assert [op for op, _ in scaling_of(CONTRACTS["unit"]).steps] == ["mul"]


def test_numbers_that_float32_cannot_hold_are_not_exact_enough() -> None:
    assert "ulp" in why_no_image(spec(1.0, (0.0,) * 3, (1e-39,) * 3))


def test_a_wrong_constant_is_far_from_the_table() -> None:
    """The limit is one that mistakes do not keep: 1/256 for 1/255."""
    right, wrong = (scaling_of(spec(s, (0.0,) * 3, (1.0,) * 3)) for s in (1 / 255, 1 / 256))
    step = np.float32(wrong.steps[0][1][0]) - np.float32(right.steps[0][1][0])
    assert abs(step) * 255 > EXACT_ENOUGH * np.spacing(np.float32(1.0))
