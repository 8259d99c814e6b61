"""Core ML's pipelines: models in a row, each of which reads what those before it give."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from phoneproof.core.errors import Unsupported
from phoneproof.formats.coreml.file import CoreMlFile

PIPELINE: Final = "pipeline"
_DETECTOR: Final = ("mlProgram", "mlProgram", "nonMaximumSuppression")


def stages(file: CoreMlFile) -> tuple[CoreMlFile, ...]:
    """The network, what brings its boxes into form, and the suppression.

    Raises:
        Unsupported: a pipeline of other models.
    """
    parts = tuple(replace(file, spec=model) for model in file.spec.pipeline.models)
    kinds = tuple(part.kind for part in parts)
    if kinds != _DETECTOR:
        raise Unsupported(
            f"{file.name} is a pipeline that is not read",
            found=", ".join(kinds) or "no models",
            next_step=f"those of detectors are: {', '.join(_DETECTOR)}",
        )
    return parts


def network_of(file: CoreMlFile) -> CoreMlFile:
    """The network of a detector's pipeline; any other model as it is.

    Raises:
        Unsupported: as `stages`.
    """
    return stages(file)[0] if file.kind == PIPELINE else file
