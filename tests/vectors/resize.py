"""resize.json: every filter, up and down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, get_args

from phoneproof.core.contract import Filter, Size
from phoneproof.pixels.filters import resize
from tests.vectors.pictures import Picture, pixels
from tests.vectors.types import Flag, ResizeCase, digest

_SIZES: Final[tuple[tuple[Size, Size], ...]] = (
    ((48, 64), (20, 29)),
    ((17, 23), (41, 59)),
    ((97, 131), (31, 40)),
    ((1, 1), (5, 7)),
    ((1, 9), (4, 3)),
    ((9, 1), (3, 14)),
    ((1, 30), (1, 11)),
    ((37, 53), (1, 1)),
    ((13, 19), (13, 19)),
    ((40, 60), (20, 30)),
    ((60, 40), (20, 10)),
    ((16, 24), (32, 48)),
    ((30, 31), (29, 32)),
    ((20, 30), (20, 17)),
    ((20, 30), (33, 30)),
    ((3, 3), (35, 34)),
    ((2, 700), (7, 33)),
    ((400, 3), (11, 64)),
    ((101, 100), (100, 101)),
    ((240, 320), (96, 96)),
)
"""Source and target, [height, width]; what each probes is said by its flags."""

_LARGE: Final[tuple[tuple[Filter, Size, Size], ...]] = (
    ("opencv.linear", (1080, 1920), (360, 640)),
    ("pillow.bilinear", (1080, 1920), (360, 640)),
    ("opencv.area", (720, 1280), (224, 398)),
    ("pillow.bicubic", (720, 1280), (224, 398)),
    ("tensorflow.bilinear_half_pixel", (720, 1280), (300, 300)),
)
"""Pictures of a camera: sums and positions far from zero."""


def cases() -> Iterator[ResizeCase]:
    """All sizes with all filters, then the large ones."""
    for number, name in enumerate(get_args(Filter)):
        for place, (source, target) in enumerate(_SIZES):
            # Half of each size is noise, half is smooth; every fifth has one channel.
            kind = "noise" if (place + number) % 2 else "waves"
            channels = 1 if (place + number) % 5 == 4 else 3
            yield _case(name, _picture(kind, place + 1, source, channels), target)
    for name, source, target in _LARGE:
        yield _case(name, _picture("noise", 99, source, 3), target, "large")


def flags(source: Size, target: Size) -> tuple[Flag, ...]:
    """What a pair of sizes probes."""
    found: list[Flag] = []
    ratios = [t / s for s, t in zip(source, target, strict=True)]
    if source == target:
        found.append("identity")
    elif all(ratio <= 1 for ratio in ratios):
        found.append("downscale")
    elif all(ratio >= 1 for ratio in ratios):
        found.append("upscale")
    else:
        found.append("mixed")
    if 1 in (*source, *target):
        found.append("one_pixel")
    if all(s % t == 0 or t % s == 0 for s, t in zip(source, target, strict=True)):
        found.append("integer_ratio")
    if max(source) >= 50 * min(source):
        found.append("extreme_aspect")
    return tuple(found)


def _picture(kind: str, seed: int, size: Size, channels: int) -> Picture:
    return Picture(
        kind="noise" if kind == "noise" else "waves",
        seed=seed,
        height=size[0],
        width=size[1],
        channels=channels,
    )


def _case(name: Filter, picture: Picture, target: Size, *more: Flag) -> ResizeCase:
    source = (picture.height, picture.width)
    probes = flags(source, target) + (("one_channel",) if picture.channels == 1 else ()) + more
    sides = f"{source[0]}x{source[1]}-{target[0]}x{target[1]}"
    return ResizeCase(
        id=f"resize-{name}-{sides}",
        comment=f"{picture.kind}, {picture.channels} channel(s), by {name}",
        flags=probes,
        picture=picture,
        filter=name,
        size=target,
        expected=digest(resize(pixels(picture), target, name)),
    )
