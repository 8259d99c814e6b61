"""Core ML packages made smaller: float16 with float32 islands, integers, palettes, zeros.

All figures are of the reference interpreter (PyTorch), whose float16 rounds after each operation.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.apple import AppleForm, MinimumIos
from phoneproof.core.artifact import WrittenModel, tree_bytes
from phoneproof.core.binding import Precision
from phoneproof.core.contract import Resize
from phoneproof.core.errors import InvalidInput, OptimizationFailed, Unsupported
from phoneproof.core.json_format import parse
from phoneproof.core.recipe import (
    Dynamic,
    Float16,
    Io,
    Palette,
    Recipe,
    Sparse,
    Static,
    WeightOnly,
)
from phoneproof.formats.coreml.description import ImageFeature, description_of
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.optimize.backends.coreml_program import computation, open_program
from phoneproof.optimize.backends.coreml_sensitivity import DamageRequest, damage
from phoneproof.optimize.islands import fewest
from phoneproof.optimize.weight_codes import by_channel, palette
from phoneproof.runtimes.backends.coreml import open_module
from phoneproof.runtimes.backends.mil_torch.call import Constant, Named
from tests.assets import asset
from tests.contract import tiny
from tests.integration.coreml_packages import Package, loud_package, weather_packages
from tests.integration.hub_agreement import PICTURES, photographs

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

Array = NDArray[Any]
FLOAT16: Final = Float16(float32_share=0.0)
APPLE_SNR_DB: Final = 55.0


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> dict[MinimumIos, Package]:
    return weather_packages(tmp_path_factory.mktemp("weather"))


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return loud_package(tmp_path_factory.mktemp("loud"))


def kept_float32(model: WrittenModel) -> tuple[str, ...]:
    return parse(dict(model.options)["float32_layers"].encode(), tuple[str, ...], what="options")


def test_an_overflow_is_heard_where_nothing_stays_float32(loud: Package, tmp_path: Path) -> None:
    output = tmp_path / "half.mlpackage"
    model = loud.made(FLOAT16, output)
    assert kept_float32(model) == ()
    assert loud.snr_db(output) < 20


def test_a_range_scan_finds_what_overflows_and_no_more(loud: Package, tmp_path: Path) -> None:
    output = tmp_path / "islands.mlpackage"
    model = loud.made(FLOAT16, output, loud.ranges(tmp_path))
    kept = kept_float32(model)
    ops = [op.name for op in layers_of(loud.path)]
    # The loud convolution, its ReLU, and the first layer that reads it.
    assert sorted(map(ops.index, kept)) == [2, 3, 4]
    assert loud.snr_db(output) >= APPLE_SNR_DB


def test_the_damage_of_an_overflow_comes_first(loud: Package, tmp_path: Path) -> None:
    half, output = tmp_path / "half.mlpackage", tmp_path / "islands.mlpackage"
    loud.made(FLOAT16, half)
    found = damage(damage_request(loud, half))
    layers = fewest(found, APPLE_SNR_DB + 3)
    assert 0 < len(layers) <= 3
    loud.made(Float16(float32_share=0.0, float_layers=layers), output)
    assert loud.snr_db(output) >= APPLE_SNR_DB


def layers_of(path: Path) -> list[Any]:
    return [computation(op) for op in open_program(path).layers]


def damage_request(package: Package, candidate: Path) -> DamageRequest:
    size = package.contract.image.size
    stretch = Resize(to="stretch", size=size, filter="pillow.bilinear")
    image = msgspec.structs.replace(package.contract.image, geometry=(stretch,))
    return DamageRequest(
        artifact=package.path,
        candidate=candidate,
        contract=msgspec.structs.replace(package.contract, inputs=(image,)),
        binding=package.binding,
        images=tuple(asset(name) for name in PICTURES),
    )


@dataclass(frozen=True, kw_only=True)
class Smaller:
    """A recipe, what it must be read back as, its size (of the float32 package's), its SNR."""

    recipe: Recipe
    precision: Precision
    ios: MinimumIos
    size: float
    snr_db: float


SMALLER: Final = (
    Smaller(recipe=FLOAT16, precision="float16", ios=17, size=0.51, snr_db=40.0),
    Smaller(recipe=WeightOnly(), precision="weight_only_wi8", ios=17, size=0.27, snr_db=20.0),
    Smaller(recipe=Palette(bits=6), precision="palette6", ios=17, size=0.21, snr_db=8.0),
    Smaller(recipe=Palette(bits=6), precision="palette6", ios=18, size=0.22, snr_db=10.0),
    Smaller(recipe=Palette(bits=4), precision="palette4", ios=17, size=0.15, snr_db=-3.0),
    Smaller(recipe=WeightOnly(bits=4), precision="weight_only_wi4", ios=18, size=0.16, snr_db=-3.0),
    Smaller(recipe=Sparse(share=0.3), precision="sparse", ios=17, size=0.76, snr_db=10.0),
)
"""SNR of probabilities of four classes: a network that somebody trained is not this loud noise."""


@pytest.mark.parametrize("case", SMALLER, ids=lambda case: f"{case.precision}-ios{case.ios}")
def test_size_and_noise_of_a_real_classifier(
    weather: dict[MinimumIos, Package], tmp_path: Path, case: Smaller
) -> None:
    package = weather[case.ios]
    output = tmp_path / "small.mlpackage"
    model = package.made(case.recipe, output)
    assert model.binding.precision == case.precision
    assert tree_bytes(output) < case.size * tree_bytes(package.path)
    assert package.snr_db(output) > case.snr_db


def test_compressed_float16_is_smaller_still_and_hardly_louder(
    weather: dict[MinimumIos, Package], tmp_path: Path
) -> None:
    package = weather[17]
    wide, half, both = (tmp_path / f"{name}.mlpackage" for name in ("wide", "half", "both"))
    package.made(WeightOnly(), wide)
    parent = package.of(half, package.made(FLOAT16, half))
    assert parent.made(WeightOnly(), both).binding.precision == "weight_only_wi8"
    assert tree_bytes(both) < tree_bytes(wide)
    assert package.snr_db(both) > package.snr_db(wide) - 6


def test_layers_kept_wide_make_less_noise(
    weather: dict[MinimumIos, Package], tmp_path: Path
) -> None:
    package = weather[17]
    coded, spared = tmp_path / "coded.mlpackage", tmp_path / "spared.mlpackage"
    recipe = Palette(bits=4)
    package.made(recipe, coded)
    worst = tuple(one.layer for one in damage(damage_request(package, coded))[:8])
    model = package.made(msgspec.structs.replace(recipe, float_layers=worst), spared)
    assert model.binding.precision == "mixed"
    assert package.snr_db(spared) > package.snr_db(coded) + 3


def test_static_int8_comes_near_what_dynamic_ranges_reach(
    weather: dict[MinimumIos, Package], tmp_path: Path
) -> None:
    """Against torch's own dynamic scheme on the same network: int8 weights by channel, activations
    rounded to the range of each picture. Fixed ranges cannot be better; ours are at most 12 dB
    behind (min/max and least error, whichever is better)."""
    package = weather[17]
    ranges = package.ranges(tmp_path)
    reached = []
    for method in ("min_max", "mse"):
        output = tmp_path / f"{method}.mlpackage"
        model = package.made(Static(ranges=method), output, ranges)
        assert model.binding.precision == "static_wi8_ai8"
        assert tree_bytes(output) < 0.28 * tree_bytes(package.path)
        reached.append(package.snr_db(output))
    dynamic = dynamic_snr_db(package)
    assert dynamic - 12 < max(reached) < dynamic + 6


def dynamic_snr_db(package: Package) -> float:
    """The package with every layer's input rounded to its own range of the picture at hand."""
    module = open_module(read_coreml(package.path))
    name = module.outputs[0].name

    def run(picture: Array, *, rounds: bool) -> Array:
        values = {module.inputs[0].name: torch.from_numpy(picture)}
        with torch.no_grad():
            for step in module.steps:
                given = dict(values)
                if rounds and step.place.type in ("conv", "linear"):
                    (x,), (weight,) = step.place.inputs["x"], step.place.inputs["weight"]
                    assert isinstance(x, Named)
                    assert isinstance(weight, Constant)
                    low, high = values[x.name].min().clamp(max=0), values[x.name].max().clamp(min=0)
                    scale = (high - low).clamp(min=1e-12) / 255
                    zero = torch.round(-low / scale)
                    codes = torch.clamp(torch.round(values[x.name] / scale) + zero, 0, 255)
                    given[x.name] = (codes - zero) * scale
                    coded = by_channel(weight.tensor.numpy(), 0).weights
                    inputs = {**step.place.inputs, "weight": (Constant(torch.from_numpy(coded)),)}
                    changed = replace(step, place=replace(step.place, inputs=inputs))
                    values.update(module.results(changed, given))
                else:
                    values.update(module.results(step, given))
        return values[name].numpy()

    signal = noise = 0.0
    for picture in package.pictures:
        want, found = run(picture, rounds=False), run(picture, rounds=True)
        signal += float(np.square(want.astype(np.float64)).sum())
        noise += float(np.square(want.astype(np.float64) - found).sum())
    return float(10 * np.log10(signal / noise))


def test_two_palette_entries_exchanged_are_heard(
    weather: dict[MinimumIos, Package], tmp_path: Path
) -> None:
    package = weather[17]
    output = tmp_path / "palette.mlpackage"
    package.made(Palette(bits=6), output)
    before = package.snr_db(output)
    first = next(op for op in open_program(package.path).layers if op.op_type == "conv")
    table = palette(np.asarray(first.weight.val), 6).palette
    swapped = table.copy()
    swapped[[20, 44]] = swapped[[44, 20]]
    files = [
        one for one in output.rglob("*") if one.is_file() and table.tobytes() in one.read_bytes()
    ]
    assert len(files) == 1
    data = files[0].read_bytes()
    assert data.count(table.tobytes()) == 1
    files[0].write_bytes(data.replace(table.tobytes(), swapped.tobytes()))
    assert package.snr_db(output) < before - 3


def test_image_inputs_keep_their_type(tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW")
    request = ConvertRequest(
        source=hub,
        contract=tiny.CONTRACT,
        binding=tiny.binding("NCHW"),
        layout="NCHW",
        apple=AppleForm(input="image"),
        output=tmp_path / "image.mlpackage",
    )
    model = CONVERTERS.load("hub-coreml").convert(request)
    (picture,) = photographs(tiny.SHAPE, "NCHW", 1.0, 0.0)[:1]
    package = Package(
        path=tmp_path / "image.mlpackage",
        contract=tiny.CONTRACT,
        binding=model.binding,
        pictures=(picture,),
    )
    for name, recipe in (("half", FLOAT16), ("coded", WeightOnly())):
        output = tmp_path / f"{name}.mlpackage"
        package.made(recipe, output)
        (image,) = description_of(read_coreml(output)).inputs
        assert isinstance(image, ImageFeature)
        assert package.snr_db(output) > 30


def test_older_systems_are_named(weather: dict[MinimumIos, Package], tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="4-bit weights need iOS 18") as failure:
        weather[17].made(WeightOnly(bits=4), tmp_path / "small.mlpackage")
    assert "iOS 17" in failure.value.found
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("recipe", "error", "word"),
    [
        (Float16(float32_share=0.0, float_layers=("silu_99",)), OptimizationFailed, "silu_99"),
        (Palette(bits=4, float_layers=("silu_99",)), OptimizationFailed, "silu_99"),
        (Static(float_layers=("silu_99",)), OptimizationFailed, "silu_99"),
        (Static(io=Io(input="int8")), Unsupported, "input int8"),
        (Static(int16_layers=("silu",)), Unsupported, "1 int16"),
        (Dynamic(), OptimizationFailed, "Dynamic"),
        (Sparse(share=1.5), OptimizationFailed, "1.5"),
    ],
    ids=str,
)
def test_recipes_that_do_not_fit_are_refused(
    loud: Package,
    tmp_path: Path,
    recipe: Recipe,
    error: type[OptimizationFailed] | type[Unsupported],
    word: str,
) -> None:
    with pytest.raises(error) as failure:
        loud.made(recipe, tmp_path / "small.mlpackage")
    assert word in failure.value.found
    assert not list(tmp_path.iterdir())


def test_a_package_without_its_weights_is_refused(
    weather: dict[MinimumIos, Package], tmp_path: Path
) -> None:
    package = weather[17]
    broken = tmp_path / "broken.mlpackage"
    shutil.copytree(package.path, broken)
    next(broken.rglob("weight.bin")).unlink()
    with pytest.raises(InvalidInput, match="without its weights"):
        replace(package, path=broken).made(FLOAT16, tmp_path / "half.mlpackage")


def test_compressing_twice_is_refused(weather: dict[MinimumIos, Package], tmp_path: Path) -> None:
    package = weather[17]
    once = tmp_path / "once.mlpackage"
    small = package.of(once, package.made(Palette(bits=6), once))
    for recipe in (WeightOnly(), FLOAT16, Sparse(share=0.3)):
        with pytest.raises(InvalidInput):
            small.made(recipe, tmp_path / "twice.mlpackage")
