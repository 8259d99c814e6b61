"""Resizes, and pictures sampled at places."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch.nn import functional

from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Array, Case, Draw, tensor


def _positions(have: int, want: int, mode: str) -> Array:
    """One formula a mode, as the definition of resize_bilinear has them."""
    i = np.arange(want)
    if mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        if want == 1:
            return np.array([(have - 1) / 2 if mode == "ALIGN_CORNERS" else 0.0])
        return i * (have - 1) / (want - 1)
    if mode == "DEFAULT":
        return i * (have - have / want) / (want - 1) if want > 1 else np.zeros(1)
    if mode == "OFFSET_CORNERS":
        delta = max(1, have - 1) / want
        return 0.5 * delta + (i * ((want - 1) * delta) / (want - 1) if want > 1 else i)
    spacing = have / want
    return i * spacing + 0.5 * spacing - 0.5


def _linear(x: Array, sides: tuple[int, int], mode: str) -> torch.Tensor:
    result = x.astype(np.float64)
    for axis, want in ((-2, sides[0]), (-1, sides[1])):
        have = x.shape[axis]
        places = np.clip(_positions(have, want, mode), 0, have - 1)
        result = np.apply_along_axis(_interpolated, axis, result, places)
    return tensor(result.astype(np.float32))


def _interpolated(row: Array, places: Array) -> Array:
    return np.interp(places, np.arange(len(row)), row)


_SAMPLING = (
    "STRICT_ALIGN_CORNERS",
    "ALIGN_CORNERS",
    "DEFAULT",
    "OFFSET_CORNERS",
    "UNALIGN_CORNERS",
)


def _picture(draw: Draw) -> Array:
    return draw.array((1, draw.integer(1, 2), draw.integer(2, 6), draw.integer(2, 6)))


def _sides(draw: Draw) -> tuple[int, int]:
    return draw.integer(1, 11), draw.integer(1, 11)


def resize_bilinear(draw: Draw) -> Case:
    x, (height, width), mode = _picture(draw), _sides(draw), draw.choice(_SAMPLING)
    return Case(
        body=lambda mb, x: mb.resize_bilinear(
            x=x,
            target_size_height=height,
            target_size_width=width,
            sampling_mode=mode,
            name="out",
        ),
        feeds=[x],
        expected=[_linear(x, (height, width), mode)],
    )


def upsample_bilinear(draw: Draw) -> Case:
    x, factors = _picture(draw), (draw.choice([1.0, 2.0, 2.5]), draw.choice([1.0, 3.0, 1.5]))
    sides = (math.floor(x.shape[2] * factors[0]), math.floor(x.shape[3] * factors[1]))
    corners, halves = draw.choice([(True, False), (False, True), (False, False)])
    mode = "STRICT_ALIGN_CORNERS" if corners else "UNALIGN_CORNERS" if halves else "DEFAULT"
    return Case(
        body=lambda mb, x: mb.upsample_bilinear(
            x=x,
            scale_factor_height=factors[0],
            scale_factor_width=factors[1],
            align_corners=corners,
            half_pixel_centers=halves,
            name="out",
        ),
        feeds=[x],
        expected=[_linear(x, sides, mode)],
    )


def _nearest(x: Array, sides: tuple[int, int], shift: float = 0.0) -> torch.Tensor:
    rows = np.floor((np.arange(sides[0]) + shift) * x.shape[2] / sides[0]).astype(int)
    columns = np.floor((np.arange(sides[1]) + shift) * x.shape[3] / sides[1]).astype(int)
    return tensor(x[:, :, rows][:, :, :, columns])


def upsample_nearest_neighbor(draw: Draw) -> Case:
    x, factors = _picture(draw), (draw.choice([1, 2, 3]), draw.choice([1, 2, 4]))
    expected = functional.interpolate(tensor(x), scale_factor=factors, mode="nearest")
    return Case(
        body=lambda mb, x: mb.upsample_nearest_neighbor(
            x=x, scale_factor_height=factors[0], scale_factor_width=factors[1], name="out"
        ),
        feeds=[x],
        expected=[expected],
    )


def resize_nearest_neighbor(draw: Draw) -> Case:
    x, (height, width) = _picture(draw), _sides(draw)
    return Case(
        body=lambda mb, x: mb.resize_nearest_neighbor(
            x=x, target_size_height=height, target_size_width=width, name="out"
        ),
        feeds=[x],
        expected=[_nearest(x, (height, width))],
    )


def resize(draw: Draw) -> Case:
    x, sides, nearest = _picture(draw), _sides(draw), draw.flag()
    mode = draw.choice(("DEFAULT", "UNALIGN_CORNERS") if nearest else _SAMPLING)
    shape = np.array([1, 1, *(0 if draw.integer(0, 5) == 0 else side for side in sides)], np.int32)
    want = int(shape[2]) or x.shape[2], int(shape[3]) or x.shape[3]
    shift = 0.5 if mode == "UNALIGN_CORNERS" else 0.0
    return Case(
        body=lambda mb, x: mb.resize(
            x=x,
            shape=shape,
            resized_dims=np.uint32(2),
            interpolation_mode="NEAREST_NEIGHBOR" if nearest else "LINEAR",
            sampling_mode=mode,
            name="out",
        ),
        feeds=[x],
        expected=[_nearest(x, want, shift) if nearest else _linear(x, want, mode)],
    )


def resample(draw: Draw) -> Case:
    x, (height, width) = _picture(draw), _sides(draw)
    aligned = draw.flag()
    borders = draw.choice(["constant", "border", "reflection" if aligned else "symmetric"])
    mode = draw.choice(["normalized_minus_one_to_one", "normalized_zero_to_one"])
    if draw.flag() and borders != "reflection" and not aligned:
        mode = "unnormalized"
    places = draw.array((1, height, width, 2), -1.4, 1.4)
    fed, value = places, draw.choice([0.0, 1.5]) if borders == "constant" else 0.0
    if mode == "normalized_zero_to_one":
        fed = (places + 1) / 2
    if mode == "unnormalized":  # the centre of pixel i is (2 i + 1) / side - 1
        fed = ((places + 1) * np.array([x.shape[3], x.shape[2]]) - 1) / 2
    expected = functional.grid_sample(
        tensor(x) - value,
        tensor(places),
        mode="bilinear",
        padding_mode={"constant": "zeros", "border": "border"}.get(borders, "reflection"),
        align_corners=aligned,
    )
    return Case(
        body=lambda mb, x, y: mb.resample(
            x=x,
            coordinates=y,
            sampling_mode="bilinear",
            padding_mode=borders,
            padding_value=value,
            coordinates_mode=mode,
            align_corners=aligned,
            name="out",
        ),
        feeds=[x, fed.astype(np.float32)],
        expected=[expected + value],
        tolerance=1e-4,  # the places of one are the other's, after one more rounding
    )


def affine(draw: Draw) -> Case:
    x, height, width = _picture(draw), draw.integer(2, 9), draw.integer(2, 9)
    matrix = draw.array((1, 6), -1.2, 1.2)
    grid = functional.affine_grid(
        tensor(matrix).reshape(1, 2, 3), [1, x.shape[1], height, width], align_corners=True
    )
    return Case(
        body=lambda mb, x, y: mb.affine(
            x=x,
            transform_matrix=y,
            output_height=height,
            output_width=width,
            sampling_mode="bilinear",
            padding_mode="constant",
            padding_value=0.0,
            coordinates_mode="normalized_minus_one_to_one",
            align_corners=True,
            name="out",
        ),
        feeds=[x, matrix],
        expected=[functional.grid_sample(tensor(x), grid, align_corners=True)],
    )


RESIZE_CASES: Mapping[str, MakeCase] = {
    "affine": affine,
    "resample": resample,
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
