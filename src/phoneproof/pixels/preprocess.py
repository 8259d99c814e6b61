"""From an RGB picture to the input tensor, as contract and binding say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import InputBinding
from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.pixels.filters import resize, to_gray
from phoneproof.pixels.geometry import (
    CropStep,
    GeometryPlan,
    GeometryStep,
    PadStep,
    plan_geometry,
)
from phoneproof.pixels.values import Values, float_values, stored, value_tables

Pixels = NDArray[np.uint8] | NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """One input tensor and how it was made.

    Attributes:
        tensor: the binding's dtype and layout, batch 1 in front, C-contiguous.
        plan: what leads boxes back to the original.
    """

    tensor: Values
    plan: GeometryPlan


class Preprocessor:
    """Turns pictures into input tensors. Holds tables only: one instance may serve many threads.

    Args:
        spec: the contract's image input.
        binding: the file's input tensor.

    Raises:
        ConfigError: the binding's shape is not the contract's size, or its dtype has no meaning.
        Unsupported: a dtype no image input can have.
    """

    def __init__(self, spec: ImageInput, binding: InputBinding) -> None:
        _check_shape(spec, binding)
        self._spec = spec
        self._binding = binding
        self._tables = value_tables(spec, binding)

    def prepare(self, rgb: NDArray[np.uint8]) -> Prepared:
        """The input tensor of one picture.

        Args:
            rgb: uint8 [H, W, 3], oriented (`read_image`).

        Raises:
            InvalidInput: `rgb` is no such array.
            ConfigError: the geometry does not fit this size.
        """
        plan, pixels = self._geometry(rgb)
        if pixels.dtype == np.uint8 and self._tables.dtype != np.float16:
            return Prepared(tensor=self._looked_up(pixels), plan=plan)
        return Prepared(tensor=self._computed(pixels), plan=plan)

    def pixels(self, rgb: NDArray[np.uint8]) -> Pixels:
        """Pixels after geometry and channel order, before the table.

        Args and errors as `prepare`.

        Returns:
            [H, W, C] in `channels` order, C-contiguous: uint8, or float32 for `tensorflow.*`.
        """
        _, pixels = self._geometry(rgb)
        return cast(Pixels, np.ascontiguousarray(self._ordered(pixels)))

    def _geometry(self, rgb: NDArray[np.uint8]) -> tuple[GeometryPlan, Pixels]:
        """Pixels in the picture's order: for bgr the channels are swapped when they are stored."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or rgb.size == 0:
            raise InvalidInput(
                "a picture is uint8 [height, width, 3] and not empty",
                found=f"{rgb.dtype} {list(rgb.shape)}",
            )
        plan = plan_geometry(self._spec, rgb.shape[0], rgb.shape[1])
        pixels = rgb if self._spec.gray is None else to_gray(rgb, self._spec.gray)
        reverse = self._spec.channels == "bgr"
        return plan, apply_steps(pixels, plan.steps, reverse_pad=reverse)

    def _ordered(self, pixels: Pixels) -> Pixels:
        return pixels[:, :, ::-1] if self._spec.channels == "bgr" else pixels

    def _looked_up(self, pixels: Pixels) -> Values:
        """One table look-up per channel, written straight into the tensor."""
        height, width, count = pixels.shape
        if self._binding.layout == "NHWC":
            ordered = cast(Pixels, np.ascontiguousarray(self._ordered(pixels)))
            table = self._tables.T.reshape(1, 256, count)
            return cast(Values, cv2.LUT(ordered, table).reshape(1, height, width, count))
        tensor = np.empty((1, count, height, width), dtype=self._tables.dtype)
        for channel, table in enumerate(self._tables):
            source = count - 1 - channel if self._spec.channels == "bgr" else channel
            plane = cv2.extractChannel(pixels, source)
            filled = cv2.LUT(plane, table, dst=tensor[0, channel])
            if not np.shares_memory(filled, tensor):
                tensor[0, channel] = filled
        return tensor

    def _computed(self, pixels: Pixels) -> Values:
        ordered = np.ascontiguousarray(self._ordered(pixels))
        if ordered.dtype == np.uint8:
            channels = np.arange(ordered.shape[2])
            values: Values = self._tables[channels[None, None, :], ordered]
        else:
            real = float_values(ordered.astype(np.float32, copy=False), self._spec, self._binding)
            values = stored(real, self._binding)
        batched = values[None]
        if self._binding.layout == "NCHW":
            batched = batched.transpose(0, 3, 1, 2)
        return cast(Values, np.ascontiguousarray(batched))


def apply_steps(pixels: Pixels, steps: tuple[GeometryStep, ...], *, reverse_pad: bool) -> Pixels:
    """Carry the steps of a plan out.

    Args:
        pixels: [H, W, C], the size the steps were planned for; uint8 where a resize follows.
        steps: crops, at most one resize, pads.
        reverse_pad: the pad value is in the opposite channel order of `pixels`.

    Returns:
        [H, W, C] of the last step's size, uint8 or float32.
    """
    current = pixels
    for step in steps:
        if isinstance(step, CropStep):
            rows = slice(step.top, step.top + step.height)
            current = current[rows, step.left : step.left + step.width]
        elif isinstance(step, PadStep):
            current = _padded(current, step, reverse=reverse_pad)
        else:
            whole = np.asarray(current, dtype=np.uint8)
            current = resize(whole, (step.height, step.width), step.filter)
    return current


def _padded(pixels: Pixels, step: PadStep, *, reverse: bool) -> Pixels:
    height, width, count = pixels.shape
    value = step.value[::-1] if reverse else step.value
    padded = cv2.copyMakeBorder(
        pixels,
        step.top,
        step.height - height - step.top,
        step.left,
        step.width - width - step.left,
        cv2.BORDER_CONSTANT,
        value=value,
    )
    return cast(Pixels, padded.reshape(step.height, step.width, count))


def _check_shape(spec: ImageInput, binding: InputBinding) -> None:
    height, width = spec.size
    count = spec.channel_count
    wanted = (count, height, width) if binding.layout == "NCHW" else (height, width, count)
    given = binding.shape[1:]
    same = len(given) == 3 and all(g in (w, -1) for g, w in zip(given, wanted, strict=True))
    if not same:
        raise ConfigError(
            f"input {binding.tensor!r} does not have the contract's size",
            found=f"shape {list(binding.shape)} ({binding.layout}), contract {list(wanted)}",
            next_step="correct size or channels in the contract, or layout in the binding",
        )
