"""What Core ML itself is fed on a Mac, with a stand-in for it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    ColourSpace,
    ImageFeature,
    OtherFeature,
)
from phoneproof.runtimes.backends.coreml_native import NativeSession
from phoneproof.runtimes.base import Tensor

OUT = (ArrayFeature(name="out", shape=(1, 2), dtype="float16"),)


class Seen:
    """Stands in for `MLModel.predict`: keeps what it was fed."""

    def __init__(self) -> None:
        self.fed: Mapping[str, object] = {}

    def __call__(self, fed: Mapping[str, object]) -> Mapping[str, Tensor]:
        self.fed = fed
        return {"out": np.array([[1.5, 2.0]], np.float32)}


def picture(colour: ColourSpace) -> tuple[ImageFeature, ...]:
    return (ImageFeature(name="image", height=2, width=3, colour=colour),)


@pytest.mark.parametrize("colour", ["RGB", "BGR"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_images_are_fed_as_rgb_pictures(colour: ColourSpace, kind: type[np.generic]) -> None:
    seen = Seen()
    session = NativeSession(seen, picture(colour), OUT)
    pixels = np.arange(18, dtype=kind).reshape(1, 3, 2, 3) * 10
    found = session.run({"image": pixels})
    fed = seen.fed["image"]
    assert isinstance(fed, Image.Image)
    rgb = pixels[0] if colour == "RGB" else pixels[0, ::-1]
    assert np.array_equal(np.asarray(fed), rgb.transpose(1, 2, 0).astype(np.uint8))
    assert (found["out"].dtype.name, found["out"].tolist()) == ("float16", [[1.5, 2.0]])


def test_a_grey_image_has_one_channel() -> None:
    seen = Seen()
    session = NativeSession(seen, picture("GRAYSCALE"), OUT)
    assert session.inputs[0].shape == (1, 1, 2, 3)
    session.run({"image": np.full((1, 1, 2, 3), 300.0, np.float32)})
    fed = seen.fed["image"]
    assert isinstance(fed, Image.Image)
    assert (fed.mode, np.asarray(fed).tolist()) == ("L", [[255] * 3] * 2)


def test_arrays_are_fed_as_they_are() -> None:
    seen = Seen()
    feature = ArrayFeature(name="x", shape=(1, 4), dtype="float32")
    values = np.ones((1, 4), np.float32)
    NativeSession(seen, (feature,), OUT).run({"x": values})
    assert seen.fed["x"] is values


def test_wrong_feeds_are_refused_before_core_ml_sees_them() -> None:
    seen = Seen()
    session = NativeSession(seen, picture("RGB"), OUT)
    for feed in ({}, {"image": np.zeros((1, 2, 3, 3), np.float32)}, {"image": np.zeros(3)}):
        with pytest.raises(InvalidInput):
            session.run(feed)
    assert seen.fed == {}


def test_what_core_ml_raises_is_ours() -> None:
    def broken(fed: Mapping[str, object]) -> Mapping[str, Tensor]:
        raise RuntimeError("compute unit is gone\nmore")

    session = NativeSession(broken, picture("RGB"), OUT)
    with pytest.raises(InvalidInput, match="Core ML cannot run") as caught:
        session.run({"image": np.zeros((1, 3, 2, 3), np.uint8)})
    assert caught.value.found == "compute unit is gone"


def test_labels_are_no_tensors() -> None:
    with pytest.raises(Unsupported, match="no tensor"):
        NativeSession(Seen(), picture("RGB"), (OtherFeature(name="label", kind="string"),))
