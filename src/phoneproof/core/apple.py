"""What an app on Apple's platforms feeds a Core ML file, and from which system on it is read."""

from __future__ import annotations

from typing import Literal

import msgspec

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
