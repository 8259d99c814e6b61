"""Camera frames (YUV 4:2:0, eight bits) as RGB pixels, in whole numbers.

BT.601, full range (JFIF), as Android's cameras give YUV_420_888 and Apple's
`kCVPixelFormatType_420YpCbCr8BiPlanarFullRange`. With ``d = U - 128``, ``e = V - 128`` and an
arithmetic shift (it rounds half up)::

    R = clamp(Y + ((91881 * e + 32768) >> 16))
    G = clamp(Y + ((-22553 * d - 46802 * e + 32768) >> 16))
    B = clamp(Y + ((116130 * d + 32768) >> 16))

The constants are ITU-R BT.601-7's luma weights Kr = .299, Kb = .114 (Kg = 1 - Kr - Kb) times 2^16,
rounded: ``2 (1 - Kr) = 1.402``, ``2 Kb (1 - Kb) / Kg = .344136``, ``2 Kr (1 - Kr) / Kg = .714136``,
``2 (1 - Kb) = 1.772``. Every intermediate fits 32 bits. Chroma is not interpolated: pixel (y, x)
has that of (y // 2, x // 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput

RED_V: Final = 91_881
GREEN_U: Final = 22_553
GREEN_V: Final = 46_802
BLUE_U: Final = 116_130
_SHIFT: Final = 16
_HALF: Final = 1 << (_SHIFT - 1)
_GREY: Final = 128
_LARGEST_SIDE: Final = 16_384


@dataclass(frozen=True, kw_only=True, slots=True)
class Plane:
    """One plane of a frame: row r, column c is `data[r * row_stride + c * pixel_stride]`.

    data: uint8, one axis. row_stride, pixel_stride: in bytes. Where two chroma planes are
    interleaved (NV12, NV21) both have pixel stride 2, and one begins a byte after the other.
    """

    data: NDArray[np.uint8]
    row_stride: int
    pixel_stride: int = 1


def yuv420_to_rgb(y: Plane, u: Plane, v: Plane, size: Size) -> NDArray[np.uint8]:
    """RGB pixels of one frame.

    Args:
        y: brightness, of `size`.
        u, v: blue and red difference, half as many rows and columns, rounded up.
        size: [height, width] of the frame; odd sides are allowed.

    Returns:
        uint8 [height, width, 3].

    Raises:
        InvalidInput: sides outside 1..16384, or a plane that its strides do not describe.
    """
    height, width = size
    if not (1 <= height <= _LARGEST_SIDE and 1 <= width <= _LARGEST_SIDE):
        raise InvalidInput(
            "a camera frame has sides of 1 to 16384 pixels", found=f"{height}x{width}"
        )
    half = ((height + 1) // 2, (width + 1) // 2)
    luma = _values("Y", y, size)
    blue = _doubled(_values("U", u, half) - _GREY, size)
    red = _doubled(_values("V", v, half) - _GREY, size)
    rgb = np.stack(
        [
            luma + _rounded(RED_V * red),
            luma + _rounded(-GREEN_U * blue - GREEN_V * red),
            luma + _rounded(BLUE_U * blue),
        ],
        axis=2,
    )
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _values(name: str, plane: Plane, size: Size) -> NDArray[np.int32]:
    """int32 [rows, columns]."""
    rows, columns = size
    data = plane.data
    needed = (rows - 1) * plane.row_stride + (columns - 1) * plane.pixel_stride + 1
    described = plane.pixel_stride >= 1 and (
        plane.row_stride > (columns - 1) * plane.pixel_stride or rows == 1
    )
    if data.dtype != np.uint8 or data.ndim != 1 or not described or data.size < needed:
        raise InvalidInput(
            f"the {name} plane of the frame is not what its strides say",
            found=f"{data.dtype} {list(data.shape)}, row stride {plane.row_stride}, pixel stride "
            f"{plane.pixel_stride} for {rows}x{columns} values",
            next_step="give the plane's bytes with the strides the camera named",
        )
    places = np.arange(rows)[:, None] * plane.row_stride + np.arange(columns) * plane.pixel_stride
    return data[places].astype(np.int32)


def _doubled(chroma: NDArray[np.int32], size: Size) -> NDArray[np.int32]:
    height, width = size
    doubled: NDArray[np.int32] = chroma[np.arange(height)[:, None] // 2, np.arange(width) // 2]
    return doubled


def _rounded(value: NDArray[np.int32]) -> NDArray[np.int32]:
    rounded: NDArray[np.int32] = (value + np.int32(_HALF)) >> np.int32(_SHIFT)
    return rounded
