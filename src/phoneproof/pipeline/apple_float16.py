"""Apple's float16: arithmetic, not only storage, so that some layers may have to stay float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.core.check import Check
from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16
from phoneproof.core.report import Attempt
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.pipeline.artifact_steps import MadeArtifact, OptimizeStep, made_artifact
from phoneproof.pipeline.calibrate_step import ranges_of
from phoneproof.pipeline.damage_step import damage_of, damage_step
from phoneproof.pipeline.float16_steps import CountStep, ScanStep, counted_of, counted_on, scan_of
from phoneproof.pipeline.request import ArtifactRequest

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact

TRIES: Final = 4
"""Files with islands after the first that is written: each corrects the estimate of the last."""
SPARE_DB: Final = 0.5
"""What is aimed at beyond the limit: the estimate is of a few images."""
DOUBT_DB: Final = 1.0
"""How far below the limit a few images must put a file that is not even written."""
STEP_DB: Final = 3.0
"""How much quieter the next try shall be where noise is not what refuses a file."""


@dataclass(frozen=True, kw_only=True)
class _Scanned:
    """folder: of the scan, with its ranges."""

    found: Float16Scan
    folder: Path


def with_islands(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
) -> JudgedArtifact:
    """The Core ML float16 file with the fewest float32 layers that is accepted.

    Layers that make or read what float16 cannot hold are found by a scan and stay float32. All
    others become float16 first, unless the images of the scan show that this is too noisy; then,
    and where a file is refused, the layers whose rounding does most stay float32 too, until the
    noise of the others is expected to be below the limit. What ships is measured on all images.
    Where none is accepted: the first, refused.
    """
    scanned = _scanned(chain, wanted, parent)
    return fewest_islands(
        chain,
        wanted,
        Islands(
            scan=scanned.found,
            judged=lambda layers: _judged(chain, wanted, parent, scanned, layers),
            damage=lambda first: _damage(chain, parent, first),
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Islands:
    """How the files of one format come about.

    scan: of the float32 program. judged: a file by its float32 layers, measured on all images, and
    the operations of it that overflow. damage: of all layers, where the scan has none; it is given
    the first file. tries: with more islands, after the first file.
    """

    scan: Float16Scan
    judged: Callable[[tuple[str, ...]], tuple[JudgedArtifact, tuple[str, ...]]]
    damage: Callable[[MadeArtifact], tuple[LayerDamage, ...]]
    tries: int = TRIES


def fewest_islands(chain: ArtifactChain, wanted: ArtifactRequest, files: Islands) -> JudgedArtifact:
    """The float16 file with the fewest float32 layers that is accepted; else the first, refused."""
    from phoneproof.optimize.islands import expected_db, fewest
    from phoneproof.pipeline.artifact_chain import attempt

    unwritten = _unwritten(chain, wanted, files.scan)
    layers = (*files.scan.must, *(files.scan.layers if unwritten else ()))
    first, lost = files.judged(layers)
    if first.accepted:
        return replace(first, attempts=unwritten)
    damage = files.scan.damage or files.damage(first.made)
    refused = [first]
    for _ in range(files.tries):
        aim = _aim(chain, wanted, refused[-1], expected_db(damage, layers))
        more = tuple(dict.fromkeys((*layers, *(lost or fewest(damage, aim)))))
        if len(more) <= len(layers):
            break
        layers = more
        judged, lost = files.judged(layers)
        if judged.accepted:
            return replace(judged, attempts=(*unwritten, *map(attempt, refused)))
        refused.append(judged)
    return replace(first, attempts=(*unwritten, *map(attempt, refused[1:])))


def _unwritten(
    chain: ArtifactChain, wanted: ArtifactRequest, scan: Float16Scan
) -> tuple[Attempt, ...]:
    """The file without islands against noise, where a few images are enough to refuse it."""
    limit = chain.request.limits_for(wanted.precision, wanted.format).snr_db
    if limit is None or scan.snr_db is None or scan.snr_db >= limit - DOUBT_DB:
        return ()
    if not scan.layers:  # class numbers: no gradient tells whose rounding moved them
        return ()
    why = (
        f"not written: computed layer by layer on {scan.images} images it leaves {scan.output} "
        f"{scan.snr_db:.1f} dB, and {limit:g} are asked"
    )
    return (Attempt(what=f"{wanted.format}-float16", bytes=0, failed=(), broke=why),)


def _aim(
    chain: ArtifactChain, wanted: ArtifactRequest, judged: JudgedArtifact, expected: float
) -> float:
    """The signal-to-noise ratio to expect of the next try, dB.

    What was expected of the file that was just measured, and what was found, differ by what the
    estimate leaves out; the next one will differ by as much.
    """
    limit = chain.request.limits_for(wanted.precision, wanted.format).snr_db
    found = [one.value for one in judged.checks if one.name == "snr_db" and one.gating]
    known = [value for value in found if value is not None]
    if limit is None or not known or min(known) >= limit:
        return expected + STEP_DB
    return expected + (limit - min(known)) + SPARE_DB


def _scanned(chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact) -> _Scanned:
    limit = chain.request.limits_for(wanted.precision, wanted.format).snr_db
    step = ScanStep(
        label=parent.artifact.id,
        artifact=parent.path,
        artifact_sha256=parent.artifact.sha256,
        contract=chain.request.contract,
        binding=parent.artifact.binding,
        images=chain.request.images,
        snr_db=None if limit is None else limit + SPARE_DB,
    )
    folder = chain.workshop.cache.result(step).folder
    return _Scanned(found=scan_of(folder), folder=folder)


def _judged(
    chain: ArtifactChain,
    wanted: ArtifactRequest,
    parent: MadeArtifact,
    scanned: _Scanned,
    layers: tuple[str, ...],
) -> tuple[JudgedArtifact, tuple[str, ...]]:
    """A file with islands, measured on all images, and the operations of it that overflow."""
    from phoneproof.verify.verdicts import accepted

    made = _candidate(chain, wanted, parent, scanned.folder, layers)
    if made.artifact.precision == "float32":
        return chain.judge(made), ()
    counting = chain.workshop.start(_count_step(chain, made))
    judged = chain.judge(made)
    checks, lost = _overflow(chain, counting.result().folder)
    measured = msgspec.structs.replace(judged.measured, checks=(*judged.measured.checks, *checks))
    limits = chain.request.limits_for(wanted.precision, wanted.format)
    known = {one.tensor for one in ranges_of(scanned.folder).of("min_max") or ()}
    return (
        replace(judged, measured=measured, accepted=accepted(measured.checks, limits)),
        tuple(name for name in lost if name in known),
    )


def _count_step(chain: ArtifactChain, made: MadeArtifact) -> CountStep:
    return CountStep(
        label=made.artifact.id,
        artifact=made.path,
        artifact_sha256=made.artifact.sha256,
        contract=chain.request.contract,
        binding=made.artifact.binding,
        images=chain.request.images,
    )


def _overflow(chain: ArtifactChain, folder: Path) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """The checks of what float16 loses inside a file, and the operations that overflow."""
    from phoneproof.verify.evidence import Setting
    from phoneproof.verify.rounding import overflowing, rounding_checks

    counted, images = counted_of(folder), counted_on(chain.request.images)
    setting = Setting(dataset=images.ref, runtime=counted.runtime, device="cpu")
    checks = rounding_checks(setting, counted.findings, len(images.items))
    return checks, overflowing(counted.findings)


def _damage(
    chain: ArtifactChain, parent: MadeArtifact, candidate: MadeArtifact
) -> tuple[LayerDamage, ...]:
    step = damage_step(parent, candidate, chain.request.contract, chain.request.images)
    return damage_of(chain.workshop.cache.result(step).folder)


def _candidate(
    chain: ArtifactChain,
    wanted: ArtifactRequest,
    parent: MadeArtifact,
    ranges: Path,
    layers: tuple[str, ...],
) -> MadeArtifact:
    count = f", {len(layers)} float32 layer{'s' if len(layers) > 1 else ''}"
    step = OptimizeStep(
        label=f"float16{count if layers else ''}",
        format=wanted.format,
        recipe=Float16(float32_share=0.0, float_layers=layers),
        artifact=parent.path,
        artifact_sha256=parent.artifact.sha256,
        contract=chain.request.contract,
        binding=parent.artifact.binding,
        ranges=ranges,
    )
    made = made_artifact(
        chain.workshop.cache.result(step),
        requested=wanted.precision,
        parent=parent.artifact.sha256,
        step=step.name,
        suffix=wanted.suffix,
    )
    return named_apart(made) if made.artifact.precision == "float32" else made


def named_apart(made: MadeArtifact) -> MadeArtifact:
    """A float16 file in which nothing became float16 is not the float32 file that may ship too."""
    artifact = made.artifact
    path = PurePosixPath(artifact.path)
    suffix = f"-for-{artifact.requested}"
    apart = msgspec.structs.replace(
        artifact,
        id=artifact.id + suffix,
        path=str(path.with_name(f"{path.stem}{suffix}{path.suffix}")),
    )
    return replace(made, artifact=apart)
