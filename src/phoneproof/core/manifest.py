"""The manifest (schema ``phoneproof.manifest/1``): what a bundle holds, file by file."""

from __future__ import annotations

from typing import Literal

from phoneproof.core.artifact import Artifact
from phoneproof.core.schema import SchemaType


class BundleFile(SchemaType, frozen=True, kw_only=True):
    """One file of the bundle. path: relative, with forward slashes."""

    path: str
    bytes: int
    sha256: str


class Manifest(SchemaType, frozen=True, kw_only=True):
    """Everything a reader needs to trust the bundle before it opens any of it.

    contract: sha256 of the contract's canonical JSON. artifacts: with binding and lineage; their
    paths are relative to the bundle. files: all files but the manifest itself, sorted by path.
    golden: path of the golden index; null where the bundle was refused before there were
    artifacts to make vectors with. baseline: folder of the stored baseline predictions.
    """

    schema: Literal["phoneproof.manifest/1"] = "phoneproof.manifest/1"
    name: str
    version: str
    contract: str
    artifacts: tuple[Artifact, ...]
    files: tuple[BundleFile, ...]
    golden: str | None = None
    baseline: str | None = None
