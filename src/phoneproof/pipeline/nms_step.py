"""``[targets.*] nms``: an accepted Core ML detector becomes a pipeline with suppression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.events import Progress
from phoneproof.pipeline.artifact_steps import Made, MadeArtifact, made_artifact
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.verify.stand_ins import judged_by_loss, without_stand_ins
from phoneproof.verify.verdicts import accepted

if TYPE_CHECKING:
    from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact


@dataclass(frozen=True, kw_only=True)
class NmsStep:
    """A Core ML package -> the pipeline that begins with it."""

    label: str
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding

    tools = ("coremltools", "torch", "numpy")

    @property
    def name(self) -> str:
        """Named by what becomes a pipeline."""
        return f"add NMS to {self.label}"

    def identity(self) -> object:
        """The package and what it means."""
        return self.artifact_sha256, self.contract, self.binding

    def run(self, output: Path, progress: Progress) -> None:
        """Write the package and ``made.json``."""
        from phoneproof.convert.backends.coreml_pipeline import PipelineRequest, write_pipeline

        del progress
        file = "model_nms.mlpackage"
        model = write_pipeline(
            PipelineRequest(
                source=self.artifact,
                contract=self.contract,
                binding=msgspec.structs.replace(self.binding, artifact=None),
                output=output / file,
            )
        )
        Made(file=file, model=model).keep(output)


def with_nms(
    chain: ArtifactChain, wanted: ArtifactRequest, judged: JudgedArtifact
) -> JudgedArtifact:
    """The pipeline of an accepted package, measured by what it lets an app show.

    Its own checks take the place of the package's of the same name. What no pipeline shows, the
    raw outputs and the metrics of all thresholds, stays as it was measured of the program inside;
    where that was judged by its loss, agreement does not stand in for it.
    """
    plain = judged.made
    made = _piped(chain, wanted, plain)
    found = chain.judge(made, requested=judged.held_to)
    limits = chain.request.limits_for(judged.held_to or wanted.precision, wanted.format)
    shown = found.measured.checks
    if judged_by_loss(judged.measured.checks):
        shown = without_stand_ins(shown, limits)
    own = {(check.name, check.slice, check.against) for check in shown}
    kept = tuple(
        check
        for check in judged.measured.checks
        if (check.name, check.slice, check.against) not in own
    )
    checks = (*kept, *shown)
    return replace(
        judged,
        made=made,
        run=found.run,
        measured=msgspec.structs.replace(found.measured, checks=checks),
        accepted=accepted(checks, limits),
    )


def _piped(chain: ArtifactChain, wanted: ArtifactRequest, plain: MadeArtifact) -> MadeArtifact:
    step = NmsStep(
        label=plain.artifact.id,
        artifact=plain.path,
        artifact_sha256=plain.artifact.sha256,
        contract=chain.request.contract,
        binding=plain.artifact.binding,
    )
    made = made_artifact(
        chain.workshop.cache.result(step),
        requested=wanted.precision,
        parent=plain.artifact.lineage.parent,
        step=f"{plain.artifact.lineage.step}, {step.name}",
        suffix=wanted.suffix,
    )
    artifact, before = made.artifact, plain.artifact
    options = tuple(sorted({*artifact.lineage.options, *before.lineage.options}))
    lineage = msgspec.structs.replace(artifact.lineage, options=options)
    return replace(
        made,
        artifact=msgspec.structs.replace(artifact, id=before.id, path=before.path, lineage=lineage),
    )
