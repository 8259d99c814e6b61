"""Operations over axes, tensors made from sizes, suppression of boxes."""

from __future__ import annotations

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
    "shape": shape,
    "topk": topk,
}
