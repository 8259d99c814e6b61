"""Golden vectors (schema ``phoneproof.golden/1``): what every platform must reproduce.

Tensors lie beside the index as raw little-endian values in row-major order, without a header.
"""

from __future__ import annotations

from typing import Literal

from phoneproof.core.binding import DType
from phoneproof.core.schema import SchemaType

Flag = Literal[
    "lossless",
    "jpeg",
    "landscape",
    "portrait",
    "square",
    "exif_orientation",
    "gray_file",
    "alpha",
    "thin",
    "upscaled",
    "fine_detail",
    "user_picture",
]
"""What a case probes. lossless: pixels must be equal to the last bit. jpeg: decoders differ by a
few units, so the distance is reported."""


class GoldenTensor(SchemaType, frozen=True, kw_only=True):
    """One tensor. `sha256` is of the whole tensor's little-endian bytes.

    file: holds the elements 0, every, 2 * every, ... of the flattened tensor; `every` is coprime
    to the number of elements, so that each row and column of a large tensor is visited.
    file_sha256: of the file itself.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    sha256: str
    file: str
    file_sha256: str
    every: int = 1


class GoldenBox(SchemaType, frozen=True, kw_only=True):
    """A detection: xyxy in pixels of the oriented original, score, label index."""

    box: tuple[float, float, float, float]
    score: float
    label: int


class GoldenClass(SchemaType, frozen=True, kw_only=True):
    """One of the five most probable classes: label index and probability."""

    label: int
    probability: float


class GoldenOutputs(SchemaType, frozen=True, kw_only=True):
    """What one artifact makes of the picture. classes: for classification, best five first."""

    artifact: str
    input: GoldenTensor
    outputs: tuple[GoldenTensor, ...]
    classes: tuple[GoldenClass, ...] | None = None
    boxes: tuple[GoldenBox, ...] | None = None


class GoldenExpected(SchemaType, frozen=True, kw_only=True):
    """pixels: after the geometry, [height, width, channels] in the contract's channel order."""

    pixels: GoldenTensor
    artifacts: tuple[GoldenOutputs, ...]


class GoldenCase(SchemaType, frozen=True, kw_only=True):
    """One picture file. width, height: of the oriented picture, in pixels."""

    id: str
    comment: str
    flags: tuple[Flag, ...]
    file: str
    sha256: str
    width: int
    height: int
    expected: GoldenExpected


class GoldenIndex(SchemaType, frozen=True, kw_only=True):
    """All cases. contract: its sha256. artifacts: (id, sha256) of those that were run.

    left_out: (picture, why) of pictures that the contract's geometry refuses.
    """

    schema: Literal["phoneproof.golden/1"] = "phoneproof.golden/1"
    contract: str
    artifacts: tuple[tuple[str, str], ...]
    cases: tuple[GoldenCase, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that the index names, relative to its folder; one may come twice."""
        return tuple(name for case in self.cases for name in _files_of(case))


def _files_of(case: GoldenCase) -> tuple[str, ...]:
    recorded = case.expected.artifacts
    tensors = [tensor for one in recorded for tensor in (one.input, *one.outputs)]
    return (case.file, case.expected.pixels.file, *(tensor.file for tensor in tensors))
