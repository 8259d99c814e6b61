"""``[targets.ios]``: what is Apple's own of a target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from phoneproof.core.apple import AppleForm
from phoneproof.core.binding import Format
from phoneproof.pipeline.config_faults import Fault
from phoneproof.pipeline.config_types import PrecisionRequest, TargetConfig, TargetName

_APPLES_OWN: Final = ("input", "minimum_ios")
_FIRST_IOS: Final[dict[PrecisionRequest, int]] = {
    "weight_only_wi8": 16,
    "palette6": 16,
    "palette4": 16,
    "sparse": 16,
    "static_wi8_ai8": 17,
    "int8": 17,
    "weight_only_wi4": 18,
}
"""The first system that reads a precision's files (docs/reference/apple-precisions.md)."""


def apple_form(target: TargetConfig, format_: Format) -> AppleForm:
    """How a file of a target is written; the plain form for formats that have no such choice."""
    if format_ != "coreml":
        return AppleForm()
    plain = AppleForm(input="image")
    return AppleForm(
        input=target.input or plain.input,
        minimum_ios=target.minimum_ios or plain.minimum_ios,
    )


def apple_faults(
    name: TargetName, target: TargetConfig, formats: tuple[Format, ...]
) -> Iterator[Fault]:
    """Settings that only Core ML files have, asked of others, or against each other."""
    place = f"targets.{name}"
    for field in _APPLES_OWN:
        if getattr(target, field) is not None and "coreml" not in formats:
            yield Fault(place=f"{place}.{field}", what="only Core ML files (targets.ios) have it")
    if target.nms and "coreml" not in formats:
        yield Fault(place=f"{place}.nms", what="only Core ML files (targets.ios) have it")
    if target.nms and target.prune is not None:
        what = "pruned files are not made into pipelines; leave one of the two out"
        yield Fault(place=f"{place}.nms", what=what)
    if "coreml" in formats and target.layout == "NHWC" and target.input != "tensor":
        what = 'a Core ML image is NCHW; leave the layout out, or set input = "tensor"'
        yield Fault(place=f"{place}.layout", what=what)
    if "coreml" in formats:
        for precision in target.precisions or ():
            needed = _FIRST_IOS.get(precision, 0)
            if needed > apple_form(target, "coreml").minimum_ios:
                what = f"{precision} needs minimum_ios = {needed}"
                yield Fault(place=f"{place}.precisions", what=what)
    if name == "ios" and target.route == "classic":
        what = "the classic route ends in TFLite; leave it out"
        yield Fault(place=f"{place}.route", what=what)
