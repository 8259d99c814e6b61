"""From measured numbers to `Check`: verdict, worst images and what to do next, in one place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from phoneproof.core.check import Check, CheckName, DatasetRef, Verdict, Worst, worst_verdict
from phoneproof.verify.statistics import Estimate, margin_verdict

WORST_IMAGES: Final = 8
"""How many of the worst images a check names."""

HINTS: Final[dict[CheckName, str]] = {
    "hub_equivalence": "the captured program is not the source model: try another importer",
    "max_abs": "an output moved further than rounding explains: locate the first diverging layer",
    "snr_db": "noise over the whole output: look at the layers' value ranges",
    "class_map_agreement": "more positions changed their class than ties between two classes "
    "explain: check input normalisation, channel order and the order of the classes",
    "top1_agreement": "check channel order, normalisation, resize filter and the label order",
    "box_agreement": "check output order, box format, NMS limits and the geometry",
    "top1_drop": "calibrate on more typical images, or keep the first and last layers in float",
    "map50_95_drop": "keep the box decode in float, or split boxes and scores into two outputs",
    "small_recall_drop": "small boxes suffer first from a coarse scale: keep the box head in float",
    "score_shift": "scores moved together, so the app's threshold now cuts elsewhere: "
    "keep the score head in float, or calibrate without clipping peaks",
    "lost_share": "clear detections fell below the app's threshold: see score_shift",
    "label_order": "every label is one place off: check [contract] labels, above all whether "
    "index 0 is background, and the data set's own class order",
    "contract_search": "another contract explains the labels better: see what it changes, write it "
    'into [contract], or set [checks] contract_search = "show"',
    "size_ratio": "the file is larger than allowed: ask for a smaller precision",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What all checks of one measurement share."""

    dataset: DatasetRef
    runtime: str
    device: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageValue:
    """One image's part in a check."""

    name: str
    sha256: str
    value: float
    note: str = ""


def worst_images(values: Iterable[ImageValue], *, lowest: bool = False) -> tuple[Worst, ...]:
    """The images with the highest (or lowest) values, worst first, equal ones by name."""
    sign = 1.0 if lowest else -1.0
    known = [value for value in values if not math.isnan(value.value)]
    known.sort(key=lambda v: (sign * v.value, v.name))
    return tuple(
        Worst(image=v.name, sha256=v.sha256, value=max(min(v.value, 1e300), -1e300), note=v.note)
        for v in known[:WORST_IMAGES]
    )


def bounded_check(
    setting: Setting,
    name: CheckName,
    value: float,
    limit: float | None,
    *,
    n: int,
    direction: Literal["max", "min"] = "max",
    unit: str = "",
    ties: int = 0,
    slice_: str = "",
    method: str = "",
    hint: str = "",
    worst: tuple[Worst, ...] = (),
) -> Check:
    """Every image within a tolerance. Without a limit it is shown and does not gate.

    A value that is not finite fails; nothing to look at (n = 0) is undecided, never a pass.
    """
    verdict = _bounded_verdict(value, limit, n, direction)
    return Check(
        name=name,
        kind="bounded",
        value=value if math.isfinite(value) else None,
        unit=unit,
        limit=limit,
        direction=direction,
        gating=limit is not None,
        n=n,
        ties=ties,
        dataset=setting.dataset,
        runtime=setting.runtime,
        device=setting.device,
        slice=slice_,
        method=method,
        verdict=verdict,
        worst=worst,
        hint=hint or _hint(name, verdict),
    )


def _bounded_verdict(
    value: float, limit: float | None, n: int, direction: Literal["max", "min"]
) -> Verdict:
    if limit is None:
        return "pass"
    if n == 0:
        return "undecided"
    within = value <= limit if direction == "max" else value >= limit
    return "pass" if within and not math.isinf(value) else "fail"


def margin_check(
    setting: Setting,
    name: CheckName,
    estimate: Estimate,
    margin: float | None,
    *,
    n: int,
    units_per_image: float = 1.0,
    two_sided: bool = False,
    unit: str = "",
    ties: int = 0,
    slice_: str = "",
    method: str = "",
    hint: str = "",
    worst: tuple[Worst, ...] = (),
) -> Check:
    """A loss against the loss a user accepts.

    Args:
        n: the units the estimate counts (images, detections).
        units_per_image: units an image holds on average, to say `n_needed` in images.
        two_sided: the magnitude counts, a gain as much as a loss.
    """
    verdict = _margin_verdict(estimate, margin, n, two_sided)
    bounds = (estimate.lower, estimate.upper)
    return Check(
        name=name,
        kind="margin",
        value=estimate.value if math.isfinite(estimate.value) else None,
        unit=unit,
        limit=margin,
        gating=margin is not None,
        n=n,
        ties=ties,
        bounds=bounds if all(map(math.isfinite, bounds)) else None,
        n_needed=_images_needed(estimate, margin, units_per_image, two_sided)
        if verdict == "undecided"
        else None,
        dataset=setting.dataset,
        runtime=setting.runtime,
        device=setting.device,
        slice=slice_,
        method=method,
        verdict=verdict,
        worst=worst,
        hint=hint or _hint(name, verdict),
    )


def _margin_verdict(estimate: Estimate, margin: float | None, n: int, two_sided: bool) -> Verdict:
    if margin is None:
        return "pass"
    if n == 0:
        return "undecided"
    verdict = margin_verdict(estimate.value, estimate.lower, estimate.upper, margin)
    if not two_sided:
        return verdict
    gain = margin_verdict(-estimate.value, -estimate.upper, -estimate.lower, margin)
    return worst_verdict((verdict, gain))


def _images_needed(
    estimate: Estimate, margin: float | None, units_per_image: float, two_sided: bool
) -> int | None:
    if margin is None or units_per_image <= 0:
        return None
    units = estimate.needed(-margin if two_sided and estimate.value < 0 else margin)
    return None if units is None else max(1, math.ceil(units / units_per_image))


def shown_check(
    setting: Setting, name: CheckName, value: float, *, n: int, unit: str = "", method: str = ""
) -> Check:
    """A figure against the labels: shown beside the others, never gating."""
    return Check(
        name=name,
        kind="margin",
        value=value if math.isfinite(value) else None,
        unit=unit,
        direction="min",
        gating=False,
        n=n,
        against="labels",
        dataset=setting.dataset,
        runtime=setting.runtime,
        device=setting.device,
        method=method,
        verdict="pass",
    )


def _hint(name: CheckName, verdict: Verdict) -> str:
    return "" if verdict == "pass" else HINTS.get(name, "")
