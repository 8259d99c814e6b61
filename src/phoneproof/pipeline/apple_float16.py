"""Apple's float16: arithmetic, not only storage, so that some layers may have to stay float32."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16
from phoneproof.pipeline.artifact_steps import MadeArtifact, OptimizeStep, made_artifact
from phoneproof.pipeline.damage_step import DamageStep, damage_of
from phoneproof.pipeline.request import ArtifactRequest

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact

TRIES: Final = 4
"""Files with islands: the first does where little is missing, each further one corrects the
estimate (yolov8n needs three)."""
SPARE_DB: Final = 0.5
"""What is aimed at beyond the limit: the estimate is of a few images and to first order."""
STEP_DB: Final = 3.0
"""How much quieter the next try shall be where noise is not what refuses a file."""


def with_islands(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
) -> JudgedArtifact:
    """The Core ML float16 file with the fewest float32 layers that is accepted.

    All float16 first. Where that is refused, the layers whose rounding does most are kept float32,
    until the noise that the others are expected to make is below the limit. Where none is
    accepted: the first, refused.
    """
    from phoneproof.optimize.islands import expected_db, fewest
    from phoneproof.pipeline.artifact_chain import attempt

    first = chain.judge(_candidate(chain, wanted, parent, ()))
    if first.accepted:
        return first
    damage = _damage(chain, parent, first.made)
    refused = [first]
    layers: tuple[str, ...] = ()
    for _ in range(TRIES):
        more = fewest(damage, _aim(chain, wanted, refused[-1], expected_db(damage, layers)))
        if len(more) <= len(layers):
            break
        layers = more
        judged = chain.judge(_candidate(chain, wanted, parent, layers))
        if judged.accepted:
            return replace(judged, attempts=tuple(map(attempt, refused)))
        refused.append(judged)
    return replace(first, attempts=tuple(map(attempt, refused[1:])))


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


def core_ai(chain: ArtifactChain, wanted: ArtifactRequest) -> MadeArtifact:
    """The Core AI float16 file: its converter takes the arithmetic of the hub as it stands."""
    hub = chain.hub
    step = OptimizeStep(
        label="float16",
        format="hub",
        recipe=Float16(float32_share=0.0),
        artifact=hub.path,
        artifact_sha256=hub.info.sha256,
        contract=chain.request.contract,
        binding=hub.binding,
    )
    narrow = chain.from_hub(step)
    converting = chain.conversion(wanted, wanted.id, narrow)
    return made_artifact(
        chain.workshop.cache.result(converting),
        requested=wanted.precision,
        parent=narrow.artifact.sha256,
        step=f"{step.name}, {converting.name}",
        suffix=wanted.suffix,
    )


def _damage(
    chain: ArtifactChain, parent: MadeArtifact, candidate: MadeArtifact
) -> tuple[LayerDamage, ...]:
    step = DamageStep(
        label=candidate.artifact.id,
        artifact=parent.path,
        artifact_sha256=parent.artifact.sha256,
        candidate=candidate.path,
        candidate_sha256=candidate.artifact.sha256,
        contract=chain.request.contract,
        binding=parent.artifact.binding,
        images=chain.request.images,
    )
    return damage_of(chain.workshop.cache.result(step).folder)


def _candidate(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact, layers: tuple[str, ...]
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
    )
    return made_artifact(
        chain.workshop.cache.result(step),
        requested=wanted.precision,
        parent=parent.artifact.sha256,
        step=step.name,
        suffix=wanted.suffix,
    )
