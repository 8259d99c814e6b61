"""When a result is the recorded one: classes by probability, boxes by class, score and place."""

from __future__ import annotations

from dataclasses import dataclass

from phoneproof.core.artifact import Artifact
from phoneproof.core.contract import Contract
from phoneproof.core.golden import GoldenBox, GoldenOutputs
from phoneproof.core.tolerances import FLOAT_BOX_PIXELS, MATCH_IOU
from phoneproof.decode.decode import app_policy
from phoneproof.decode.results import Classification, Detections, Results


@dataclass(frozen=True, kw_only=True, slots=True)
class Same:
    """When a result is the recorded one. score: how far its score may lie from the recorded one.
    by_overlap: boxes by IoU (`MATCH_IOU`) instead of pixels: a step of an 8-bit box is pixels."""

    score: float
    by_overlap: bool

    def box(self, a: GoldenBox, b: GoldenBox) -> bool:
        """Whether two boxes are one."""
        if a.label != b.label or abs(a.score - b.score) > self.score:
            return False
        if all(abs(p - q) <= FLOAT_BOX_PIXELS for p, q in zip(a.box, b.box, strict=True)):
            return True
        return self.by_overlap and _overlap(a, b) >= MATCH_IOU


def _overlap(a: GoldenBox, b: GoldenBox) -> float:
    """Intersection over union."""
    sides = [
        max(0.0, min(a.box[end + 2], b.box[end + 2]) - max(a.box[end], b.box[end]))
        for end in (0, 1)
    ]
    shared = sides[0] * sides[1]
    areas = sum((one.box[2] - one.box[0]) * (one.box[3] - one.box[1]) for one in (a, b))
    return shared / (areas - shared) if areas > shared else 0.0


def results_again(
    expected: GoldenOutputs, results: Results, threshold: float, same: Same
) -> tuple[int, int, int]:
    """How many recorded results came again, of how many, and how many were ties."""
    if isinstance(results, Classification) and expected.classes is not None:
        return _classes_again(expected, results, same)
    if isinstance(results, Detections) and expected.boxes is not None:
        return _boxes_again(expected.boxes, results, threshold, same)
    if expected.classes is None and expected.boxes is None:
        return 0, 0, 0
    return 0, 1, 0


def shown_from(contract: Contract, artifact: Artifact) -> float:
    """The score from which the app shows a result of this very file."""
    if contract.task != "detect":
        return 0.0
    return app_policy(contract, artifact.binding).confidence


def _classes_again(
    expected: GoldenOutputs, results: Classification, same: Same
) -> tuple[int, int, int]:
    """Every recorded probability within the tolerance: the order then agrees up to ties."""
    classes = expected.classes or ()
    known = len(results.probabilities)
    found = sum(
        c.label < known and abs(float(results.probabilities[c.label]) - c.probability) <= same.score
        for c in classes
    )
    return found, len(classes), 0


def _boxes_again(
    expected: tuple[GoldenBox, ...], results: Detections, threshold: float, same: Same
) -> tuple[int, int, int]:
    """Each clear recorded box must come again, and each clear box must have been recorded."""
    clear = threshold + 2 * same.score
    rows = zip(results.boxes.tolist(), results.scores.tolist(), results.classes, strict=True)
    now = [GoldenBox(box=(b[0], b[1], b[2], b[3]), score=s, label=int(c)) for b, s, c in rows]
    must = [box for box in expected if box.score > clear]
    new = [box for box in now if box.score > clear]
    unmatched = sum(not any(same.box(box, other) for other in expected) for box in new)
    found = sum(any(same.box(box, other) for other in now) for box in must)
    return found, len(must) + unmatched, len(expected) - len(must)
