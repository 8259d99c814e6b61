"""The image input of a TensorFlow model, from its declared shape and type."""

from __future__ import annotations

from dataclasses import dataclass

from phoneproof.core.binding import Layout
from phoneproof.core.capture import Finding, Hazard
from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec

_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTensor:
    """spec: the input, -1 where open. size: [height, width], None where a side is open."""

    spec: TensorSpec
    layout: Layout
    channels: int
    size: tuple[int, int] | None
    reason: str

    def finding(self) -> Finding:
        """The layout and why."""
        return Finding(key="input.layout", value=self.layout, reason=self.reason)

    def shape(self, size: tuple[int, int], batch: int) -> tuple[int, ...]:
        """The input's shape for one size and batch."""
        if self.layout == "NHWC":
            return (batch, *size, self.channels)
        return (batch, self.channels, *size)

    def hazards(self) -> tuple[Hazard, ...]:
        """Sides that the file leaves open; an open batch is usual and none."""
        if -1 not in self.spec.shape[1:]:
            return ()
        return (
            Hazard(
                name="dynamic_shapes",
                found=f"input {self.spec.name!r} {list(self.spec.shape)}: size open",
                next_step="phones want static shapes: the size of the contract is fixed in each "
                "artifact; give further ones in `sizes`",
            ),
        )


def image_tensor(
    file: str, name: str, shape: tuple[int, ...] | None, dtype: str, *, layout: Layout | None = None
) -> ImageTensor:
    """Judge an input: four axes, float32, one or three channels.

    Args:
        file: its name, for messages. shape: -1 where open, None where even the rank is.
        dtype: TensorFlow's name of it. layout: where the file states it.

    Raises:
        Unsupported: anything else, with what to export instead.
    """
    if dtype != "float32":
        raise Unsupported(
            f"the input of {file} is {dtype}, not float32",
            found=f"{name!r} {dtype}",
            next_step="export the model with a float32 image input: what turns bytes into floats "
            "belongs to the contract",
        )
    if shape is None or len(shape) != 4:
        raise Unsupported(
            f"the input of {file} is not an image of four axes",
            found=f"{name!r} {list(shape) if shape is not None else 'of an open rank'}",
            next_step="export the model with an input of [batch, height, width, channels]",
        )
    settled, reason = (layout, "its layers say so") if layout else _layout(shape)
    sides, channels = (shape[1:3], shape[3]) if settled == "NHWC" else (shape[2:], shape[1])
    if channels not in _CHANNELS:
        raise Unsupported(
            f"the input of {file} is not a grey or colour image",
            found=f"{channels} channels in {list(shape)} ({settled})",
            next_step="models of one or three channels are handled",
        )
    return ImageTensor(
        spec=TensorSpec(name=name, shape=shape, dtype="float32"),
        layout=settled,
        channels=channels,
        size=None if -1 in sides else (sides[0], sides[1]),
        reason=reason,
    )


def _layout(shape: tuple[int, ...]) -> tuple[Layout, str]:
    if shape[1] in _CHANNELS and shape[3] not in _CHANNELS:
        return "NCHW", f"{list(shape)}: the channels are the second axis"
    return "NHWC", "TensorFlow's own layout; the shape does not say otherwise"
