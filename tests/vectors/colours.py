"""gray.json, alpha.json, orientation.json: what happens before the geometry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, get_args

import msgspec

from phoneproof.core.contract import GrayFormula, Size
from phoneproof.pixels.filters import to_gray
from tests.vectors.inputs import spec
from tests.vectors.pictures import Picture, pixels
from tests.vectors.pictures_read import read
from tests.vectors.types import AlphaCase, Background, Flag, GrayCase, OrientationCase, digest

_GRAY_SIZES: Final[tuple[Size, ...]] = ((200, 256), (1, 1), (7, 13))
_BACKGROUNDS: Final[tuple[Background, ...]] = (
    "drop",
    (255, 255, 255),
    (0, 0, 0),
    (114, 114, 114),
    (12, 200, 99),
)
_KINDS: Final[tuple[Literal["noise", "waves"], ...]] = ("noise", "waves")


def gray_cases() -> Iterator[GrayCase]:
    """The three formulas: 51 200 colours of noise each, and small pictures."""
    for formula in get_args(GrayFormula):
        for kind in _KINDS:
            for size in _GRAY_SIZES:
                picture = Picture(kind=kind, seed=11, height=size[0], width=size[1])
                yield GrayCase(
                    id=f"gray-{formula}-{kind}-{size[0]}x{size[1]}",
                    comment=f"grey as {formula} computes it",
                    flags=("gray", *_one_pixel(size)),
                    formula=formula,
                    picture=picture,
                    expected=digest(to_gray(pixels(picture), formula)),
                )


def alpha_cases() -> Iterator[AlphaCase]:
    """Transparency dropped, and in front of a background: all values of colour and opacity."""
    base = spec((8, 8))
    sizes: tuple[Size, ...] = ((64, 80), (1, 1))
    for number, background in enumerate(_BACKGROUNDS):
        for size in sizes:
            picture = Picture(
                kind="noise", seed=number + 3, height=size[0], width=size[1], channels=4
            )
            name = background if background == "drop" else "-".join(map(str, background))
            image = msgspec.structs.replace(base, alpha=background)
            yield AlphaCase(
                id=f"alpha-{name}-{size[0]}x{size[1]}",
                comment="alpha is not premultiplied",
                flags=_one_pixel(size),
                picture=picture,
                background=background,
                expected=digest(read(picture, image)),
            )


def orientation_cases() -> Iterator[OrientationCase]:
    """The eight orientations of a picture whose sides differ."""
    sizes: tuple[Size, ...] = ((5, 7), (64, 37), (1, 6))
    for exif in range(1, 9):
        for size in sizes:
            picture = Picture(kind="noise", seed=exif, height=size[0], width=size[1])
            yield OrientationCase(
                id=f"orientation-{exif}-{size[0]}x{size[1]}",
                comment=f"EXIF orientation {exif}",
                flags=_one_pixel(size),
                picture=picture,
                exif=exif,
                expected=digest(read(picture, spec((8, 8)), exif)),
            )


def _one_pixel(size: Size) -> tuple[Flag, ...]:
    return ("one_pixel",) if 1 in size else ()
