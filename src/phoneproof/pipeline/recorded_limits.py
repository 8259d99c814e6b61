"""What a build held an artifact to, as its report says."""

from __future__ import annotations

import msgspec

from phoneproof.core.artifact import Artifact
from phoneproof.core.errors import InvalidInput
from phoneproof.core.report import Report
from phoneproof.verify.limits import Limits


def recorded_limits(report: Report, artifact: Artifact) -> Limits:
    """The limits of one artifact.

    Raises:
        InvalidInput: the report's limits cannot be read.
    """
    recorded = next(one for one in report.artifacts if one.id == artifact.id)
    try:
        return msgspec.convert(dict(recorded.limits), Limits)
    except msgspec.ValidationError as error:
        raise InvalidInput(
            f"the limits of {artifact.id} in the bundle's report cannot be read", found=str(error)
        ) from error
