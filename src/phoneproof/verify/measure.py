"""The entry the pipeline calls: two models' predictions of the same images in, checks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

import msgspec

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import VerificationFailed
from phoneproof.decode.results import Classification, Detections
from phoneproof.runtimes.predict import Prediction
from phoneproof.verify.bounded import RoleRow, compare_roles, hub_checks, role_checks
from phoneproof.verify.box_agreement import (
    AgreementRow,
    box_agreement_check,
    compare_boxes,
    shown_scores_check,
)
from phoneproof.verify.classification_metrics import (
    ClassRow,
    accuracy_checks,
    compare_classes,
    probability_shift_check,
    top1_agreement_check,
)
from phoneproof.verify.clear_agreement import (
    ClearRow,
    clear_agreement_check,
    compare_clear,
)
from phoneproof.verify.detection_metrics import (
    DetectionRow,
    detection_checks,
    precision_checks,
    truth_of,
)
from phoneproof.verify.distribution import (
    ScoreRow,
    compare_scores,
    lost_share_check,
    score_shift_check,
)
from phoneproof.verify.evidence import Setting, bounded_check
from phoneproof.verify.hints import with_fitting_hints
from phoneproof.verify.label_order import label_order_check, named_images, named_objects
from phoneproof.verify.limits import FLOAT32_LIMITS, FLOATS, Limits
from phoneproof.verify.stand_ins import held_to

MAX_PAIRS: Final = 2000
"""Score pairs kept for the report's plot: more points than a plot can show help nobody."""

Triple = tuple[ImageItem, Prediction, Prediction]
Pairs = tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Checks, and (baseline, candidate) scores of matched results for the confidence plot."""

    checks: tuple[Check, ...]
    scores: Pairs


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rows:
    """Small records of every image, filled while both sequences stream by."""

    roles: list[RoleRow] = field(default_factory=list)
    classes: list[ClassRow] = field(default_factory=list)
    agreement: list[AgreementRow] = field(default_factory=list)
    clear: list[ClearRow] = field(default_factory=list)
    scores: list[ScoreRow] = field(default_factory=list)
    detections: list[DetectionRow] = field(default_factory=list)


def measure(
    *,
    baseline: Iterable[Prediction],
    candidate: Iterable[Prediction],
    images: ImageSet,
    contract: Contract,
    precision: Precision,
    limits: Limits,
    runtime: str,
    device: str,
    baseline_bytes: int | None = None,
    candidate_bytes: int | None = None,
    outputs_kept: bool = True,
    shown_at: float | None = None,
    class_maps: frozenset[str] = frozenset(),
) -> Measurement:
    """Compare two models image by image; memory grows by small records only.

    Args:
        baseline, candidate: predictions of `images`, in their order. Outputs (`roles`) are
            compared on the images where both kept them.
        images: with labels on every image the metrics are measured too, else left out.
        precision: float32 and float16 are held to agreement; a looser one where `limits`
            say so, and by `held_to` where no loss can be measured.
        baseline_bytes, candidate_bytes: file sizes; null leaves size_ratio out.
        outputs_kept: false where a stored baseline holds results alone; then a float step may
            be judged by them.
        shown_at: the app's threshold with the candidate, where its binding has one of its own.
        class_maps: outputs of class numbers (`decode.heads.class_maps`).

    Raises:
        VerificationFailed: the candidate's outputs have other names or shapes, or a float step
            has no outputs to compare.
        RuntimeError: the sequences are not predictions of `images` (a bug of the caller).
    """
    needs_outputs = outputs_kept and (precision in FLOATS or contract.task == "raw")
    rows = _collect(baseline, candidate, images, contract, limits, needs_outputs)
    setting = Setting(dataset=images.ref, runtime=runtime, device=device)
    losses = _loss_checks(setting, rows, images, contract, limits)
    held = held_to(limits, contract.task, losses)
    checks = [
        *role_checks(setting, rows.roles, held, class_maps),
        *_agreement_checks(setting, rows, contract, held, shown_at),
        *losses,
        *_distribution_checks(setting, rows, contract, held, shown_at),
        *_size_checks(setting, limits, baseline_bytes, candidate_bytes),
    ]
    return Measurement(checks=with_fitting_hints(checks, precision), scores=_score_pairs(rows))


def hub_equivalence(
    baseline: Iterable[Prediction],
    hub: Iterable[Prediction],
    *,
    images: ImageSet,
    contract: Contract,
    limits: Limits = FLOAT32_LIMITS,
    runtime: str = "hub",
    device: str = "cpu",
    class_maps: frozenset[str] = frozenset(),
) -> tuple[Check, ...]:
    """The capture gate: the hub program against the source's own runtime, both float32.

    Every output within `limits.hub_equivalence` of its largest magnitude, and the same results
    on every image.
    """
    rows = _collect(baseline, hub, images, contract, limits, needs_outputs=True)
    setting = Setting(dataset=images.ref, runtime=runtime, device=device)
    checks = hub_checks(setting, rows.roles, limits, class_maps)
    if contract.task == "classify":
        checks.append(top1_agreement_check(setting, rows.classes, limits))
    elif contract.task == "detect":
        checks.append(box_agreement_check(setting, rows.agreement, limits))
    return (*checks, *_label_order(setting, rows, contract))


def agreement(
    parent: Iterable[Prediction],
    child: Iterable[Prediction],
    *,
    images: ImageSet,
    contract: Contract,
    limits: Limits,
    runtime: str,
    device: str,
    class_maps: frozenset[str] = frozenset(),
) -> tuple[Check, ...]:
    """An artifact against the one it was made from; nothing gates, labels play no part."""
    rows = _collect(parent, child, images, contract, limits, needs_outputs=True)
    setting = Setting(dataset=images.ref, runtime=runtime, device=device)
    checks = role_checks(setting, rows.roles, limits, class_maps)
    if contract.task == "classify":
        checks.append(top1_agreement_check(setting, rows.classes, limits))
    elif contract.task == "detect":
        checks.append(box_agreement_check(setting, rows.agreement, limits))
        checks.append(shown_scores_check(setting, rows.agreement, limits))
    return tuple(msgspec.structs.replace(check, against="parent", gating=False) for check in checks)


def on_labels(
    predictions: Iterable[Prediction],
    *,
    images: ImageSet,
    contract: Contract,
    runtime: str,
    device: str,
) -> tuple[Check, ...]:
    """One model against the labels: its metrics, shown, and whether the labels are its own."""
    rows = _Rows()
    for item, one in zip(images.items, predictions, strict=True):
        if isinstance(one.app, Classification):
            rows.classes.append(
                compare_classes(item.name, item.sha256, one.app, one.app, item.label, contract)
            )
        elif isinstance(one.app, Detections):
            wide = _wide(one, one.app)
            _add_labelled(rows, (item, one, one), wide, wide)
    setting = Setting(dataset=images.ref, runtime=runtime, device=device)
    complete = len(rows.detections) == len(images.items)
    return (
        *(c for c in accuracy_checks(setting, rows.classes, Limits()) if c.name != "top1_drop"),
        *(precision_checks(setting, rows.detections) if complete else ()),
        *_label_order(setting, rows, contract),
    )


def _label_order(setting: Setting, rows: _Rows, contract: Contract) -> tuple[Check, ...]:
    named = (*named_images(rows.classes), *named_objects(rows.detections))
    return label_order_check(setting, named, len(contract.labels))


def _collect(
    baseline: Iterable[Prediction],
    candidate: Iterable[Prediction],
    images: ImageSet,
    contract: Contract,
    limits: Limits,
    needs_outputs: bool,
) -> _Rows:
    rows = _Rows()
    for triple in _in_step(baseline, candidate, images):
        _compare(rows, triple, contract, limits)
    if needs_outputs and not rows.roles:
        raise VerificationFailed(
            "no outputs to compare",
            found=f"predictions of {len(images.items)} image(s), none with its outputs kept",
            next_step="keep the outputs of some images when predicting",
        )
    return rows


def _in_step(
    baseline: Iterable[Prediction], candidate: Iterable[Prediction], images: ImageSet
) -> Iterator[Triple]:
    for item, before, after in zip_longest(images.items, baseline, candidate):
        if item is None or before is None or after is None:
            raise RuntimeError("predictions and images differ in number")
        if not item.sha256 == before.sha256 == after.sha256:
            raise RuntimeError(
                f"predictions are not of the same image: {item.name} {item.sha256[:12]}, "
                f"baseline {before.name} {before.sha256[:12]}, "
                f"candidate {after.name} {after.sha256[:12]}"
            )
        yield item, before, after


def _compare(rows: _Rows, triple: Triple, contract: Contract, limits: Limits) -> None:
    item, before, after = triple
    if before.roles is not None and after.roles is not None:
        floor = _confidence(contract) / 2
        rows.roles.extend(
            compare_roles(item.name, item.sha256, before.roles, after.roles, floor=floor)
        )
    first, second = before.app, after.app
    if isinstance(first, Classification) and isinstance(second, Classification):
        rows.classes.append(
            compare_classes(item.name, item.sha256, first, second, item.label, contract)
        )
    elif isinstance(first, Detections) and isinstance(second, Detections):
        _compare_detections(rows, triple, first, second, contract, limits)


def _compare_detections(
    rows: _Rows,
    triple: Triple,
    first: Detections,
    second: Detections,
    contract: Contract,
    limits: Limits,
) -> None:
    item, before, after = triple
    wide, wide_after = _wide(before, first), _wide(after, second)
    rows.agreement.append(
        compare_boxes(item.name, item.sha256, first, second, wide, contract, limits)
    )
    rows.clear.append(compare_clear(item.name, item.sha256, first, second))
    rows.scores.append(
        compare_scores(item.name, item.sha256, first, second, wide_after, _confidence(contract))
    )
    _add_labelled(rows, triple, wide, wide_after)


def _wide(prediction: Prediction, app: Detections) -> Detections:
    """Detections under the decode of mAP; the app's where there are no others."""
    return prediction.metric if isinstance(prediction.metric, Detections) else app


def _add_labelled(rows: _Rows, triple: Triple, wide: Detections, wide_after: Detections) -> None:
    item, before, after = triple
    if item.boxes is not None and before.metric is not None and after.metric is not None:
        rows.detections.append(
            DetectionRow(
                name=item.name,
                sha256=item.sha256,
                truth=truth_of(item, before.height, before.width),
                baseline=wide,
                candidate=wide_after,
            )
        )


def _confidence(contract: Contract) -> float:
    return contract.decode.confidence if contract.decode is not None else 0.0


def _loss_checks(
    setting: Setting, rows: _Rows, images: ImageSet, contract: Contract, limits: Limits
) -> list[Check]:
    """What the labels say; none where one is missing."""
    if contract.task == "classify":
        return accuracy_checks(setting, rows.classes, limits)
    if contract.task == "detect" and len(rows.detections) == len(images.items):
        return detection_checks(setting, rows.detections, limits)
    return []


def _agreement_checks(
    setting: Setting,
    rows: _Rows,
    contract: Contract,
    limits: Limits,
    shown_at: float | None,
) -> list[Check]:
    if contract.task == "classify":
        return [top1_agreement_check(setting, rows.classes, limits)]
    if contract.task != "detect":
        return []
    boxes = (
        box_agreement_check(setting, rows.agreement, limits)
        if limits.box_match == "pixels"
        else clear_agreement_check(setting, rows.clear, _confidence(contract), limits, shown_at)
    )
    return [boxes, shown_scores_check(setting, rows.agreement, limits)]


def _distribution_checks(
    setting: Setting,
    rows: _Rows,
    contract: Contract,
    limits: Limits,
    shown_at: float | None,
) -> list[Check]:
    if contract.task == "classify":
        return [probability_shift_check(setting, rows.classes, limits)]
    if contract.task == "detect":
        return [
            score_shift_check(setting, rows.scores, limits),
            lost_share_check(setting, rows.scores, _confidence(contract), limits, shown_at),
        ]
    return []


def _size_checks(
    setting: Setting, limits: Limits, baseline_bytes: int | None, candidate_bytes: int | None
) -> list[Check]:
    if not baseline_bytes or candidate_bytes is None:
        return []
    ratio = candidate_bytes / baseline_bytes
    return [bounded_check(setting, "size_ratio", ratio, limits.size_ratio, n=1)]


def _score_pairs(rows: _Rows) -> Pairs:
    """At most MAX_PAIRS pairs, evenly thinned, in the order of the images."""
    pairs = [pair for row in rows.scores for pair in row.pairs]
    pairs.extend((row.baseline_score, row.candidate_score) for row in rows.classes)
    step = max(1, -(-len(pairs) // MAX_PAIRS))
    return tuple(pairs[::step])
