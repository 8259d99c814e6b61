"""Class names of a model: from the file, the data set, or placeholders; always with the reason."""

from __future__ import annotations

from phoneproof.capture.ultraface import is_ultraface
from phoneproof.core.capture import Finding, Inspection

Labels = tuple[str | None, ...]

IMAGENET_CLASSES = 1000
KEY = "contract.labels"


def guess_labels(
    inspection: Inspection, found: tuple[str, ...], classes: int | None
) -> tuple[Labels, Finding]:
    """Labels in index order; null for background or a gap.

    Args:
        found: the data set's class names, in its own order.
        classes: width of the scores; null where the model has none (raw).
    """
    read = inspection.labels
    if classes is None:
        why = "implied: a raw model has no classes"
        if inspection.task == "detect":
            why = (
                "assumed: detections carry class numbers, and neither file nor data set names them"
            )
        return (), Finding(key=KEY, value="none", reason=why)
    if len(read) == classes and any(read):
        named = tuple(label or None for label in read)
        return named, _finding(named, "read: class names in the model file")
    if len(found) == classes:
        why = f"the data set has {classes} classes too, and its order is the model's"
        return found, _finding(found, f"assumed: {why}")
    if len(found) == classes - 1 and found:
        why = f"the model has one score more than the data set's {len(found)} classes"
        return _after_background(found, f"assumed: {why}, so the first one is background")
    if is_ultraface(inspection):
        return _after_background(("face",), "implied: UltraFace scores background and face")
    if classes == IMAGENET_CLASSES + 1:
        why = "1001 scores are ImageNet's 1000 classes after a background"
        return _after_background(
            _numbered(IMAGENET_CLASSES), f"implied: {why}; assumed: the names, which no file holds"
        )
    if inspection.evidence.family == "ssd":
        why = "softmax scores of anchors begin with the background; no file holds the names"
        return _after_background(_numbered(classes - 1), f"assumed: {why}")
    why = f"{classes} scores, but {len(read)} names in the file, {len(found)} in the data set"
    labels = _numbered(classes)
    return labels, _finding(labels, f"assumed: {why}; replace them by the real names")


def _after_background(names: tuple[str, ...], reason: str) -> tuple[Labels, Finding]:
    labels = (None, *names)
    return labels, _finding(labels, reason)


def _numbered(count: int) -> tuple[str, ...]:
    """Named by the data set's class number, as `data.match` expects placeholders."""
    return tuple(f"class {number}" for number in range(count))


def _finding(labels: Labels, reason: str) -> Finding:
    named = [label for label in labels if label is not None]
    shown = ", ".join(named[:3]) + (", ..." if len(named) > 3 else "")
    background = len(labels) - len(named)
    extra = f" and {background} without a name" if background else ""
    return Finding(key=KEY, value=f"{len(named)} classes ({shown}){extra}", reason=reason)
