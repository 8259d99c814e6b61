"""What an app on Apple's platforms feeds a Core ML file, and from which system on it is read."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from phoneproof.core.contract import ImageInput

AppleInput = Literal["image", "tensor"]
MinimumIos = Literal[15, 16, 17, 18]
"""Later systems read more operators and more ways to compress weights."""


class AppleForm(msgspec.Struct, frozen=True, kw_only=True):
    """How a Core ML file is written.

    input: an image takes pixel buffers, and scale, mean and std are operators of the file; a
    tensor takes the values that the contract's table gives. minimum_ios: the oldest system.
    """

    input: AppleInput = "tensor"
    minimum_ios: MinimumIos = 17


FLOAT_PIXELS: Final = "TensorFlow's resize gives pixels between whole numbers; an image has none"


def why_no_image(spec: ImageInput) -> str:
    """Why a contract's pixels cannot be an image of 8 bits a channel; empty where they can.

    A gray input is an image of one component: every formula of the contract rounds to 8 bits.
    """
    return FLOAT_PIXELS if spec.values == "float32" else ""
