"""Two outputs: boxes of anchors, and the scores of the same anchors."""

from __future__ import annotations

from dataclasses import dataclass

from phoneproof.capture.heads.coordinates import coordinates
from phoneproof.capture.heads.facts import (
    PROBABILITIES,
    HeadGuess,
    ModelFacts,
    OutputFacts,
    found,
    part,
)
from phoneproof.core.binding import Axis, Box
from phoneproof.core.capture import Finding, Head


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    boxes: OutputFacts
    box_axes: tuple[Axis, ...]
    scores: OutputFacts
    score_axes: tuple[Axis, ...]
    classes: int


def boxes_and_scores(facts: ModelFacts) -> HeadGuess | None:
    """[1, A, 4] or [1, 4, A], decoded, and [1, A, C] or [1, C, A] after softmax or sigmoid."""
    pair = _pair(facts)
    if pair is None or not set(pair.scores.ops) <= set(PROBABILITIES):
        return None
    described = coordinates(pair.boxes.leaves, pair.boxes)
    if described is None:
        return None
    box, reason = described
    head = Head(
        outputs=(
            part(pair.scores, "scores", pair.score_axes),
            part(pair.boxes, "boxes", pair.box_axes, box=box),
        )
    )
    is_softmax = pair.scores.ops[:1] == ("Softmax",)
    return HeadGuess(
        task="detect",
        head=head,
        family="ssd" if is_softmax else "",
        findings=_findings(pair, box, reason, is_softmax),
    )


def undecoded_ssd(facts: ModelFacts) -> Finding | None:
    """Offsets straight from convolutions beside scores: what a user has to add."""
    pair = _pair(facts)
    if pair is None or set(pair.boxes.ops) != {"Conv"}:
        return None
    if not set(pair.scores.ops) <= {"Conv", *PROBABILITIES}:
        return None
    anchors = pair.boxes.shape[1 + pair.box_axes.index("anchor")]
    return found(
        "head.priors",
        "unknown",
        f"{pair.boxes.spec.name} {list(pair.boxes.shape)} comes straight from convolutions: "
        f"offsets of {anchors} SSD priors, which are not in the file: describe the head under "
        '[head] with box.format = "ssd", variances and priors = "priors.npy" (rows cx, cy, w, h)',
    )


def _pair(facts: ModelFacts) -> _Pair | None:
    """Which output holds the boxes: the one of four values an anchor."""
    if len(facts.outputs) != 2 or any(len(o.shape) != 3 for o in facts.outputs):
        return None
    for boxes, scores in (facts.outputs, facts.outputs[::-1]):
        for at, other in ((2, 1), (1, 2)):
            anchors = boxes.shape[other]
            if boxes.shape[at] != 4 or anchors in (0, 4) or not boxes.leaves or not scores.leaves:
                continue
            if _looks_like_scores(boxes, scores):
                continue
            for place, beside in ((2, 1), (1, 2)):
                if scores.shape[beside] == anchors and scores.shape[place] >= 1:
                    return _Pair(
                        boxes=boxes,
                        box_axes=("anchor", "coord") if at == 2 else ("coord", "anchor"),
                        scores=scores,
                        score_axes=("anchor", "class") if place == 2 else ("class", "anchor"),
                        classes=scores.shape[place],
                    )
    return None


def _looks_like_scores(boxes: OutputFacts, scores: OutputFacts) -> bool:
    """Four classes after a softmax are no boxes."""
    return set(boxes.ops) <= set(PROBABILITIES) and not set(scores.ops) <= set(PROBABILITIES)


def _findings(pair: _Pair, box: Box, reason: str, is_softmax: bool) -> tuple[Finding, ...]:
    boxes, scores = pair.boxes, pair.scores
    task = (
        f"{boxes.spec.name} {list(boxes.shape)} beside {scores.spec.name} {list(scores.shape)}: "
        "boxes and scores of the same anchors"
    )
    findings = [
        found("contract.task", "detect", task),
        found("head.boxes", f"{box.format}, {box.units}", reason),
        found("head.scores", "activation none", f"the graph applies {scores.ops[0]}"),
    ]
    if is_softmax:
        background = (
            "softmax over the classes of an anchor includes the background; the names of the "
            "others are not in the file"
        )
        findings.append(
            found("contract.labels", f"{pair.classes} with background first", background)
        )
    return tuple(findings)
