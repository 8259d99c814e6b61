from __future__ import annotations

import io
import random

import msgspec
import numpy as np
import pytest
from PIL import Image

from phoneproof.core.capture import Hazard
from phoneproof.core.check import DatasetRef
from phoneproof.core.preflight import (
    ClassReport,
    FeatureReport,
    PictureReport,
    Preflight,
    PreflightReport,
    RecordedMetric,
    Surprise,
)
from phoneproof.decode.results import Classification
from phoneproof.package.contact_sheet import (
    MAX_TILES,
    ORDINARY_TILES,
    TILE_BYTES,
    Tile,
    chosen_pictures,
    draw_tile,
)
from phoneproof.package.model_card import model_card
from phoneproof.package.preflight_html import render_preflight
from phoneproof.package.preflight_words import set_words, summary_line, surprise_text
from phoneproof.package.report_html import render_report
from tests.unit import report_samples as samples

DARK = Surprise(feature="brightness", side="low", value=0.031, limit=0.12)
NOTHING = Surprise(feature="nothing_found", value=0.08)
DATA = DatasetRef(hash="ab" * 32, split="all")


def picture(index: int, *surprises: Surprise) -> PictureReport:
    return PictureReport(
        image=f"{index:03}.jpg", sha256=f"{index * 7919 % 1000:064}", surprises=surprises
    )


def feature(below: int, *, differs: bool, expected: float = 0.4) -> FeatureReport:
    return FeatureReport(
        feature="brightness",
        evaluation_median=0.5,
        production_median=0.3,
        low=0.12,
        high=0.9,
        below=below,
        above=0,
        expected=expected,
        distance=0.5 if differs else 0.1,
        p_value=1e-9 if differs else 0.4,
        differs=differs,
    )


def findings(below: int = 12, *, differs: bool = True, name: str = "a.jpg") -> Preflight:
    pictures = (PictureReport(image=name, sha256="f" * 64, surprises=(NOTHING, DARK)),)
    return Preflight(
        n=40,
        n_evaluation=128,
        dataset=DATA,
        nothing_found=6,
        evaluation_nothing_found=2,
        surprising=1,
        pictures=pictures,
        features=(feature(below, differs=differs),),
        classes=(ClassReport(label=samples.HOSTILE, evaluation=3, production=0),),
        shown=("f" * 64,),
        rule="The rule.",
        hazards=(Hazard(name="production_is_evaluation", found="all", next_step="others"),),
    )


RECORDED = RecordedMetric(
    key="metrics/accuracy_top1",
    name="top1",
    recorded=0.958,
    measured=0.966,
    bounds=(0.94, 0.98),
    n=265,
    agrees=True,
    sentence="top1: recorded 0.958; measured 0.966 [0.940, 0.980], n = 265: agrees",
)


def noise_tile(index: int) -> Tile:
    """A picture that no JPEG makes small."""
    rgb = np.random.default_rng(index).integers(0, 256, (400, 400, 3), np.uint8)
    results = Classification(probabilities=np.full(5, 0.2, np.float32))
    return draw_tile(picture(index), rgb, results, samples.classify_contract(5))


def test_the_surprising_come_first_and_the_order_of_the_folder_does_not_matter() -> None:
    pictures = [
        *(picture(index) for index in range(60)),
        *(picture(100 + index, DARK) for index in range(5)),
        picture(200, NOTHING, DARK),
        picture(201, NOTHING),
    ]
    chosen = chosen_pictures(pictures)
    random.Random(1).shuffle(pictures)
    assert chosen_pictures(pictures) == chosen
    assert len(chosen) == MAX_TILES
    assert [p.image for p in chosen[:2]] == ["200.jpg", "201.jpg"]
    assert all(p.surprises for p in chosen[:7])
    rest = [p.sha256 for p in chosen[7:]]
    assert rest == sorted(rest)


def test_ordinary_pictures_keep_their_places() -> None:
    pictures = [picture(index, *([DARK] if index < 300 else [])) for index in range(330)]
    chosen = chosen_pictures(pictures)
    assert len(chosen) == MAX_TILES
    assert sum(not p.surprises for p in chosen) == ORDINARY_TILES


@pytest.mark.parametrize("surprising", [0, 3])
def test_few_pictures_are_all_shown(surprising: int) -> None:
    pictures = [picture(index, *([DARK] if index < surprising else [])) for index in range(3)]
    assert len(chosen_pictures(pictures)) == 3
    assert chosen_pictures(()) == ()


def test_a_page_of_the_worst_pictures_stays_small() -> None:
    tiles = [noise_tile(index) for index in range(3)]
    assert all(len(tile.jpeg) <= TILE_BYTES for tile in tiles)
    with Image.open(io.BytesIO(tiles[0].jpeg)) as drawn:
        assert drawn.size == (tiles[0].width, tiles[0].height)
    many = [tiles[index % 3] for index in range(MAX_TILES)]
    page = render_preflight(report(findings()), many)
    assert len(page.encode()) < 6_000_000


def report(preflight: Preflight) -> PreflightReport:
    return PreflightReport(name="x", version="1", production=preflight, recorded=(RECORDED,))


def test_the_page_requests_nothing_and_escapes_names() -> None:
    tile = noise_tile(1)
    hostile = Tile(
        image=samples.HOSTILE,
        sha256="f" * 64,
        jpeg=tile.jpeg,
        width=tile.width,
        height=tile.height,
    )
    page = render_preflight(report(findings(name=samples.HOSTILE)), [hostile])
    assert samples.HOSTILE not in page
    assert "src=&#34;http" not in page
    assert 'src="http' not in page
    assert "nothing found, darker" in page
    assert "Recorded by the training" in page


def test_words() -> None:
    assert surprise_text(DARK) == "darker (0.031; evaluation from 0.12)"
    assert surprise_text(NOTHING) == "nothing found (best score 0.08)"
    line = summary_line(findings())
    assert line == "40 images, 6 with nothing found, 12 darker than the evaluation images"
    calm = findings(1, differs=False)
    assert summary_line(calm).endswith(
        "none more unlike the evaluation images than chance explains"
    )
    assert "brightness" in set_words(findings())
    assert "40 production against 128 evaluation" in set_words(calm)
    assert "no difference is shown" in set_words(calm)


def test_report_and_model_card_show_both() -> None:
    plain = samples.accepted_report()
    full = msgspec.structs.replace(plain, preflight=findings(), recorded=(RECORDED,))
    tile = noise_tile(2)
    page, card = render_report(full, (), [tile]), model_card(full)
    assert "The images of the app" in page
    assert str(tile.uri) in page
    assert "recorded 0.958" in card
    assert "12 darker" in card
    assert "The images of the app" not in render_report(plain)
    assert "Recorded by the training" not in model_card(plain)
