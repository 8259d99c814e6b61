"""A session whose right preprocessing is planted, and pictures to find it with."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phoneproof.capture.hub import fitted_to_source
from phoneproof.capture.infer import hub_binding
from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Crop, ImageInput, Resize
from phoneproof.core.dataset import ImageItem
from phoneproof.core.search import ContractSearch
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.search.outcome import search_contract, too_few
from phoneproof.pipeline.search.search import Budget
from phoneproof.pipeline.search.search_space import SearchSpace
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.verify.search.observe import Observer
from tests.unit.inspections import classifier, spec

SIDE = 16
COLORS = np.array([[200, 60, 90], [90, 60, 200], [60, 190, 80], [160, 150, 60]], dtype=np.float64)
"""One a class; the first two are each other with red and blue swapped."""

BACKGROUND_FIRST = (None, "class 0", "class 1", "class 2", "class 3")
SMALL = Budget(first=8, grid=12, geometry=20, search=30, held_out=60)

RIGHT = ImageInput(
    channels="rgb",
    geometry=(
        Resize(to="cover", size=(SIDE, SIDE), round="floor", filter="pillow.bilinear"),
        Crop(size=(SIDE, SIDE)),
    ),
    size=(SIDE, SIDE),
    scale=1 / 127.5,
    mean=(1.0, 1.0, 1.0),
    std=(1.0, 1.0, 1.0),
)
WRONG = ImageInput(
    channels="bgr",
    geometry=(Resize(to="stretch", size=(SIDE, SIDE), filter="pillow.bilinear"),),
    size=(SIDE, SIDE),
    scale=1 / 255,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
)


class PlantedSession:
    """Names the class whose colour, scaled to [-1, 1], is nearest to the mean of an RGB input."""

    inputs = (spec("x", 1, 3, SIDE, SIDE),)
    outputs = (spec("p", 1, 5),)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        mean = tensors["x"][0].reshape(3, -1).mean(axis=1).astype(np.float64)
        distance = ((COLORS / 127.5 - 1 - mean) ** 2).sum(axis=1)
        scores = np.exp(-6 * distance)
        whole = np.concatenate([[1e-6], scores]) + 1e-9
        return {"p": (whole / whole.sum())[None].astype(np.float32)}


def pictures(
    folder: Path, count: int, *, seed: int = 0, shuffled: bool = False
) -> tuple[ImageItem, ...]:
    """Wide pictures with the class's colour in the middle and another class's at both sides.

    shuffled: labels drawn at random.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    items: list[ImageItem] = []
    for number in range(count):
        label, other = number % 4, int(random.integers(4))
        path = folder / f"{number:03}.png"
        Image.fromarray(_picture(COLORS[label], COLORS[other], random)).save(path)
        told = int(random.integers(4)) if shuffled else label
        items.append(ImageItem(name=path.name, path=path, sha256=file_sha256(path), label=told))
    return tuple(items)


def _picture(
    color: NDArray[np.float64], other: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.uint8]:
    pixels = np.empty((24, 60, 3))
    pixels[:, :] = other
    pixels[:, 18:42] = color
    # Another light for each picture: so much that some cannot be told apart.
    pixels += random.normal(0, 45, 3) + random.normal(0, 12, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)


def contract(image: ImageInput, labels: tuple[str | None, ...]) -> Contract:
    return Contract(name="planted", task="classify", inputs=(image,), labels=labels)


def inspection() -> Inspection:
    return msgspec.structs.replace(
        classifier(5, side=SIDE),
        inputs=(TensorSpec(name="x", shape=(1, 3, SIDE, SIDE), dtype="float32"),),
    )


def searched(
    given: Contract, items: tuple[ImageItem, ...], budget: Budget = SMALL
) -> ContractSearch:
    """A whole search around `given` with the planted session."""
    if few := too_few("classify", items):
        return few
    about, session = inspection(), PlantedSession()
    used = frozenset(item.label for item in items if item.label is not None)
    space = SearchSpace.of(given, about, used)
    binding = hub_binding(about, given, size=given.image.size, batch=1)
    fitted = fitted_to_source(binding, session.inputs, session.outputs)
    observer = Observer(session, given, fitted, items, space.orders)
    return search_contract(space, observer, items, inspection=about, budget=budget)
