"""The vectors can tell a wrong implementation: each usual mistake changes an answer of its area."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import get_args

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import GridAnchors, OutputBinding
from phoneproof.core.contract import Decode, Filter, GeometryOp, ImageInput, Nms, Pad, Resize, Size
from phoneproof.decode.results import Float, Index
from phoneproof.pixels import geometry, inverse
from phoneproof.pixels.geometry import GeometryPlan, PadStep
from tests.golden.test_mobile_vectors import cases, near
from tests.vectors.reading import AnyCase, answer, given
from tests.vectors.types import (
    AlphaCase,
    DecodeCase,
    GeometryCase,
    GrayCase,
    ImageCase,
    InverseCase,
    OrientationCase,
    ResizeCase,
    TableCase,
    TensorCase,
    YuvCase,
)

change = msgspec.structs.replace
Mutation = Callable[[AnyCase], AnyCase]
_OTHER_LIBRARY: dict[Filter, Filter] = {
    "pillow.bilinear": "opencv.linear",
    "opencv.linear": "pillow.bilinear",
    "pillow.bicubic": "opencv.cubic",
    "opencv.cubic": "pillow.bicubic",
    "opencv.area": "pillow.box",
    "tensorflow.bilinear_half_pixel": "tensorflow.bilinear_legacy",
}


@cache
def small(area: str) -> tuple[AnyCase, ...]:
    return tuple(case for case in cases(area) if "large" not in case.flags)


def caught(area: str, mutation: Mutation = lambda case: case) -> bool:
    """Whether a case of the area has another answer; refusing it does not count as one."""
    for case in small(area):
        found = answer(mutation(case))
        if found is not None and not near(found, given(case)):
            return True
    return False


def of_input(edit: Callable[[ImageInput], ImageInput]) -> Mutation:
    """The mistake in every case that has an image input."""

    def mutated(case: AnyCase) -> AnyCase:
        if isinstance(case, TensorCase | TableCase | GeometryCase | InverseCase):
            return change(case, input=edit(case.input))
        if isinstance(case, ImageCase):
            contract = change(case.contract, inputs=(edit(case.contract.image),))
            return change(case, contract=contract)
        return case

    return mutated


def of_resize(edit: Callable[[Resize], Resize]) -> Mutation:
    def op(step: GeometryOp) -> GeometryOp:
        return edit(step) if isinstance(step, Resize) else step

    return of_input(lambda image: change(image, geometry=tuple(map(op, image.geometry))))


def swapped_channels(image: ImageInput) -> ImageInput:
    other = {"rgb": "bgr", "bgr": "rgb", "gray": "gray"}[image.channels]
    return change(image, channels=other)


bgr = of_input(swapped_channels)
by_256 = of_input(lambda image: change(image, scale=image.scale * 255 / 256))
other_filter = of_resize(lambda op: change(op, filter=_OTHER_LIBRARY.get(op.filter, op.filter)))
cut_off = of_resize(lambda op: change(op, round="floor"))


def not_turned(case: AnyCase) -> AnyCase:
    assert isinstance(case, OrientationCase | ImageCase)
    return change(case, exif=1)


def turned_back(case: AnyCase) -> AnyCase:
    assert isinstance(case, OrientationCase | ImageCase)
    return change(case, exif={6: 8, 8: 6}.get(case.exif, case.exif))


def next_gray(case: AnyCase) -> AnyCase:
    assert isinstance(case, GrayCase)
    following = {"pillow": "opencv", "opencv": "tensorflow", "tensorflow": "pillow"}
    return change(case, formula=following[case.formula])


def dropped_alpha(case: AnyCase) -> AnyCase:
    assert isinstance(case, AlphaCase)
    return change(case, background="drop")


def swapped_chroma(case: AnyCase) -> AnyCase:
    assert isinstance(case, YuvCase)
    other = "vu" if case.chroma.order == "uv" else "uv"
    return change(case, chroma=change(case.chroma, order=other))


def row_padding_forgotten(case: AnyCase) -> AnyCase:
    assert isinstance(case, YuvCase)
    return change(case, y=change(case.y, row_stride=case.width))


@pytest.mark.parametrize(
    ("area", "mutation"),
    [
        ("tensor", bgr),
        ("images", bgr),
        ("tables", by_256),
        ("tensor", by_256),
        ("images", by_256),
        ("tensor", other_filter),
        ("images", other_filter),
        ("geometry", cut_off),
        ("tensor", cut_off),
        ("orientation", not_turned),
        ("orientation", turned_back),
        ("images", not_turned),
        ("gray", next_gray),
        ("alpha", dropped_alpha),
        ("yuv", swapped_chroma),
        ("yuv", row_padding_forgotten),
    ],
)
def test_a_mistake_before_the_model_is_caught(area: str, mutation: Mutation) -> None:
    assert caught(area, mutation)


@pytest.mark.parametrize("area", ["resize", "gray", "orientation", "yuv", "images", "decode"])
def test_without_a_mistake_nothing_is_caught(area: str) -> None:
    assert not caught(area)


@pytest.mark.parametrize("area", ["geometry", "tensor", "inverse", "images"])
def test_a_letterbox_off_by_one_is_caught(area: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The spare pixel before the picture."""
    right = geometry._pad

    def wrong(op: Pad, number: int, size: Size) -> PadStep:
        step = right(op, number, size)
        spare = (step.height - size[0]) % 2 if op.anchor == "center" else 0
        return PadStep(
            top=step.top + spare,
            left=step.left,
            height=step.height,
            width=step.width,
            value=step.value,
        )

    monkeypatch.setattr(geometry, "_pad", wrong)
    assert caught(area)


@pytest.mark.parametrize("area", ["inverse", "decode", "images"])
def test_gains_of_rounded_sides_are_caught(area: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dividing by new side / old side instead of the letterbox's one ratio."""

    def wrong(plan: GeometryPlan) -> Float:
        resize = plan.resize
        assert resize is not None
        gain_y, gain_x = resize.height / plan.original[0], resize.width / plan.original[1]
        return np.array([gain_x, gain_y, gain_x, gain_y])

    monkeypatch.setattr(inverse, "_gains", wrong)
    assert caught(area)


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(get_args(Filter), 2)))
def test_a_filter_is_told_from_every_other(one: Filter, other: Filter) -> None:
    mistaken = [case for case in small("resize") if isinstance(case, ResizeCase)]
    assert any(
        answer(change(case, filter=other)) != case.expected
        for case in mistaken
        if case.filter == one
    )


def of_policy(edit: Callable[[Decode], Decode]) -> Mutation:
    def mutated(case: AnyCase) -> AnyCase:
        assert isinstance(case, DecodeCase)
        if case.contract.decode is None:
            return case
        return change(case, contract=change(case.contract, decode=edit(case.contract.decode)))

    return mutated


def of_nms(edit: Callable[[Nms], Nms]) -> Mutation:
    return of_policy(
        lambda policy: policy if policy.nms is None else change(policy, nms=edit(policy.nms))
    )


def of_outputs(edit: Callable[[OutputBinding], OutputBinding]) -> Mutation:
    def mutated(case: AnyCase) -> AnyCase:
        assert isinstance(case, DecodeCase)
        outputs = tuple(map(edit, case.binding.outputs))
        return change(case, binding=change(case.binding, outputs=outputs))

    return mutated


def below(value: float) -> float:
    return float(np.nextafter(np.float32(value), np.float32(0)))


def as_xyxy(output: OutputBinding) -> OutputBinding:
    if output.box is None or output.box.format != "yxyx":
        return output
    return change(output, box=change(output.box, format="xyxy"))


def without_variances(output: OutputBinding) -> OutputBinding:
    return output if output.box is None else change(output, box=change(output.box, variances=None))


def other_order(output: OutputBinding) -> OutputBinding:
    return output if output.box is None else change(output, box=change(output.box, order="xy"))


def without_override(case: AnyCase) -> AnyCase:
    assert isinstance(case, DecodeCase)
    return change(case, binding=change(case.binding, decode_override=None))


def suppressed_again(case: AnyCase) -> AnyCase:
    assert isinstance(case, DecodeCase)
    return change(case, binding=change(case.binding, nms_in_file=False))


def nulls_found(case: AnyCase) -> AnyCase:
    assert isinstance(case, DecodeCase)
    labels = tuple(label or "background" for label in case.contract.labels)
    return change(case, contract=change(case.contract, labels=labels))


def first_image(case: AnyCase) -> AnyCase:
    assert isinstance(case, DecodeCase)
    return change(case, index=0)


def cell_corners(case: AnyCase) -> AnyCase:
    assert isinstance(case, DecodeCase)
    anchors = case.binding.anchors
    if not isinstance(anchors, GridAnchors):
        return case
    return change(case, binding=change(case.binding, anchors=change(anchors, offset=0.0)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Mistake:
    name: str
    mutation: Mutation


MISTAKES = (
    _Mistake(
        name=">= threshold", mutation=of_policy(lambda p: change(p, confidence=below(p.confidence)))
    ),
    _Mistake(name="IoU >= limit", mutation=of_nms(lambda n: change(n, iou=below(n.iou)))),
    _Mistake(
        name="other classes suppress",
        mutation=of_nms(lambda n: change(n, class_agnostic=True)),
    ),
    _Mistake(
        name="only the own class suppresses",
        mutation=of_nms(lambda n: change(n, class_agnostic=False)),
    ),
    _Mistake(name="no pre_top_k", mutation=of_nms(lambda n: change(n, pre_top_k=30_000))),
    _Mistake(name="no max_detections", mutation=of_nms(lambda n: change(n, max_detections=10_000))),
    _Mistake(name="one label", mutation=of_policy(lambda p: change(p, multi_label=False))),
    _Mistake(name="every label", mutation=of_policy(lambda p: change(p, multi_label=True))),
    _Mistake(name="no activation", mutation=of_outputs(lambda o: change(o, activation="none"))),
    _Mistake(name="no zero point", mutation=of_outputs(lambda o: change(o, quant=None))),
    _Mistake(name="no class offset", mutation=of_outputs(lambda o: change(o, class_offset=0))),
    _Mistake(name="x and y swapped", mutation=of_outputs(as_xyxy)),
    _Mistake(name="no variances", mutation=of_outputs(without_variances)),
    _Mistake(name="order forgotten", mutation=of_outputs(other_order)),
    _Mistake(name="override forgotten", mutation=without_override),
    _Mistake(name="NMS twice", mutation=suppressed_again),
    _Mistake(name="background found", mutation=nulls_found),
    _Mistake(name="first image of the batch", mutation=first_image),
    _Mistake(name="corners of cells", mutation=cell_corners),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_after_the_model_is_caught(mistake: _Mistake) -> None:
    assert caught("decode", mistake.mutation)


def test_ties_in_another_order_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of equals first, as a sort that is not stable may have it."""

    def wrong(scores: Float, limit: int) -> Index:
        order: Index = np.lexsort((-np.arange(len(scores)), -scores))[:limit]
        return order

    monkeypatch.setattr("phoneproof.decode.nms.best_first", wrong)
    assert caught("decode")
