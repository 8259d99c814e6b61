"""report.html: one self-contained page, drawn from the report and the worst images."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.check import CheckName
from phoneproof.core.contract import Contract
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.decode.results import Results
from phoneproof.package import figures, wording
from phoneproof.package.contact_sheet import Tile
from phoneproof.package.devices_html import add_device_words, replace_section
from phoneproof.package.drawing import draw_predictions
from phoneproof.package.input_words import input_words, own_threshold_words
from phoneproof.package.optimization_html import add_optimization_words
from phoneproof.package.preflight_html import add_preflight_words

PICTURE_SIDE = 360
JPEG_QUALITY = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """One of the worst images with both predictions.

    artifact: the artifact's id. rgb: uint8 [H, W, 3], oriented; boxes of the results are in its
    pixels. value: of the check, for this image.
    """

    artifact: str
    check: CheckName
    image: str
    value: float
    note: str = ""
    rgb: NDArray[np.uint8]
    baseline: Results
    candidate: Results


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A comparison as the page shows it: two pictures as data URIs."""

    comparison: Comparison
    baseline: Markup
    candidate: Markup
    width: int
    height: int


def render_report(
    report: Report, comparisons: Sequence[Comparison] = (), tiles: Sequence[Tile] = ()
) -> str:
    """The page's HTML. It requests nothing: styles, drawings and pictures are inside.

    tiles: the contact sheet of `report.preflight`.
    """
    contract = report.capture.contract
    pairs = {
        artifact.id: [_pair(c, contract) for c in comparisons if c.artifact == artifact.id]
        for artifact in report.artifacts
    }
    threshold = contract.decode.confidence if contract.decode else None
    return (
        page_environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            contract=contract,
            headline=wording.headline(report),
            broken=wording.breaking_artifact(report),
            n_images=wording.image_count(report),
            pairs=pairs,
            threshold=threshold,
            input_words=input_words(contract),
            own_thresholds={one.id: own_threshold_words(one, contract) for one in report.artifacts},
            preflight=report.preflight,
            recorded=report.recorded,
            tiles=tiles,
        )
    )


def with_devices(page: str, report: Report) -> str:
    """A page that was written before, with the section of `report.devices`."""
    section = page_environment().get_template("_devices.html.j2").render(report=report)
    return replace_section(page, section)


def _pair(comparison: Comparison, contract: Contract) -> Pair:
    before = draw_predictions(comparison.rgb, comparison.baseline, contract, max_side=PICTURE_SIDE)
    after = draw_predictions(comparison.rgb, comparison.candidate, contract, max_side=PICTURE_SIDE)
    return Pair(
        comparison=comparison,
        baseline=_data_uri(before),
        candidate=_data_uri(after),
        width=before.width,
        height=before.height,
    )


def _data_uri(picture: Image.Image) -> Markup:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return Markup("data:image/jpeg;base64,") + base64.b64encode(stream.getvalue()).decode()


def _anchor(artifact: ArtifactReport) -> str:
    return f"artifact-{artifact.sha256[:12]}"


def page_environment() -> jinja2.Environment:
    """Templates, filters and words of every page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phoneproof.package"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=wording.number,
        sentence=wording.sentence,
        size=wording.size,
        duration=wording.duration,
    )
    environment.globals.update(
        lineage=figures.lineage,
        score_plot=figures.score_plot,
        score_words=wording.score_words,
        anchor=_anchor,
        interval=figures.interval,
        mark=figures.MARK,
        meaning=wording.CHECK_MEANING,
        limit_text=wording.limit_text,
        with_unit=wording.with_unit,
        bounds_text=wording.bounds_text,
        check_title=wording.check_title,
        open_checks=wording.open_checks,
    )
    add_preflight_words(environment)
    add_optimization_words(environment)
    add_device_words(environment)
    return environment
