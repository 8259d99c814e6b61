"""Operations over axes, resizes, tensors made from sizes, suppression of boxes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from phoneproof.core.contract import Nms
from phoneproof.decode.nms import nms
from tests.integration.mil_number_cases import MakeCase
from tests.integration.mil_programs import Array, Case, Draw, tensor


def _reduction(op: str, function: Callable[..., Any], low: float = -2.0) -> MakeCase:
    """`function` is NumPy's, with axis and keepdims."""

    def make(draw: Draw) -> Case:
        x, keep = draw.array(draw.shape(2, 4), low, 2.0), draw.flag()
        axes = draw.axes(x.ndim) if draw.flag() else None
        given = {} if axes is None else {"axes": axes}
        wide = np.asarray(function(x.astype(np.float64), axis=axes, keepdims=keep))
        if not wide.ndim:  # Core ML has no outputs without axes
            wide, keep = wide.reshape((1,) * x.ndim), True
        return Case(
            body=lambda mb, x: getattr(mb, op)(x=x, keep_dims=keep, name="out", **given),
            feeds=[x],
            expected=[tensor(wide.astype(np.float32))],
        )

    return make


def _l2(x: Array, **given: Any) -> Array:
    return np.asarray(np.sqrt(np.sum(x * x, **given)))


def _argument(op: str, function: Callable[..., torch.Tensor]) -> MakeCase:
    def make(draw: Draw) -> Case:
        x, keep = draw.array(draw.shape(2, 4)), draw.flag()
        axis = draw.axes(x.ndim)[0]
        return Case(
            body=lambda mb, x: getattr(mb, op)(x=x, axis=axis, keep_dims=keep, name="out"),
            feeds=[x],
            expected=[function(tensor(x), dim=axis, keepdim=keep).int()],
        )

    return make


def cumsum(draw: Draw) -> Case:
    x, back, without = draw.array(draw.shape(1, 3)), draw.flag(), draw.flag()
    axis = draw.integer(0, x.ndim - 1)
    turned = np.flip(x, axis) if back else x
    sums = np.cumsum(turned.astype(np.float64), axis) - (turned if without else 0)
    expected = np.flip(sums, axis) if back else sums
    return Case(
        body=lambda mb, x: mb.cumsum(x=x, axis=axis, reverse=back, exclusive=without, name="out"),
        feeds=[x],
        expected=[tensor(expected.astype(np.float32))],
    )


def argsort(draw: Draw) -> Case:
    x, up = draw.array(draw.shape(1, 3)), draw.flag()
    axis = draw.axes(x.ndim)[0]
    expected = np.argsort(x if up else -x, axis=axis).astype(np.int32)
    return Case(
        body=lambda mb, x: mb.argsort(x=x, axis=axis, ascending=up, name="out"),
        feeds=[x],
        expected=[tensor(expected)],
    )


def topk(draw: Draw) -> Case:
    x, up = draw.array(draw.shape(1, 3)), draw.flag()
    axis = draw.axes(x.ndim)[0]
    k = draw.integer(1, x.shape[axis])
    values, places = torch.topk(tensor(x), k, dim=axis, largest=not up)
    return Case(
        body=lambda mb, x: mb.topk(x=x, k=k, axis=axis, ascending=up, name="out"),
        feeds=[x],
        expected=[values, places.int()],
    )


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


def fill(draw: Draw) -> Case:
    x, value = draw.array(draw.shape(1, 3)), draw.choice([0.0, 1.5, -2.0])
    return Case(
        body=lambda mb, x: mb.add(x=x, y=mb.fill(shape=mb.shape(x=x), value=value), name="out"),
        feeds=[x],
        expected=[tensor(x) + value],
    )


def fill_like(draw: Draw) -> Case:
    x, value = draw.array(draw.shape(1, 3)), draw.choice([0.0, 1.5, -2.0])
    return Case(
        body=lambda mb, x: mb.add(x=x, y=mb.fill_like(ref_tensor=x, value=value), name="out"),
        feeds=[x],
        expected=[tensor(x) + value],
    )


def range_1d(draw: Draw) -> Case:
    count, step, start = draw.integer(1, 6), draw.choice([1, 2, -1]), draw.integer(-3, 3)
    x = draw.array((count,))
    end = start + count * step

    def body(mb: Any, x: Any) -> Any:
        # The shape hides the end from the builder, which would fold the range.
        shift = mb.sub(x=mb.reduce_prod(x=mb.shape(x=x)), y=np.int32(count))
        stop = mb.add(x=shift, y=np.int32(end))
        row = mb.range_1d(start=np.int32(start), end=stop, step=np.int32(step))
        return mb.add(x=x, y=mb.cast(x=row, dtype="fp32"), name="out")

    return Case(body=body, feeds=[x], expected=[tensor(x) + torch.arange(start, end, step)])


def shape(draw: Draw) -> Case:
    x = draw.array(draw.shape(1, 4))

    def body(mb: Any, x: Any) -> Any:
        return mb.mul(x=x, y=mb.cast(x=mb.reduce_prod(x=mb.shape(x=x)), dtype="fp32"), name="out")

    return Case(body=body, feeds=[x], expected=[tensor(x) * x.size])


def one_hot(draw: Draw) -> Case:
    size = draw.integer(2, 6)
    indices = draw.whole(draw.shape(1, 2), 0, size - 1)
    axis = draw.integer(-indices.ndim - 1, indices.ndim)
    rows = torch.where(functional.one_hot(tensor(indices).long(), size) > 0, 2.5, -1.0)
    return Case(
        body=lambda mb, x: mb.one_hot(
            indices=x,
            one_hot_vector_size=size,
            axis=axis,
            on_value=2.5,
            off_value=-1.0,
            name="out",
        ),
        feeds=[indices],
        expected=[rows.movedim(-1, axis)],
    )


def suppression(draw: Draw) -> Case:
    count, most, classes = draw.integer(3, 9), draw.integer(2, 9), draw.integer(1, 3)
    most = min(most, count)
    boxes = draw.array((1, 4, count), 0.2, 2.0)
    scores = draw.array((1, classes, count), 0.0, 1.0)
    best, labels = scores[0].max(0), scores[0].argmax(0)
    low, high = boxes[0, :2] - boxes[0, 2:] / 2, boxes[0, :2] + boxes[0, 2:] / 2
    corners = np.concatenate([low, high]).T.astype(np.float32)
    apart = draw.flag()
    settings = Nms(iou=0.4, max_detections=most, class_agnostic=not apart, pre_top_k=count)
    kept = nms(corners, best, labels.astype(np.int64), settings)
    picked = np.zeros((1, 4, most), np.float32), np.zeros((1, classes, most), np.float32)
    places = np.full((1, most), -1, np.int32)
    picked[0][0, :, : len(kept)] = boxes[0][:, kept]
    picked[1][0, :, : len(kept)] = scores[0][:, kept]
    places[0, : len(kept)] = kept
    return Case(
        body=lambda mb, x, y: mb.non_maximum_suppression(
            boxes=x,
            scores=y,
            iou_threshold=0.4,
            max_boxes=most,
            per_class_suppression=apart,
            name="out",
        ),
        feeds=[boxes, scores],
        expected=[tensor(picked[0]), tensor(picked[1]), tensor(places)],
    )


AXIS_CASES: Mapping[str, MakeCase] = {
    "affine": affine,
    "argsort": argsort,
    "cumsum": cumsum,
    "fill": fill,
    "fill_like": fill_like,
    "non_maximum_suppression": suppression,
    "one_hot": one_hot,
    "range_1d": range_1d,
    "reduce_argmax": _argument("reduce_argmax", torch.argmax),
    "reduce_argmin": _argument("reduce_argmin", torch.argmin),
    "reduce_l1_norm": _reduction("reduce_l1_norm", lambda x, **given: np.sum(np.abs(x), **given)),
    "reduce_l2_norm": _reduction("reduce_l2_norm", _l2),
    "reduce_log_sum": _reduction(
        "reduce_log_sum", lambda x, **given: np.log(np.sum(x, **given)), low=0.1
    ),
    "reduce_log_sum_exp": _reduction(
        "reduce_log_sum_exp", lambda x, **given: np.log(np.sum(np.exp(x), **given))
    ),
    "reduce_max": _reduction("reduce_max", np.max),
    "reduce_mean": _reduction("reduce_mean", np.mean),
    "reduce_min": _reduction("reduce_min", np.min),
    "reduce_prod": _reduction("reduce_prod", np.prod, low=0.5),
    "reduce_sum": _reduction("reduce_sum", np.sum),
    "reduce_sum_square": _reduction("reduce_sum_square", lambda x, **given: np.sum(x * x, **given)),
    "resample": resample,
    "resize": resize,
    "resize_bilinear": resize_bilinear,
    "resize_nearest_neighbor": resize_nearest_neighbor,
    "shape": shape,
    "topk": topk,
    "upsample_bilinear": upsample_bilinear,
    "upsample_nearest_neighbor": upsample_nearest_neighbor,
}
