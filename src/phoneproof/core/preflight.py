"""What the model says of pictures as an app will see them, and what was recorded of it before.

The production pictures carry no labels: nothing here is a verdict on accuracy. It says where they
are unlike the evaluation images, which is where the measured figures do not hold.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from phoneproof.core.capture import Hazard
from phoneproof.core.check import CheckName, DatasetRef
from phoneproof.core.schema import SchemaType

PictureFeature = Literal[
    "brightness", "contrast", "saturation", "sharpness", "short_side", "aspect_ratio"
]
"""Facts of a picture: see `phoneproof.pixels.picture_facts`."""

Feature = PictureFeature | Literal["confidence"]
Side = Literal["low", "high"]


class Surprise(SchemaType, frozen=True, kw_only=True):
    """One way in which one picture stands out.

    feature: "nothing_found" for a detector that shows nothing. limit: of the evaluation images,
    beyond which `value` lies on its `side`; null where there is none.
    """

    feature: Feature | Literal["nothing_found"]
    side: Side = "low"
    value: float
    limit: float | None = None


class PictureReport(SchemaType, frozen=True, kw_only=True):
    """One production picture with what is surprising about it.

    confidence: of its most certain result; null where the task has none.
    """

    image: str
    sha256: str
    confidence: float | None = None
    surprises: tuple[Surprise, ...] = ()


class FeatureReport(SchemaType, frozen=True, kw_only=True):
    """One feature over both sets.

    low, high: limits taken from the evaluation images (`high` is null for confidence). below,
    above: production pictures beyond them. expected: how many pictures would lie beyond each
    limit on average if both sets came from the same place. distance, p_value: of the two-sample
    Kolmogorov-Smirnov test. differs: the sets differ as sets, by the rule in `Preflight.rule`.
    """

    feature: Feature
    evaluation_median: float
    production_median: float
    low: float
    high: float | None
    below: int
    above: int
    expected: float
    distance: float
    p_value: float
    differs: bool


class ClassReport(SchemaType, frozen=True, kw_only=True):
    """How often the model predicts one class: pictures (classify) or shown boxes (detect)."""

    label: str
    evaluation: int
    production: int


class Preflight(SchemaType, frozen=True, kw_only=True):
    """Production pictures seen by the captured model.

    nothing_found, evaluation_nothing_found: pictures without a shown detection; null where the
    task is not detection. surprising: how many pictures have a surprise, of which `pictures`
    lists the first. shown: sha256 of those on the contact sheet, in its order. rule: how the
    limits and the statement on the sets are made.
    """

    n: int
    n_evaluation: int
    dataset: DatasetRef
    nothing_found: int | None = None
    evaluation_nothing_found: int | None = None
    surprising: int
    pictures: tuple[PictureReport, ...] = ()
    features: tuple[FeatureReport, ...]
    classes: tuple[ClassReport, ...] = ()
    shown: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    rule: str
    hazards: tuple[Hazard, ...] = ()


class RecordedMetric(SchemaType, frozen=True, kw_only=True):
    """A metric that came with the source, beside the same figure measured here.

    key: as recorded. bounds: one-sided 95 % bounds of `measured`, whose n images need not be
    those of the training. agrees: the recorded value lies within them. sentence: all of it.
    """

    key: str
    name: CheckName
    recorded: float
    measured: float
    bounds: tuple[float, float]
    n: int
    agrees: bool
    sentence: str


class PreflightReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``phoneproof preflight --json`` prints."""

    schema: Literal["phoneproof.preflight/1"] = "phoneproof.preflight/1"
    name: str
    version: str
    production: Preflight
    recorded: tuple[RecordedMetric, ...] = ()
    hazards: tuple[Hazard, ...] = ()
