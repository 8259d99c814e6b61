"""What a Core ML package holds, counted by the type it computes in."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.convert.backends.coreml import CoreMlConverter
from phoneproof.core.recipe import Float16, Palette, Recipe, WeightOnly
from phoneproof.formats.read_back import contents, read_back
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest, optimizer_for
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

STEM = 8 * 3 * 9 * 8 * 12
BODY = 6 * 8 * 9 * 8 * 12
HEAD = 5 * 6


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    hub = tiny.write_hub(folder / "hub.pt2", "NCHW")
    request = tiny.request(hub, "NCHW", "NCHW", folder / "model.mlpackage")
    CoreMlConverter().convert(request)
    return request.output


def made(package: Path, recipe: Recipe, output: Path) -> Path:
    OPTIMIZERS.load(optimizer_for("coreml", recipe)).propose(
        OptimizeRequest(
            artifact=package,
            contract=tiny.CONTRACT,
            binding=tiny.binding("NCHW"),
            recipe=recipe,
            output=output,
        )
    )
    return output


def test_float32_is_counted_from_the_shapes(package: Path) -> None:
    found = read_back(package, "coreml")
    assert found is not None
    assert found.macs == STEM + BODY + HEAD
    assert [(one.dtype, one.ops, one.macs) for one in found.shares] == [("float32", 1.0, 1.0)]
    size = sum(path.stat().st_size for path in package.rglob("*") if path.is_file())
    assert found.gzip_bytes is not None
    assert 0 < found.gzip_bytes < size


def test_a_float32_island_is_seen(package: Path, tmp_path: Path) -> None:
    whole = made(package, Float16(float32_share=0.0), tmp_path / "half.mlpackage")
    found = contents(whole, "coreml")
    assert found is not None
    by_type = {one.dtype: one.macs for one in found.shares}
    assert by_type == {"float16": 1.0}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [(WeightOnly(bits=8), "int8 weights"), (Palette(bits=4), "4-bit palette weights")],
)
def test_stored_weights_are_named(
    package: Path, tmp_path: Path, recipe: Recipe, words: str
) -> None:
    found = contents(made(package, recipe, tmp_path / "small.mlpackage"), "coreml")
    assert found is not None
    assert words in {one.dtype for one in found.shares}
    assert found.macs == STEM + BODY + HEAD
