"""What is tried: every alternative is a sound contract, each meaning once."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import DType, InputBinding, Quant
from phoneproof.core.contract import Contract, Decode, ImageInput, Resize, Task
from phoneproof.core.presets import PRESETS, preset_input
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.search.geometry_table import filter_of, geometries, geometry_name
from phoneproof.pipeline.search.search_space import SearchSpace, channel_options, preset_of
from phoneproof.pipeline.search.values_table import (
    FORMULAS,
    fits_tensor,
    formula_name,
    with_formula,
)
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.verify.search.label_orders import label_orders
from tests.unit.inspections import classifier

PLAIN = ImageInput(
    geometry=(Resize(to="stretch", size=(32, 24), filter="pillow.bilinear"),),
    size=(32, 24),
    scale=1 / 255,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)
GRAY = msgspec.structs.replace(PLAIN, channels="gray", gray="pillow", mean=(0.0,), std=(1.0,))


def space(image: ImageInput, task: Task = "classify") -> SearchSpace:
    labels = ("a", "b", "c")
    decode = Decode() if task == "detect" else None
    given = Contract(name="x", task=task, inputs=(image,), labels=labels, decode=decode)
    return SearchSpace.of(given, classifier(3), frozenset({0, 1, 2}))


@pytest.mark.parametrize("image", [PLAIN, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("task", ["classify", "detect"])
@pytest.mark.parametrize("shape", [(50, 41), (20, 300), (32, 24), (7, 5)])
def test_every_alternative_prepares_a_picture_of_any_shape(
    image: ImageInput, task: Task, shape: tuple[int, int]
) -> None:
    around = space(image, task)
    first = around.grid()[0]
    candidates = [
        *around.grid(),
        *around.with_geometries([first]),
        *around.presets(first),
        *around.details(first),
    ]
    count = image.channel_count
    binding = InputBinding(tensor="x", shape=(1, count, 32, 24), layout="NCHW")
    rgb = np.full((*shape, 3), 90, np.uint8)
    for candidate in candidates:
        tensor = Preprocessor(around.contract_of(candidate).image, binding).prepare(rgb).tensor
        assert tensor.shape == (1, count, 32, 24)


def test_the_grid_begins_with_the_given_contract_and_repeats_nothing() -> None:
    around = space(PLAIN)
    grid = around.grid()
    assert grid[0] == around.given
    assert len({around.words(one) for one in grid}) == len(grid)
    assert around.differs(grid[0]) == ()
    assert {one.image.channels for one in grid} == {"rgb", "bgr"}


def test_each_colour_keeps_its_mean_and_pad_when_channels_are_swapped() -> None:
    image = preset_input("keras.torch", (32, 24))
    same, swapped = channel_options(image)
    assert same == image
    assert swapped.mean == image.mean[::-1]
    assert swapped.std == image.std[::-1]
    assert formula_name(swapped) == formula_name(image)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_recognised(name: str) -> None:
    image = preset_input(name, (64, 64))
    assert preset_of(image, name) == name
    assert preset_input(preset_of(image), (64, 64)) == image  # several may share one input
    assert formula_name(preset_input(name, (64, 64))) in {one.name for one in FORMULAS}


def test_a_detector_is_never_cropped() -> None:
    names = {name for name, _ in geometries("detect", PLAIN)}
    assert not any("cent" in name and "letterbox" not in name for name in names)
    assert geometry_name("detect", PLAIN) == "stretched"
    one = space(PLAIN, "detect")
    assert all(preset_of(c.image) != "torchvision.imagenet" for c in one.presets(one.given))


@pytest.mark.parametrize(
    ("dtype", "quant", "held"),
    [
        ("uint8", Quant(scale=1 / 128, zero_point=128), {"-1..1"}),
        ("uint8", Quant(scale=1 / 255, zero_point=0), {"0..1"}),
        ("int8", Quant(scale=1.0, zero_point=-128), {"0..255"}),
    ],
)
def test_a_quantised_tensor_holds_only_what_fits(
    dtype: DType, quant: Quant, held: set[str]
) -> None:
    tensor = TensorSpec(name="x", shape=(1, 3, 32, 24), dtype=dtype, quant=quant)
    usual = [one for one in FORMULAS if not one.like]
    assert {one.name for one in usual if fits_tensor(with_formula(PLAIN, one), tensor)} == held


def test_background_is_tried_where_placeholders_have_none() -> None:
    labels = tuple(f"class {k}" for k in range(5))
    orders = label_orders(labels, used=frozenset({0, 3}))
    assert [one.labels for one in orders][1:] == [(None, *labels[:4])]
    assert orders[1].index == (1, 2, 3, 4, -1)
    assert len(label_orders(labels, used=frozenset({4}))) == 1  # nowhere left for class 4


def test_background_is_doubted_where_it_is_assumed() -> None:
    labels = (None, "class 0", "class 1", "class 2")
    (_, other) = label_orders(labels, used=frozenset({1, 3}))
    assert other.labels == ("class 0", "class 1", "class 2", "class 3")
    assert other.index == (-1, 0, 1, 2)


def test_names_are_tried_in_the_alphabets_order_and_the_files() -> None:
    labels = ("rain", "cloudy", "shine")
    orders = label_orders(labels, used=frozenset({0, 1, 2}), read=("shine", "rain", "cloudy"))
    by_name = {one.name: one for one in orders}
    assert by_name["alphabetical"].labels == ("cloudy", "rain", "shine")
    assert by_name["alphabetical"].index == (1, 0, 2)
    rotated = {one.labels for one in orders}
    assert ("shine", "rain", "cloudy") in rotated
    for one in orders:
        assert sorted(one.index) == [0, 1, 2]


def test_a_first_label_called_background_is_no_class() -> None:
    orders = label_orders(("background", "tench", "goldfish"), used=frozenset({0, 1}))
    named = next(one for one in orders if "background" in one.name)
    assert named.labels == (None, "tench", "goldfish")
    assert named.index[:2] == (1, 2)


def test_pictures_of_the_inputs_size_are_taken_as_they_are() -> None:
    around = replace(space(PLAIN), ready=True)
    first = around.grid()[0]
    tried = [*around.with_geometries([first]), *around.presets(first), *around.details(first)]
    assert {geometry_name("classify", one.image) for one in tried} == {"stretched"}
    assert len({filter_of(one.image) for one in tried}) == 1
    assert len(around.grid()) == len(space(PLAIN).grid())
    wild = space(PLAIN)
    assert len({geometry_name("classify", c.image) for c in wild.with_geometries([first])}) > 5
