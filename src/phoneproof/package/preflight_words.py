"""Sentences about production pictures, for the page, the terminal and the model card."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from phoneproof.core.preflight import Feature, FeatureReport, Preflight, Surprise
from phoneproof.package.wording import number

FEATURE_TITLE: Final[MappingProxyType[Feature, str]] = MappingProxyType(
    {
        "brightness": "Brightness (mean luma, 0 to 1)",
        "contrast": "Contrast (standard deviation of luma)",
        "saturation": "Saturation (mean, 0 to 1)",
        "sharpness": "Sharpness (variance of the Laplacian)",
        "short_side": "Shorter side (pixels)",
        "aspect_ratio": "Width / height",
        "confidence": "Confidence of the best result",
    }
)

_THAN: Final[MappingProxyType[tuple[Feature, str], str]] = MappingProxyType(
    {
        ("brightness", "low"): "darker",
        ("brightness", "high"): "brighter",
        ("contrast", "low"): "flatter",
        ("contrast", "high"): "higher in contrast",
        ("saturation", "low"): "greyer",
        ("saturation", "high"): "more colourful",
        ("sharpness", "low"): "more blurred",
        ("sharpness", "high"): "sharper or noisier",
        ("short_side", "low"): "smaller",
        ("short_side", "high"): "larger",
        ("aspect_ratio", "low"): "taller in shape",
        ("aspect_ratio", "high"): "wider in shape",
        ("confidence", "low"): "less certain",
        ("confidence", "high"): "more certain",
    }
)


def surprise_text(surprise: Surprise) -> str:
    """darker (0.031; evaluation from 0.12): what stands out, with the figure and its limit."""
    value = number(surprise.value)
    if surprise.feature == "nothing_found":
        return f"nothing found (best score {value})"
    word = _THAN[surprise.feature, surprise.side]
    if surprise.limit is None:
        return f"{word} ({value})"
    side = "from" if surprise.side == "low" else "up to"
    return f"{word} ({value}; evaluation {side} {number(surprise.limit)})"


def surprise_words(surprises: tuple[Surprise, ...]) -> str:
    """nothing found, more blurred, smaller: for the caption of a small picture."""
    return ", ".join(
        "nothing found" if one.feature == "nothing_found" else _THAN[one.feature, one.side]
        for one in surprises
    )


def summary_line(preflight: Preflight) -> str:
    """One line for a terminal: 40 images, 6 with nothing found, 12 darker than the evaluation's.

    Only what is more than chance explains is told of a feature.
    """
    parts = [f"{preflight.n} image{'' if preflight.n == 1 else 's'}"]
    if preflight.nothing_found is not None:
        parts.append(f"{preflight.nothing_found or 'none'} with nothing found")
    counts = [part for report in preflight.features for part in _counted(report)]
    if counts:
        parts.append(", ".join(counts) + " than the evaluation images")
    elif preflight.n_evaluation:
        parts.append("none more unlike the evaluation images than chance explains")
    return ", ".join(parts)


def _counted(report: FeatureReport) -> list[str]:
    expected = report.expected
    return [
        f"{count} {_THAN[report.feature, side]}"
        for count, side in ((report.below, "low"), (report.above, "high"))
        if count > max(1.0, 2.0 * expected)
    ]


def set_words(preflight: Preflight) -> str:
    """The statement on the two sets as sets, with both n."""
    differing = [_title(report) for report in preflight.features if report.differs]
    n = f"{preflight.n} production against {preflight.n_evaluation} evaluation images"
    if not differing:
        return f"As sets no difference is shown in any feature ({n}); few images show little."
    return (
        f"The production images are another kind of picture than the evaluation images in "
        f"{', '.join(differing)} ({n}): what was measured on the latter need not hold for them."
    )


def _title(report: FeatureReport) -> str:
    return report.feature.replace("_", " ")
