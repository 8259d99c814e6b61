"""What an app carries of a bundle: contract, model files with their bindings, golden vectors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from phoneproof.core.artifact import Artifact
from phoneproof.core.binding import Format
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.package.golden import INDEX
from phoneproof.package.mobile_sources import copy_sources

BINDING_SUFFIX: Final = ".binding.json"
"""Of the binding that lies beside a model file."""


def golden_index(bundle: Path) -> GoldenIndex | None:
    """The bundle's golden index; null where it has none."""
    path = bundle / "golden" / INDEX
    return parse(path.read_bytes(), GoldenIndex, what=INDEX) if path.is_file() else None


def app_artifacts(
    bundle: Path, artifacts: Sequence[Artifact], formats: Collection[Format]
) -> list[Artifact]:
    """Those of `artifacts` that an app can carry: of one of `formats`, with golden vectors, one
    picture at a time, rows of a fixed number."""
    index = golden_index(bundle)
    known = {} if index is None else dict(index.artifacts)
    return [
        one
        for one in artifacts
        if one.format in formats
        and one.id in known
        and one.binding.image.shape[0] == 1
        and not one.binding.rows_vary
    ]


def write_parts(bundle: Path, target: Path, artifacts: Sequence[Artifact]) -> None:
    """Copy the parts of a bundle that concern `artifacts` to `target`, laid out as in the bundle.

    The golden index is copied as it is, because its hash is its identity; of what it names come
    the pictures, the tensors of `artifacts`, and the pixels of lossless pictures, with which an
    app's test says what is wrong.
    """
    copy_sources(bundle / "contract.json", target / "contract.json")
    for artifact in artifacts:
        for name in (artifact.path, artifact.path + BINDING_SUFFIX):
            copy_sources(bundle / name, target / name)
    index = golden_index(bundle)
    if index is None:
        return
    ids = {one.id for one in artifacts}
    recorded = [
        one for case in index.cases for one in case.expected.artifacts if one.artifact in ids
    ]
    tensors = {tensor.file for one in recorded for tensor in (one.input, *one.outputs)}
    pixels = {case.expected.pixels.file for case in index.cases if "lossless" in case.flags}
    for name in sorted({INDEX, *tensors, *pixels, *(case.file for case in index.cases)}):
        copy_sources(bundle / "golden" / name, target / "golden" / name)
