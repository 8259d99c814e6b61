"""Classifiers: one row of scores."""

from __future__ import annotations

from phoneproof.capture.heads.facts import (
    PROBABILITIES,
    HeadGuess,
    ModelFacts,
    found,
    part,
)
from phoneproof.core.binding import Axis
from phoneproof.core.capture import Head

_LOGITS = ("Gemm", "MatMul", "Add", "Conv", "GlobalAveragePool", "AveragePool", "ReduceMean")


def classifier(facts: ModelFacts) -> HeadGuess | None:
    """[1, C], [1, C, 1, 1] or [1, 1, 1, C]."""
    if len(facts.outputs) != 1:
        return None
    output = facts.outputs[0]
    axes = _class_axes(output.shape)
    ops = set(output.ops)
    if axes is None or len(ops) != 1:
        return None
    op = ops.pop()
    if op not in (*PROBABILITIES, *_LOGITS, "LogSoftmax"):
        return None
    done = op in PROBABILITIES
    reason = f"the graph ends in {op}" if done else f"the graph ends in {op}: logits"
    scores = part(output, "scores", axes, activation="none" if done else "softmax")
    ultralytics = facts.ultralytics_task == "classify"
    return HeadGuess(
        task="classify",
        head=Head(outputs=(scores,)),
        family="ultralytics" if ultralytics else "",
        preset="ultralytics.classify" if ultralytics else "",
        findings=(
            found("contract.task", "classify", f"one output {list(output.shape)}: one class row"),
            found("head.scores", f"activation {scores.activation}", reason),
        ),
    )


def _class_axes(shape: tuple[int, ...]) -> tuple[Axis, ...] | None:
    """Axes of one row of at least two classes: [1,C], [1,C,1,1] or [1,1,1,C]."""
    if len(shape) == 2 and shape[1] >= 2:
        return ("class",)
    if len(shape) == 4 and shape[2:] == (1, 1) and shape[1] >= 2:
        return ("class", "y", "x")
    if len(shape) == 4 and shape[1:3] == (1, 1) and shape[3] >= 2:
        return ("y", "x", "class")
    return None
