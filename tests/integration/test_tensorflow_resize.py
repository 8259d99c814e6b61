"""The tensorflow.* filters and grey formula against TensorFlow itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.contract import Filter, Size
from phoneproof.pixels.filters import resize, to_gray

tf = pytest.importorskip("tensorflow")

SIZES: tuple[tuple[Size, Size], ...] = (
    ((1, 1), (5, 7)),
    ((1, 9), (4, 3)),
    ((2, 2), (1, 1)),
    ((17, 31), (17, 31)),
    ((17, 31), (34, 62)),
    ((64, 48), (32, 24)),
    ((375, 500), (224, 224)),
    ((61, 203), (224, 96)),
    ((224, 224), (227, 1)),
    ((720, 1280), (300, 300)),
)
METHODS: tuple[Filter, ...] = (
    "tensorflow.bilinear_half_pixel",
    "tensorflow.bilinear_legacy",
    "tensorflow.bilinear_align_corners",
)


def _by_tensorflow(pixels: NDArray[np.uint8], size: Size, name: Filter) -> NDArray[np.float32]:
    if name == "tensorflow.bilinear_half_pixel":
        made = tf.image.resize(pixels[None], size, method="bilinear", antialias=False)
    else:
        aligned = name == "tensorflow.bilinear_align_corners"
        made = tf.compat.v1.image.resize_bilinear(pixels[None], size, align_corners=aligned)
    return np.asarray(made.numpy()[0], dtype=np.float32)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize(("source", "target"), SIZES)
def test_equal_within_a_millionth_of_255(name: Filter, source: Size, target: Size) -> None:
    rng = np.random.default_rng(source[0] + target[1])
    pixels = rng.integers(0, 256, (*source, 3), dtype=np.uint8)
    expected = _by_tensorflow(pixels, target, name)
    made = resize(pixels, target, name)
    assert np.abs(made - expected).max() <= 255e-6
    if name != "tensorflow.bilinear_legacy" and source != target and min(source) > 2:
        other = resize(pixels, target, "tensorflow.bilinear_legacy")
        assert np.abs(other - expected).max() > 1


def test_gray_of_every_color() -> None:
    """All 16.7 million colours, in slices of one red level."""
    green, blue = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    for red in range(256):
        rgb = np.stack([np.full_like(green, red), green, blue], axis=2).astype(np.uint8)
        assert np.array_equal(tf.image.rgb_to_grayscale(rgb).numpy(), to_gray(rgb, "tensorflow"))
