"""Apple's float16: arithmetic, not only storage, so that some layers may have to stay float32."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from phoneproof.core.recipe import Float16
from phoneproof.pipeline.artifact_steps import MadeArtifact, OptimizeStep, made_artifact
from phoneproof.pipeline.damage_step import DamageStep, damage_of
from phoneproof.pipeline.request import ArtifactRequest

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact

QUIETER_DB: Final = (3.0, 9.0, 15.0)
"""How far below its limit the expected noise of what stays float16 is brought, tried in this
order: the estimate is of a few images and to first order, the limit of the worst output."""


def with_islands(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact
) -> JudgedArtifact:
    """The Core ML float16 file with the fewest float32 layers that is accepted.

    All float16 first. Where that is refused, the layers whose rounding does most are kept float32,
    until the noise that the others are expected to make is below the limit. Where none is
    accepted: the first, refused.
    """
    from phoneproof.pipeline.artifact_chain import attempt

    first = chain.judge(_candidate(chain, wanted, parent, ()))
    refused = [first]
    tries = () if first.accepted else _islands(chain, wanted, parent, first.made)
    for layers in tries:
        judged = chain.judge(_candidate(chain, wanted, parent, layers))
        if judged.accepted:
            return replace(judged, attempts=tuple(map(attempt, refused)))
        refused.append(judged)
    return replace(first, attempts=tuple(map(attempt, refused[1:])))


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


def _islands(
    chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact, candidate: MadeArtifact
) -> Iterator[tuple[str, ...]]:
    """Layers to keep, fewest first; each proposal once."""
    from phoneproof.optimize.islands import noisiest

    limit = chain.request.limits_for(wanted.precision, wanted.format).snr_db
    if limit is None:
        return
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
    damage = damage_of(chain.workshop.cache.result(step).folder)
    proposed = {noisiest(damage, limit + more): None for more in QUIETER_DB}
    yield from (layers for layers in proposed if layers)


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
