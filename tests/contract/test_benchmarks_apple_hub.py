"""How far a file is from its hub program, and both from the hub program in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.apple_hub import ExactHub, apart, hub_input
from phoneproof.core.binding import Binding, InputBinding, Layout
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import RUNTIMES
from tests.contract import tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

Array = NDArray[np.float32]


class FakeSession:
    """Gives what a function makes of its image."""

    def __init__(self, shape: tuple[int, ...], *makes: Callable[[Array], Array]) -> None:
        self._makes = makes
        self.inputs = (TensorSpec(name="image", shape=shape, dtype="float32"),)
        self.outputs = tuple(
            TensorSpec(name=f"out{number}", shape=(1,), dtype="float32")
            for number in range(len(makes))
        )

    def run(self, tensors: object) -> dict[str, Array]:
        assert isinstance(tensors, dict)
        (image,) = tensors.values()
        assert image.shape == self.inputs[0].shape
        return {
            spec.name: make(image) for spec, make in zip(self.outputs, self._makes, strict=True)
        }


def binding(layout: Layout = "NCHW") -> Binding:
    shape = (1, 3, 4, 6) if layout == "NCHW" else (1, 4, 6, 3)
    return Binding(
        contract="0" * 64,
        format="coreml",
        inputs=(InputBinding(tensor="image", shape=shape, layout=layout),),
        outputs=(),
    )


def contract() -> Contract:
    resize = Resize(to="stretch", size=(4, 6), filter="pillow.bilinear")
    image = ImageInput(
        geometry=(resize,), size=(4, 6), scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    return Contract(name="small", version="1.0.0", task="raw", inputs=(image,))


class FakeExact(ExactHub):
    """The same of a float64 image."""

    def __init__(self, *makes: Callable[[Array], Array]) -> None:
        self._makes = makes

    def run(self, image: Array) -> list[NDArray[np.float64]]:
        return [make(image).astype(np.float64) for make in self._makes]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.full((4, 6, 3), 50 * (number + 1), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def mean_of(factor: float) -> Callable[[Array], Array]:
    return lambda image: np.asarray([image.mean() * factor], np.float32)


def test_the_difference_is_that_of_the_worst_output(pictures: Path) -> None:
    shape = (1, 3, 4, 6)
    hub = FakeSession(shape, mean_of(1.0), mean_of(10.0))
    same = FakeSession(shape, mean_of(1.0), mean_of(10.0))
    other = FakeSession(shape, mean_of(1.0), mean_of(11.0))
    exact = FakeExact(mean_of(1.0), mean_of(10.0))
    assert apart((hub, same), exact, contract(), binding(), pictures).to_hub == 0.0
    found = apart((hub, other), exact, contract(), binding(), pictures)
    assert found.to_hub == pytest.approx(0.1, rel=1e-4)
    assert found.to_exact == pytest.approx(0.1, rel=1e-4)
    assert found.hub_to_exact < 1e-6


def test_the_hub_gets_the_picture_in_its_own_layout(pictures: Path) -> None:
    hub = FakeSession((1, 4, 6, 3), mean_of(1.0))
    file = FakeSession((1, 3, 4, 6), mean_of(1.0))
    assert hub_input(hub, binding().image).layout == "NHWC"
    exact = FakeExact(mean_of(1.0))
    assert apart((hub, file), exact, contract(), binding(), pictures).to_hub < 1e-6


def test_float64_is_nearer_to_the_truth_than_float32(tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW")
    image = tiny.pixels("NCHW")
    narrow = RUNTIMES.load("hub").open(hub).run({"image": image})
    for wide, spec in zip(ExactHub(hub).run(image), tiny.OUTPUTS, strict=True):
        assert wide.dtype == np.float64
        np.testing.assert_allclose(narrow[spec.name], wide, atol=1e-5)
        assert not torch.equal(torch.from_numpy(narrow[spec.name]).double(), torch.from_numpy(wide))
