"""``ios/Verify/``: a Swift package that repeats the golden vectors on a Mac or an iPhone.

Its sources are the same for every model: they lie in ``apple_verify/`` beside this file, and what
it has in common with the Swift library comes from there. The payload is generated: the Apple
artifacts, their golden vectors, and what has to be fed. It is complete in itself, because it is
copied to another machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from phoneproof.core.artifact import Artifact
from phoneproof.core.binding import Format, Precision
from phoneproof.core.contract import Contract
from phoneproof.core.golden import GoldenCase, GoldenIndex
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.tolerances import FLOAT16_SNR_DB, FLOAT32_SNR_DB, RAW_SNR_DB
from phoneproof.package.golden import INDEX, preprocessor
from phoneproof.package.golden_tensors import tensor_sha256
from phoneproof.package.mobile_sources import copy_sources, mobile_folder
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.pixels.values import value_tables

KIT: Final = "ios/Verify"
SOURCES: Final = Path(__file__).parent / "apple_verify"
PAYLOAD: Final = "Sources/PhoneproofVerify/Payload"
SHARED: Final = {
    "Sources/PhoneproofCore": "Sources/PhoneproofCore",
    "Sources/Phoneproof/Device": "Sources/GoldenVectors/Device",
}
"""Folders of the Swift library and where they lie in the kit."""
FORMATS: Final[frozenset[Format]] = frozenset({"coreml", "coreai"})

LEAST_DECIBELS: Final[dict[Precision, float]] = {
    "float32": FLOAT32_SNR_DB,
    "float16": FLOAT16_SNR_DB,
    "weight_only_wi8": FLOAT16_SNR_DB,
    "weight_only_wi4": FLOAT16_SNR_DB,
    "palette4": FLOAT16_SNR_DB,
    "palette6": FLOAT16_SNR_DB,
    "sparse": FLOAT16_SNR_DB,
    "mixed": FLOAT16_SNR_DB,
    "dynamic_wi8": RAW_SNR_DB,
    "static_wi8_ai8": RAW_SNR_DB,
    "static_wi8_ai16": RAW_SNR_DB,
}
"""Of an output against the recorded one. Apple's engines compute in float16 whatever the weights
are stored in; where activations are integers, a step apart here and there is no fault, and only
what has nothing to do with the recorded output is refused."""


class KitInput(msgspec.Struct, frozen=True, kw_only=True):
    """The model's input. table: file of channels * 256 elements, what each pixel becomes; null
    where cases bring whole tensors."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    channels: str
    table: str | None


class KitCase(msgspec.Struct, frozen=True, kw_only=True):
    """A golden case: bytes [height, width, channels], or the whole tensor."""

    id: str
    pixels: str | None = None
    tensor: str | None = None


class KitArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """One model. leastDecibels: for the kit's own reckoning."""

    id: str
    format: str
    path: str
    sha256: str
    least_decibels: float = msgspec.field(name="leastDecibels")
    input: KitInput
    cases: tuple[KitCase, ...]


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """``kit.json`` of the payload."""

    name: str
    version: str
    contract: str
    artifacts: tuple[KitArtifact, ...]


def write_apple_kit(bundle: Path, contract: Contract, artifacts: Sequence[Artifact]) -> None:
    """Write ``ios/Verify`` into a bundle that holds Apple artifacts and golden vectors.

    Args:
        bundle: its folder; `artifacts` and ``golden`` are in place.
        contract: what the artifacts carry.
        artifacts: all of the bundle's; those of other formats, without vectors, that take
            several pictures at once, or that give a number of rows of their own (pipelines with
            NMS: their recorded results have no tensors to compare), are left out. Nothing is
            written where none is left.
    """
    fitting = [
        one
        for one in artifacts
        if one.format in FORMATS and one.binding.image.shape[0] == 1 and not one.binding.rows_vary
    ]
    index = _index(bundle) if fitting else None
    known = dict(index.artifacts) if index is not None else {}
    chosen = [one for one in fitting if one.id in known]
    if index is None or not chosen:
        return
    copy_sources(SOURCES, bundle / KIT)
    for ours, theirs in SHARED.items():
        copy_sources(mobile_folder() / "ios" / ours, bundle / KIT / theirs)
    payload = bundle / KIT / PAYLOAD
    for artifact in chosen:
        copy_sources(bundle / artifact.path, payload / artifact.path)
    cases = [case for case in index.cases if "lossless" in case.flags]
    _copy_golden(bundle / "golden", payload / "golden", cases, {one.id for one in chosen})
    kit = Kit(
        name=contract.name,
        version=contract.version,
        contract=contract.sha256,
        artifacts=tuple(_described(bundle, payload, contract, one, cases) for one in chosen),
    )
    (payload / "kit.json").write_bytes(pretty_bytes(kit))


def _index(bundle: Path) -> GoldenIndex | None:
    path = bundle / "golden" / INDEX
    return parse(path.read_bytes(), GoldenIndex, what=INDEX) if path.is_file() else None


def _copy_golden(
    golden: Path, target: Path, cases: Sequence[GoldenCase], artifacts: set[str]
) -> None:
    """The index as it is (its hash is its identity) and the outputs of the kit's artifacts."""
    copy_sources(golden / INDEX, target / INDEX)
    for case in cases:
        for outputs in case.expected.artifacts:
            if outputs.artifact in artifacts:
                for output in outputs.outputs:
                    copy_sources(golden / output.file, target / output.file)


def _described(
    bundle: Path, payload: Path, contract: Contract, artifact: Artifact, cases: list[GoldenCase]
) -> KitArtifact:
    image = artifact.binding.image
    prepare = preprocessor(contract, artifact)
    table = None
    if contract.image.values == "uint8":
        table = f"tables/{artifact.id}.bin"
        _write(payload / table, value_tables(contract.image, image))
    return KitArtifact(
        id=artifact.id,
        format=artifact.format,
        path=artifact.path,
        sha256=artifact.sha256,
        least_decibels=LEAST_DECIBELS[artifact.requested],
        input=KitInput(
            name=image.tensor,
            dtype=image.dtype,
            shape=image.shape,
            layout=image.layout,
            channels=contract.image.channels,
            table=table,
        ),
        cases=tuple(
            _case(bundle, payload, contract, artifact, prepare, one)
            for one in cases
            if any(known.artifact == artifact.id for known in one.expected.artifacts)
        ),
    )


def _case(
    bundle: Path,
    payload: Path,
    contract: Contract,
    artifact: Artifact,
    prepare: Preprocessor,
    case: GoldenCase,
) -> KitCase:
    rgb = read_image(bundle / "golden" / case.file, contract.image)
    if contract.image.values != "uint8":
        file = f"tensors/{artifact.id}/{case.id}.bin"
        _write(payload / file, prepare.prepare(rgb).tensor)
        return KitCase(id=case.id, tensor=file)
    pixels = prepare.pixels(rgb)
    if tensor_sha256(pixels) != case.expected.pixels.sha256:
        raise RuntimeError(f"pixels of {case.id} are not those of the golden vectors")
    file = f"pixels/{case.id}.bin"
    _write(payload / file, pixels)
    return KitCase(id=case.id, pixels=file)


def _write(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    """Raw little-endian values in row-major order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
