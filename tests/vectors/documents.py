"""The documents of ``mobile/vectors`` as types, and the schema that is published beside them."""

from __future__ import annotations

from typing import Final

import msgspec

from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.schema import SchemaType
from tests.vectors.types import (
    AlphaCase,
    DecodeCase,
    GeometryCase,
    GrayCase,
    ImageCase,
    InverseCase,
    OrientationCase,
    ResizeCase,
    Schema,
    TableCase,
    TensorCase,
    YuvCase,
)

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


class Document(SchemaType, frozen=True, kw_only=True, tag_field="area"):
    """One file: all cases of an area."""

    schema: Schema


class ResizeFile(Document, frozen=True, kw_only=True, tag="resize"):
    """Every filter, up and down."""

    cases: tuple[ResizeCase, ...]


class GeometryFile(Document, frozen=True, kw_only=True, tag="geometry"):
    """Crops, resizes and pads in whole numbers."""

    cases: tuple[GeometryCase, ...]


class TensorFile(Document, frozen=True, kw_only=True, tag="tensor"):
    """Pictures to input tensors."""

    cases: tuple[TensorCase, ...]


class TableFile(Document, frozen=True, kw_only=True, tag="tables"):
    """What the 256 values of a pixel become."""

    cases: tuple[TableCase, ...]


class GrayFile(Document, frozen=True, kw_only=True, tag="gray"):
    """The three grey formulas."""

    cases: tuple[GrayCase, ...]


class AlphaFile(Document, frozen=True, kw_only=True, tag="alpha"):
    """Transparency."""

    cases: tuple[AlphaCase, ...]


class OrientationFile(Document, frozen=True, kw_only=True, tag="orientation"):
    """EXIF orientations."""

    cases: tuple[OrientationCase, ...]


class InverseFile(Document, frozen=True, kw_only=True, tag="inverse"):
    """Boxes back to the original."""

    cases: tuple[InverseCase, ...]


class DecodeFile(Document, frozen=True, kw_only=True, tag="decode"):
    """Outputs to results."""

    cases: tuple[DecodeCase, ...]


class YuvFile(Document, frozen=True, kw_only=True, tag="yuv"):
    """Camera frames as RGB."""

    cases: tuple[YuvCase, ...]


class ImageFile(Document, frozen=True, kw_only=True, tag="images"):
    """Stored pictures to results."""

    cases: tuple[ImageCase, ...]


VectorFile = (
    ResizeFile
    | GeometryFile
    | TensorFile
    | TableFile
    | GrayFile
    | AlphaFile
    | OrientationFile
    | InverseFile
    | DecodeFile
    | YuvFile
    | ImageFile
)


def schema() -> bytes:
    """``schema.json``: a JSON Schema (draft 2020-12) that every file of the folder fits."""
    return pretty_bytes({"$schema": _DRAFT, **msgspec.json.schema(VectorFile)})
