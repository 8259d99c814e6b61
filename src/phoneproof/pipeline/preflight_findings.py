"""Both sets side by side: who stands out among the production pictures, and how the sets differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.capture import Hazard
from phoneproof.core.contract import Contract, Task
from phoneproof.core.dataset import ImageSet
from phoneproof.core.preflight import (
    ClassReport,
    FeatureReport,
    PictureReport,
    Preflight,
    Surprise,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from phoneproof.runtimes.predict import Prediction

LISTED_PICTURES = 200
"""Surprising pictures named in the report: nobody reads more, and all are counted."""

LISTED_CLASSES = 20


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of one picture, as little as the comparison needs.

    confidence: of the most certain result, 0 where there is none, null where the task has none.
    classes: label indices predicted. shown: how many results an app shows.
    """

    confidence: float | None
    classes: tuple[int, ...]
    shown: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """One set: its facts float64 [n, 6] and what was said of each picture."""

    facts: NDArray[np.float64]
    said: tuple[Said, ...]


def compare_sets(
    *,
    contract: Contract,
    images: ImageSet,
    facts: NDArray[np.float64],
    predictions: Iterable[Prediction],
    evaluation: ImageSet,
    evaluation_facts: NDArray[np.float64],
    evaluation_predictions: Iterable[Prediction],
) -> tuple[Preflight, tuple[PictureReport, ...]]:
    """The findings without a sheet, and every picture with its surprises.

    Predictions stream; of each a few numbers are kept.
    """
    new = _Side(facts=facts, said=tuple(said_of(one, contract) for one in predictions))
    old = _Side(
        facts=evaluation_facts,
        said=tuple(said_of(one, contract) for one in evaluation_predictions),
    )
    features = _features(old, new)
    pictures = _pictures(images, new, features, contract.task)
    surprising = sum(bool(picture.surprises) for picture in pictures)
    detect = contract.task == "detect"
    return (
        Preflight(
            n=len(images.items),
            n_evaluation=len(evaluation.items),
            dataset=images.ref,
            nothing_found=sum(one.shown == 0 for one in new.said) if detect else None,
            evaluation_nothing_found=sum(one.shown == 0 for one in old.said) if detect else None,
            surprising=surprising,
            pictures=_listed(pictures),
            features=features,
            classes=_classes(old, new, contract),
            skipped=images.skipped,
            rule=_rule(),
            hazards=set_hazards(images, evaluation, features),
        ),
        pictures,
    )


def said_of(prediction: Prediction, contract: Contract) -> Said:
    """The few numbers of one prediction."""
    from phoneproof.decode.labels import ranking
    from phoneproof.decode.results import Classification, Detections

    app = prediction.app
    if isinstance(app, Classification):
        first = int(ranking(app, contract)[0])
        return Said(confidence=float(app.probabilities[first]), classes=(first,), shown=1)
    if isinstance(app, Detections):
        best = prediction.metric if isinstance(prediction.metric, Detections) else app
        confidence = float(best.scores.max()) if len(best.scores) else 0.0
        classes = tuple(int(index) for index in app.classes)
        return Said(confidence=confidence, classes=classes, shown=len(classes))
    return Said(confidence=None, classes=(), shown=0)


def set_hazards(
    images: ImageSet, evaluation: ImageSet, features: tuple[FeatureReport, ...] = ()
) -> tuple[Hazard, ...]:
    """Pictures that are in both sets, and sets that are not of one kind."""
    both = {item.sha256 for item in images.items} & {item.sha256 for item in evaluation.items}
    found: list[Hazard] = []
    if both:
        everything = len(both) == len(images.items)
        found.append(
            Hazard(
                name="production_is_evaluation",
                found=f"{'all' if everything else len(both)} of the {len(images.items)} "
                "production images are evaluation images too",
                next_step="production should be pictures from the app's own camera, which "
                "nobody has chosen or labelled",
                severity="warning" if everything else "note",
            )
        )
    if differing := [feature for feature in features if feature.differs]:
        names = ", ".join(feature.feature.replace("_", " ") for feature in differing)
        found.append(
            Hazard(
                name="production_differs",
                found=f"the production images differ from the evaluation images in {names} "
                f"(n = {len(images.items)} and {len(evaluation.items)})",
                next_step="label some of them and add them to the evaluation set: what is "
                "measured without them need not hold in the app",
            )
        )
    return tuple(found)


def _features(old: _Side, new: _Side) -> tuple[FeatureReport, ...]:
    import numpy as np

    from phoneproof.pixels.picture_facts import PICTURE_FEATURES
    from phoneproof.verify.production import Values, compare_features

    values = [
        Values(feature=name, evaluation=old.facts[:, column], production=new.facts[:, column])
        for column, name in enumerate(PICTURE_FEATURES)
    ]
    before, after = (_confidences(side) for side in (old, new))
    if before is not None and after is not None:
        values.append(
            Values(
                feature="confidence",
                evaluation=np.array(before, np.float64),
                production=np.array(after, np.float64),
            )
        )
    return compare_features(values)


def _confidences(side: _Side) -> list[float] | None:
    known = [one.confidence for one in side.said if one.confidence is not None]
    return known if known and len(known) == len(side.said) else None


def _pictures(
    images: ImageSet, side: _Side, features: tuple[FeatureReport, ...], task: Task
) -> tuple[PictureReport, ...]:
    return tuple(
        PictureReport(
            image=item.name,
            sha256=item.sha256,
            confidence=said.confidence,
            surprises=_surprises(features, row, said, task),
        )
        for item, row, said in zip(images.items, side.facts, side.said, strict=True)
    )


def _surprises(
    features: tuple[FeatureReport, ...], row: NDArray[np.float64], said: Said, task: Task
) -> tuple[Surprise, ...]:
    import numpy as np

    from phoneproof.verify.production import picture_surprises

    values = row if said.confidence is None else np.append(row, said.confidence)
    nothing = task == "detect" and said.shown == 0
    return picture_surprises(features, values[: len(features)], nothing_found=nothing)


def _listed(pictures: tuple[PictureReport, ...]) -> tuple[PictureReport, ...]:
    from phoneproof.package.contact_sheet import surprising_first

    return surprising_first(pictures)[:LISTED_PICTURES]


def _classes(old: _Side, new: _Side, contract: Contract) -> tuple[ClassReport, ...]:
    """The classes most often predicted on either set, and the rest as one."""
    from phoneproof.decode.labels import label_text

    before = Counter(index for one in old.said for index in one.classes)
    after = Counter(index for one in new.said for index in one.classes)
    share = {
        index: before[index] / max(1, before.total()) + after[index] / max(1, after.total())
        for index in before | after
    }
    ordered = sorted(share, key=lambda index: (-share[index], index))
    listed = [
        ClassReport(
            label=label_text(contract, index), evaluation=before[index], production=after[index]
        )
        for index in ordered[:LISTED_CLASSES]
    ]
    if rest := ordered[LISTED_CLASSES:]:
        other = ClassReport(
            label=f"({len(rest)} others)",
            evaluation=sum(before[index] for index in rest),
            production=sum(after[index] for index in rest),
        )
        listed.append(other)
    return tuple(listed)


def _rule() -> str:
    from phoneproof.verify.production import RULE

    return RULE
