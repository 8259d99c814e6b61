"""The captured hub as the file that candidates are made from."""

from __future__ import annotations

from typing import Final

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.pipeline.artifact_chain import ArtifactChain
from phoneproof.pipeline.artifact_steps import MadeArtifact

CAPTURED: Final = "hub-float32"


def hub_artifact(chain: ArtifactChain) -> MadeArtifact:
    """The hub program of the build: float32, made by the capture."""
    hub = chain.hub
    artifact = Artifact(
        id=CAPTURED,
        format="hub",
        requested="float32",
        precision="float32",
        path=hub.path.name,
        bytes=hub.path.stat().st_size,
        sha256=hub.info.sha256,
        binding=hub.binding,
        lineage=Lineage(parent=hub.info.sha256, step="capture"),
    )
    return MadeArtifact(artifact=artifact, path=hub.path)
