"""Core AI's float16 file: made on the hub, with as few float32 layers as it takes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.core.optimization import LayerDamage
from phoneproof.core.recipe import Float16
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.pipeline.apple_float16 import (
    SPARE_DB,
    STEP_DB,
    Islands,
    fewest_islands,
    named_apart,
)
from phoneproof.pipeline.artifact_steps import MadeArtifact, OptimizeStep, made_artifact
from phoneproof.pipeline.float16_steps import HubScanStep, scan_of
from phoneproof.pipeline.request import ArtifactRequest

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact

TRIES: Final = 3
"""Files after the first: each takes Apple's Linux runtime seconds an image."""


@dataclass(frozen=True, kw_only=True)
class CoreAiFloat16:
    """The judged file, and the hub program that it was converted from."""

    judged: JudgedArtifact
    hub: MadeArtifact


def core_ai(chain: ArtifactChain, wanted: ArtifactRequest) -> CoreAiFloat16:
    """The Core AI float16 file with the fewest float32 layers that is accepted.

    Its converter takes the arithmetic of the hub as it stands, casts included. What float16 makes
    of the program is computed before anything is converted: see `fewest_islands`.
    """
    asked = chain.request.limits_for(wanted.precision, wanted.format).snr_db
    scan = _scan(chain, None if asked is None else asked + SPARE_DB)
    hubs: dict[str, MadeArtifact] = {}

    def judged(layers: tuple[str, ...]) -> tuple[JudgedArtifact, tuple[str, ...]]:
        hub = half_hub(chain, layers)
        made = converted(chain, wanted, hub, wanted.id)
        if made.artifact.precision == "float32":
            made = named_apart(made)
        hubs[made.artifact.sha256] = hub
        return chain.judge(made), ()

    def damage(first: MadeArtifact) -> tuple[LayerDamage, ...]:
        # Quiet enough when it was computed, and refused when it was measured.
        del first
        return () if scan.snr_db is None else _scan(chain, scan.snr_db + STEP_DB).damage

    found = fewest_islands(
        chain, wanted, Islands(scan=scan, judged=judged, damage=damage, tries=TRIES)
    )
    return CoreAiFloat16(judged=found, hub=hubs[found.made.artifact.sha256])


def half_hub(chain: ArtifactChain, layers: tuple[str, ...] = ()) -> MadeArtifact:
    """The hub program of float16 arithmetic, but for some layers."""
    hub = chain.hub
    count = f", {len(layers)} float32 layer{'s' if len(layers) > 1 else ''}"
    step = OptimizeStep(
        label=f"float16{count if layers else ''}",
        format="hub",
        recipe=Float16(float32_share=0.0, float_layers=layers),
        artifact=hub.path,
        artifact_sha256=hub.info.sha256,
        contract=chain.request.contract,
        binding=hub.binding,
    )
    return chain.from_hub(step)


def converted(
    chain: ArtifactChain, wanted: ArtifactRequest, hub: MadeArtifact, label: str
) -> MadeArtifact:
    """What `wanted` is of a changed hub program: its numbers, in the file of its format."""
    converting = chain.conversion(wanted, label, hub)
    made = made_artifact(
        chain.workshop.cache.result(converting),
        requested=wanted.precision,
        parent=hub.artifact.sha256,
        step=f"{hub.artifact.lineage.step}, {converting.name}",
        suffix=wanted.suffix,
    )
    lineage = made.artifact.lineage
    options = tuple(sorted({*lineage.options, *hub.artifact.lineage.options}))
    told = msgspec.structs.replace(lineage, options=options)
    return replace(made, artifact=msgspec.structs.replace(made.artifact, lineage=told))


def _scan(chain: ArtifactChain, snr_db: float | None) -> Float16Scan:
    hub = chain.hub
    step = HubScanStep(
        label="hub",
        artifact=hub.path,
        artifact_sha256=hub.info.sha256,
        contract=chain.request.contract,
        binding=hub.binding,
        images=chain.request.images,
        snr_db=snr_db,
    )
    return scan_of(chain.workshop.cache.result(step).folder)
