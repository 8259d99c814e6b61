"""Making golden vectors: eight pictures, each lossless and as JPEG, and what becomes of them."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.artifact import Artifact, file_sha256
from phoneproof.core.binding import Format
from phoneproof.core.contract import Contract
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.core.golden import (
    Flag,
    GoldenBox,
    GoldenCase,
    GoldenClass,
    GoldenExpected,
    GoldenIndex,
    GoldenOutputs,
)
from phoneproof.core.json_format import pretty_bytes
from phoneproof.decode.labels import top_k
from phoneproof.decode.results import Classification, Detections, Results
from phoneproof.package.golden_pictures import GoldenPicture, generated_pictures
from phoneproof.package.golden_tensors import write_tensor
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.base import Session
from phoneproof.runtimes.predict import Predictor

OpenSession = Callable[[Artifact, Path], Session]

_KINDS: Final[tuple[tuple[str, Flag, Callable[[GoldenPicture], bytes]], ...]] = (
    ("png", "lossless", GoldenPicture.png),
    ("jpg", "jpeg", GoldenPicture.jpeg),
)

INDEX = "index.json"
SCHEMA = "schema.json"
PICTURES = 8
SLOW: Final[frozenset[Format]] = frozenset({"coreai"})
"""Formats whose runtime on the building machine takes seconds for an image."""
SLOW_VALUES: Final = 2 * 640 * 640 * 3
"""What is recorded of such a file: the lossless cases of as many pictures as make these input
values, two at least. Sixteen runs of yolov8n took a minute; two tell a wrong file just as well."""
LONGEST_SIDE = 1280
"""A user's picture is made this small: vectors ship inside apps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GoldenModel:
    """One opened artifact: what it is fed and what it says."""

    artifact: Artifact
    contract: Contract
    preprocessor: Preprocessor
    predictor: Predictor


def is_recorded(artifact: Artifact, number: int, flag: Flag) -> bool:
    """Whether the case `flag` ("lossless" or "jpeg") of the `number`-th picture (from 0) holds
    what the artifact computes: always, but where its runtime is slow."""
    if artifact.format not in SLOW:
        return True
    values = math.prod(artifact.binding.image.shape[1:])
    return flag == "lossless" and number < max(2, SLOW_VALUES // values)


def recorded_tensors(artifact: Artifact) -> tuple[str, ...]:
    """The outputs that vectors hold: none of a file whose rows vary, where one box near the
    threshold moves all that follow; its results are recorded alone."""
    return () if artifact.binding.rows_vary else artifact.binding.tensors


def make_golden(
    folder: Path,
    contract: Contract,
    artifacts: Sequence[tuple[Artifact, Path]],
    open_session: OpenSession,
    pictures: Sequence[Path] | None = None,
) -> GoldenIndex:
    """Write golden vectors into `folder`, which appears when they are complete.

    Args:
        folder: is replaced where it exists.
        contract: what all artifacts carry.
        artifacts: those that can be run here, with their files.
        open_session: opens one.
        pictures: the user's, where named; the first eight by content hash are taken, made at
            most 1280 pixels large and stripped of all metadata. Generated ones fill up to eight.

    Raises:
        InvalidInput: a named picture cannot be read, or an artifact does not fit its binding.
        ConfigError: no picture at all fits the contract's geometry.
    """
    if not artifacts:
        raise InvalidInput("golden vectors need an artifact", found="none that can be run here")
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        models = open_models(contract, artifacts, open_session)
        index = _write(fresh, contract, models, _chosen(contract, pictures or ()))
        (fresh / INDEX).write_bytes(pretty_bytes(index))
        (fresh / SCHEMA).write_bytes(pretty_bytes(msgspec.json.schema(GoldenIndex)))
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return index


def open_models(
    contract: Contract, artifacts: Sequence[tuple[Artifact, Path]], open_session: OpenSession
) -> tuple[GoldenModel, ...]:
    """Open each artifact with the preprocessing of one image."""
    return tuple(
        GoldenModel(
            artifact=artifact,
            contract=contract,
            preprocessor=preprocessor(contract, artifact),
            predictor=Predictor(open_session(artifact, path), contract, artifact.binding),
        )
        for artifact, path in artifacts
    )


def preprocessor(contract: Contract, artifact: Artifact) -> Preprocessor:
    """The artifact's preprocessing for a single image, whatever its batch."""
    image = artifact.binding.image
    single = msgspec.structs.replace(image, shape=(1, *image.shape[1:]))
    return Preprocessor(contract.image, single)


def _chosen(contract: Contract, pictures: Sequence[Path]) -> tuple[GoldenPicture, ...]:
    missing = [path.name for path in pictures if not path.is_file()]
    if missing:
        raise InvalidInput(
            "golden pictures are missing",
            found=", ".join(missing),
            next_step="correct the paths under [package] golden",
        )
    by_content = sorted(pictures, key=file_sha256)[:PICTURES]
    named = tuple(_users(contract, path, i) for i, path in enumerate(by_content, start=1))
    return (named + generated_pictures())[:PICTURES]


def _users(contract: Contract, path: Path, number: int) -> GoldenPicture:
    """Upright and without metadata: no place, no date and no file name leaves the house."""
    picture = Image.fromarray(read_image(path, contract.image))
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    shape: Flag = "square"
    if picture.width != picture.height:
        shape = "landscape" if picture.width > picture.height else "portrait"
    return GoldenPicture(
        id=f"user-{number}",
        comment="A picture named in the configuration.",
        flags=(shape, "user_picture"),
        pixels=np.asarray(picture),
    )


def _write(
    folder: Path,
    contract: Contract,
    models: tuple[GoldenModel, ...],
    pictures: tuple[GoldenPicture, ...],
) -> GoldenIndex:
    cases: list[GoldenCase] = []
    left_out: list[tuple[str, str]] = []
    for picture in pictures:
        number = len(cases) // len(_KINDS)
        try:
            cases += _cases(folder, contract, models, picture, number)
        except ConfigError as error:
            for path in (folder / "pictures").glob(f"{picture.id}.*"):
                path.unlink()
            left_out.append((picture.id, f"{error.failed}: {error.found}"))
    if not cases:
        raise ConfigError(
            "no golden picture fits the geometry of the contract",
            found="; ".join(f"{name}: {why}" for name, why in left_out),
            next_step="name pictures that do under [package] golden",
        )
    return GoldenIndex(
        contract=contract.sha256,
        artifacts=tuple((m.artifact.id, m.artifact.sha256) for m in models),
        cases=tuple(cases),
        left_out=tuple(left_out),
    )


def _cases(
    folder: Path,
    contract: Contract,
    models: tuple[GoldenModel, ...],
    picture: GoldenPicture,
    number: int,
) -> list[GoldenCase]:
    """The lossless and the JPEG case of one picture; the very first keeps its tensors whole."""
    cases = []
    for suffix, flag, write in _KINDS:
        data = write(picture)
        case_id = f"{picture.id}-{suffix}"
        path = folder / "pictures" / f"{picture.id}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        rgb = read_image(path, contract.image)
        whole = number == 0 and flag == "lossless"
        place = f"tensors/{case_id}"
        pixels = models[0].preprocessor.pixels(rgb)
        cases.append(
            GoldenCase(
                id=case_id,
                comment=picture.comment,
                flags=(flag, *picture.flags),
                file=path.relative_to(folder).as_posix(),
                sha256=hashlib.sha256(data).hexdigest(),
                width=rgb.shape[1],
                height=rgb.shape[0],
                expected=GoldenExpected(
                    pixels=write_tensor(
                        folder, f"{place}/pixels.bin", "pixels", pixels, whole=whole
                    ),
                    artifacts=tuple(
                        _outputs(folder, f"{place}/{one.artifact.id}", one, rgb, whole=whole)
                        for one in models
                        if is_recorded(one.artifact, number, flag)
                    ),
                ),
            )
        )
    return cases


def _outputs(
    folder: Path, place: str, model: GoldenModel, rgb: NDArray[np.uint8], *, whole: bool
) -> GoldenOutputs:
    tensor = model.preprocessor.prepare(rgb).tensor
    results, outputs = model.predictor.predict_rgb(rgb)
    name = model.artifact.binding.image.tensor
    return GoldenOutputs(
        artifact=model.artifact.id,
        # The input follows from the pixels by one table: the hash and a sample are enough.
        input=write_tensor(folder, f"{place}/input.bin", name, tensor),
        outputs=tuple(
            write_tensor(folder, f"{place}/output{i}.bin", name, outputs[name], whole=whole)
            for i, name in enumerate(recorded_tensors(model.artifact))
        ),
        classes=_classes(results, model.contract),
        boxes=_boxes(results),
    )


def _classes(results: Results, contract: Contract) -> tuple[GoldenClass, ...] | None:
    if not isinstance(results, Classification):
        return None
    return tuple(
        GoldenClass(label=ranked.index, probability=ranked.probability)
        for ranked in top_k(results, contract)
    )


def _boxes(results: Results) -> tuple[GoldenBox, ...] | None:
    if not isinstance(results, Detections):
        return None
    rows = zip(results.boxes.tolist(), results.scores.tolist(), results.classes, strict=True)
    return tuple(
        GoldenBox(box=(box[0], box[1], box[2], box[3]), score=score, label=int(label))
        for box, score, label in rows
    )
