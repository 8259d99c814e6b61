"""The axes of the Pareto picture: what accuracy is called, and where a file stands."""

from __future__ import annotations

from phoneproof.core.optimization import ParetoPoint
from phoneproof.core.report import Report


def axis_name(report: Report) -> str:
    """What the accuracy of the artifacts is called."""
    if any(point.accuracy is not None for point in report.pareto):
        return "top-1" if report.capture.contract.task == "classify" else "mAP50-95"
    return "agreement"


def accuracy_of(point: ParetoPoint) -> float | None:
    """Accuracy, or agreement where nothing is labelled."""
    return point.accuracy if point.accuracy is not None else point.agreement


def height_of(point: ParetoPoint) -> float | None:
    """The point's place in the Pareto picture: points of change against the baseline.

    Not its accuracy: artifacts are measured on different images, and only what they change on
    their own images compares.
    """
    if point.loss is not None:
        return -100.0 * point.loss
    return None if point.agreement is None else 100.0 * (point.agreement - 1.0)


def height_bounds(point: ParetoPoint) -> tuple[float, float] | None:
    """The 95 % bounds of `height_of`."""
    if point.bounds is None or point.accuracy is None or point.loss is None:
        return None
    baseline = point.accuracy + point.loss
    return 100.0 * (point.bounds[0] - baseline), 100.0 * (point.bounds[1] - baseline)
