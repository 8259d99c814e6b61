"""What a picture looks like in six numbers: to tell whether it is like those of another set.

Brightness, contrast, saturation and sharpness are of the picture as the model sees it: after the
contract's crop and resize, before its padding, which is no part of the picture. The two sizes are
of the oriented original.
"""

from __future__ import annotations

from typing import Final, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import ImageInput
from phoneproof.core.preflight import PictureFeature
from phoneproof.pixels.geometry import PadStep, plan_geometry
from phoneproof.pixels.preprocess import apply_steps

PICTURE_FEATURES: Final[tuple[PictureFeature, ...]] = get_args(PictureFeature)
"""The order of the values that `picture_facts` returns."""


def picture_facts(rgb: NDArray[np.uint8], spec: ImageInput) -> NDArray[np.float64]:
    """The six facts of one picture.

    Args:
        rgb: uint8 [H, W, 3], oriented (`read_image`).
        spec: the contract's image input; its crop and resize are carried out.

    Returns:
        float64 [6], in the order of `PICTURE_FEATURES`: mean luma / 255 (Rec. 601, 0..1);
        standard deviation of the luma / 255; mean HSV saturation (0..1); variance of the
        4-neighbour Laplacian of the 8-bit luma (Pech-Pacheco et al., ICPR 2000: the usual
        measure of focus); shorter side in pixels; width / height.

    Raises:
        ConfigError: the geometry does not fit this size.
    """
    seen = _seen_by_the_model(rgb, spec)
    luma = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(luma)
    height, width = rgb.shape[:2]
    return np.array(
        [
            float(mean[0, 0]) / 255.0,
            float(deviation[0, 0]) / 255.0,
            _saturation(seen),
            float(cv2.Laplacian(luma, cv2.CV_64F).var()),
            float(min(height, width)),
            width / height,
        ]
    )


def _seen_by_the_model(rgb: NDArray[np.uint8], spec: ImageInput) -> NDArray[np.uint8]:
    """uint8 [h, w, 3]: also where the model takes one channel or float pixels."""
    plan = plan_geometry(spec, rgb.shape[0], rgb.shape[1])
    end = len(plan.steps)
    while end and isinstance(plan.steps[end - 1], PadStep):
        end -= 1
    pixels = apply_steps(rgb, tuple(plan.steps[:end]), reverse_pad=False)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels, np.uint8)
    return np.ascontiguousarray(np.clip(np.rint(pixels), 0, 255), np.uint8)


def _saturation(rgb: NDArray[np.uint8]) -> float:
    hsv = cv2.cvtColor(rgb, cv2.COLOR_RGB2HSV)
    return float(cv2.mean(cv2.extractChannel(hsv, 1))[0]) / 255.0
