"""Running a model file on single pictures, for people to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from phoneproof.core.errors import InvalidInput
from phoneproof.data.files import list_images
from phoneproof.decode.records import ResultRecord, to_record
from phoneproof.package.drawing import draw_predictions
from phoneproof.pipeline.cache import storage_errors
from phoneproof.pipeline.loaded import LoadedArtifact
from phoneproof.pixels.image import read_image

DRAWN_SIDE = 1280
_QUALITY = 90


class PictureResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the model says of one picture; `drawn`: the picture with it, where one was written."""

    image: str
    result: ResultRecord
    drawn: str | None


def run_pictures(
    loaded: LoadedArtifact, images: Sequence[Path], *, draw_into: Path | None
) -> Iterator[PictureResult]:
    """Results picture by picture; drawn as JPEG into `draw_into` where given.

    Raises:
        InvalidInput: a picture that cannot be read, or a folder without pictures.
    """
    predictor = loaded.predictor()
    used: set[str] = set()
    for path, name in _pictures(images):
        rgb = read_image(path, loaded.contract.image)
        results, _ = predictor.predict_rgb(rgb)
        drawn = None
        if draw_into is not None:
            drawn = draw_into / _free_name(name, used)
            with storage_errors(draw_into):
                drawn.parent.mkdir(parents=True, exist_ok=True)
                picture = draw_predictions(rgb, results, loaded.contract, max_side=DRAWN_SIDE)
                picture.save(drawn, quality=_QUALITY)
        yield PictureResult(
            image=str(path),
            result=to_record(results, loaded.contract),
            drawn=str(drawn) if drawn else None,
        )


def _free_name(name: str, used: set[str]) -> str:
    """A JPEG's name after the picture's; numbered where another picture of this run has it."""
    stem = Path(name).with_suffix("").as_posix()
    number, chosen = 1, f"{stem}.jpg"
    while chosen in used:
        number += 1
        chosen = f"{stem}-{number}.jpg"
    used.add(chosen)
    return chosen


def _pictures(images: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    for place in images:
        found = list_images(place)
        if not found:
            raise InvalidInput(f"no pictures in {place}")
        for file in found:
            yield file.path, file.name
