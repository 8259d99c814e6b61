"""What makes pictures come out differently on phones: profiles, rotation, alpha, odd modes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phoneproof.core.capture import Hazard
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import Progress, silent

if TYPE_CHECKING:
    from phoneproof.pixels.image import ImageTraits

SHOWN_PROFILES = 3

_GRAY_MODES = ("1", "L", "LA")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


def image_hazards(images: ImageSet, progress: Progress = silent) -> tuple[Hazard, ...]:
    """Hazards of the pictures of a set, each with how many carry it; from their headers alone."""
    from phoneproof.pixels.image import image_traits

    traits: list[ImageTraits] = []
    unread: list[str] = []
    for done, item in enumerate(images.items, start=1):
        try:
            traits.append(image_traits(item.path))
        except InvalidInput:
            unread.append(item.name)
        progress(done, len(images.items))
    return traits_hazards(tuple(traits), tuple(unread))


def traits_hazards(
    traits: tuple[ImageTraits, ...], unread: tuple[str, ...] = ()
) -> tuple[Hazard, ...]:
    """Hazards of pictures whose headers were read; `unread`: names of those that could not be."""
    total = len(traits) + len(unread)
    found = [
        _profiles(traits, total),
        _rotated(traits, total),
        _alpha(traits, total),
        _counted(
            "gray_images",
            sum(t.mode in _GRAY_MODES for t in traits),
            total,
            "are gray and become R = G = B",
            "nothing to do, if the model was trained on such pictures too",
        ),
        _counted(
            "cmyk_images",
            sum(t.mode in ("CMYK", "YCCK") for t in traits),
            total,
            "are CMYK, which phones convert in different ways or refuse",
            "convert them to RGB before they are evaluated or shipped",
        ),
        _counted(
            "deep_images",
            sum(t.mode in _DEEP_MODES for t in traits),
            total,
            "have more than 8 bits a channel, of which phones keep 8",
            "convert them to 8 bits the way the training did",
        ),
        _counted(
            "unreadable_images",
            len(unread),
            total,
            f"cannot be read as pictures ({', '.join(unread[:SHOWN_PROFILES])})",
            "replace them",
        ),
    ]
    return tuple(hazard for hazard in found if hazard is not None)


def _counted(
    name: str, count: int, total: int, what: str, next_step: str, *, warn: bool = False
) -> Hazard | None:
    if not count:
        return None
    return Hazard(
        name=name,
        found=f"{count} of {total} images {what}",
        next_step=next_step,
        severity="warning" if warn else "note",
    )


def _profiles(traits: tuple[ImageTraits, ...], total: int) -> Hazard | None:
    other = [t for t in traits if t.has_icc_other_than_srgb]
    names = sorted({t.icc_name or "unnamed" for t in other})
    more = ", ..." if len(names) > SHOWN_PROFILES else ""
    return _counted(
        "icc_profile",
        len(other),
        total,
        f"carry a colour profile other than sRGB ({', '.join(names[:SHOWN_PROFILES])}{more}): "
        "Android converts such pictures, training code seldom does",
        'color_profile in [contract]: "as_stored" as in training, "srgb" where it converted',
        warn=True,
    )


def _rotated(traits: tuple[ImageTraits, ...], total: int) -> Hazard | None:
    return _counted(
        "exif_rotation",
        sum(t.exif_rotated for t in traits),
        total,
        "are stored turned and rotated by EXIF: a decoder that ignores it feeds them sideways",
        'orientation in [contract]: "exif" turns them, "ignore" where the training did not',
        warn=True,
    )


def _alpha(traits: tuple[ImageTraits, ...], total: int) -> Hazard | None:
    return _counted(
        "transparency",
        sum(t.has_alpha for t in traits),
        total,
        "have transparency: what shows through depends on the decoder",
        'alpha in [contract]: "drop", or the colour they are laid on',
        warn=True,
    )
