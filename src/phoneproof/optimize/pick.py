"""Picking the calibration images out of a pool: every class, the extremes, a fair spread.

Deterministic: nothing but the images' content and labels decides, whatever their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from phoneproof.core.errors import InvalidInput
from phoneproof.core.optimization import CalibrationImage

LEAST: Final = 8
"""Fewer images say nothing of what others would bring: halves of four have no spread."""

BLANK: Final = 1.0 / 255
"""Contrast (standard deviation of the luma, 0..1) of a picture without one: a flat area that went
through JPEG or a noisy sensor stays below one grey level, a photograph of fog has five."""

COLOURLESS: Final = 0.01
"""Mean HSV saturation (0..1) of a picture without colour; chroma noise of a JPEG stays below."""

MOST_ALIKE: Final = 0.5
"""Where more than this share of the pool is unusable, the rest is not taken on trust either."""

CLASS_SHARE: Final = 0.7
EXTREME_SHARE: Final = 0.15
"""Of the images to pick, at most these shares are for classes and for extremes: the statistics of
the bulk need images that nobody chose."""

_SHOWN: Final = 3

Reason = Literal["class", "extreme", "spread"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One image of the pool, after a cheap look at it.

    name, sha256: the file's. pixels: a hash of the input tensor. contrast: standard deviation of
    the luma, 0..1, of what the model sees. brightness: its mean, 0..1. saturation: mean, 0..1.
    extremes: figures that grow with what activations reach, in the same order for every image.
    labels: of the contract, where they are known or predicted.
    """

    name: str
    sha256: str
    pixels: str
    brightness: float
    contrast: float
    saturation: float
    extremes: tuple[float, ...] = ()
    labels: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class Picked:
    """The images to calibrate with, in the order of their hashes.

    left_out: (name, why) of those that say nothing. covered: labels among the picked images.
    """

    images: tuple[CalibrationImage, ...]
    left_out: tuple[tuple[str, str], ...]
    covered: frozenset[int]


def pick(pool: Iterable[Candidate], limit: int) -> Picked:
    """The images to calibrate with, at most `limit`.

    First those that bring a label nobody brought yet, then the extremes, then a spread over
    brightness. A pool within the limit is taken whole; the reasons are given all the same.

    Raises:
        InvalidInput: fewer than `LEAST` images that say something, or a pool that is mostly
            blank or the same picture.
    """
    candidates = sorted(pool, key=lambda one: one.sha256)
    usable, left_out = _usable(candidates)
    if len(usable) < LEAST or len(left_out) > MOST_ALIKE * len(candidates):
        raise _refused(len(candidates), len(usable), left_out)
    limit = max(limit, LEAST)
    reasons: dict[str, Reason] = {}
    for one in _covering(usable, round(CLASS_SHARE * limit)):
        reasons[one.sha256] = "class"
    for one in _extremes(usable, round(EXTREME_SHARE * limit), reasons):
        reasons[one.sha256] = "extreme"
    rest = [one for one in usable if one.sha256 not in reasons]
    for one in _spread(rest, limit - len(reasons)):
        reasons[one.sha256] = "spread"
    chosen = [one for one in usable if one.sha256 in reasons]
    return Picked(
        images=tuple(
            CalibrationImage(name=one.name, sha256=one.sha256, reason=reasons[one.sha256])
            for one in chosen
        ),
        left_out=left_out,
        covered=frozenset().union(*(one.labels for one in chosen)),
    )


def require_colour(pool: Sequence[Candidate], judged_on: Sequence[float]) -> None:
    """Refuse a pool without colour for a model that is judged on colour pictures.

    Args:
        judged_on: mean HSV saturation (0..1) of evaluation images, or a sample of them.

    Raises:
        InvalidInput: most of the pool is grey and most of the others are not.
    """
    grey = sum(one.saturation < COLOURLESS for one in pool)
    coloured = sum(value >= COLOURLESS for value in judged_on)
    if grey > MOST_ALIKE * len(pool) and coloured > MOST_ALIKE * len(judged_on):
        raise InvalidInput(
            "the calibration images are grey, and those the model is judged on are not",
            found=f"{grey} of {len(pool)} calibration images without colour, "
            f"{len(judged_on) - coloured} of {len(judged_on)} others",
            next_step="calibrate with pictures like those the app will see",
        )


def _usable(
    candidates: list[Candidate],
) -> tuple[list[Candidate], tuple[tuple[str, str], ...]]:
    usable: list[Candidate] = []
    left_out: list[tuple[str, str]] = []
    seen: dict[str, str] = {}
    for one in candidates:
        if one.contrast < BLANK:
            left_out.append((one.name, "blank: all its pixels are equal"))
        elif one.pixels in seen:
            left_out.append((one.name, f"the same pixels as {seen[one.pixels]}"))
        else:
            seen[one.pixels] = one.name
            usable.append(one)
    return usable, tuple(left_out)


def _refused(pool: int, usable: int, left_out: tuple[tuple[str, str], ...]) -> InvalidInput:
    shown = "; ".join(f"{name}: {why}" for name, why in left_out[:_SHOWN])
    if len(left_out) > _SHOWN:
        shown += "; ..."
    found = f"{usable} of {pool} images are of use, {LEAST} are needed and 100 are good"
    failed = "too few calibration images"
    if len(left_out) > MOST_ALIKE * pool:
        failed = "most calibration images are blank or the same picture"
        found = f"{len(left_out)} of {pool} images"
    return InvalidInput(
        failed,
        found=f"{found} ({shown})" if shown else found,
        next_step="put about 100 different pictures like those the app will see into the "
        "calibration folder ([data] calibration); labels are not needed",
    )


def _covering(usable: list[Candidate], most: int) -> list[Candidate]:
    """Greedy cover: always the image with the most labels still missing, rare ones first."""
    rarity = Counter(label for one in usable for label in one.labels)
    missing = set(rarity)
    taken: list[Candidate] = []
    while missing and len(taken) < most:
        best = max(usable, key=lambda one: _worth(one.labels & missing, rarity))
        missing -= best.labels
        taken.append(best)
    return taken


def _worth(labels: frozenset[int], rarity: Counter[int]) -> float:
    return sum(1.0 / rarity[label] for label in sorted(labels))


def _extremes(usable: list[Candidate], most: int, taken: Iterable[str]) -> list[Candidate]:
    """The largest of every figure in turn, until there are enough."""
    known = set(taken)
    columns = [_descending(usable, at) for at in range(len(usable[0].extremes))]
    found: list[Candidate] = []
    for rank in range(len(usable)):
        for column in columns:
            one = column[rank]
            if len(found) == most:
                return found
            if one.sha256 not in known:
                known.add(one.sha256)
                found.append(one)
    return found


def _descending(usable: list[Candidate], figure: int) -> list[Candidate]:
    return sorted(usable, key=lambda one: -one.extremes[figure])


def _spread(rest: list[Candidate], most: int) -> list[Candidate]:
    """Every k-th by brightness: as many dark and bright ones as the pool has."""
    by_brightness = sorted(rest, key=lambda one: (one.brightness, one.sha256))
    if len(by_brightness) <= most:
        return by_brightness
    return [by_brightness[turn * len(by_brightness) // most] for turn in range(most)]
