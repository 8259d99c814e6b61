"""The arithmetic of the quantization benchmark: halves, pooling, and rows kept case by case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from benchmarks.quantization_cases import CASES
from benchmarks.quantization_figures import Figure, pooled
from benchmarks.quantization_floats import CALIBRATION_IMAGES, halves_of
from benchmarks.quantization_table import BEGIN, END, Row, keep, merged, tables, totals
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.decode.results import Classification
from phoneproof.runtimes.predict import Prediction

FIRST, SECOND = CASES[0].name, CASES[1].name


def items(count: int) -> tuple[ImageItem, ...]:
    return tuple(
        ImageItem(name=f"{n}.png", path=Path(f"{n}.png"), sha256=f"{n:064x}") for n in range(count)
    )


def prediction(item: ImageItem) -> Prediction:
    return Prediction(
        name=item.name,
        sha256=item.sha256,
        height=1,
        width=1,
        app=Classification(probabilities=np.ones(1, np.float32)),
        metric=None,
        roles=None,
    )


def row(case: str, who: str, drop: float | None = None, broke: str = "") -> Row:
    figures = () if drop is None else (Figure(name="top1_drop", value=drop, n=10),)
    return Row(
        case=case, who=who, task="classify", n=10, labelled=True, figures=figures, broke=broke
    )


def test_halves_share_no_image_and_every_image_is_evaluated_once() -> None:
    images = items(501)
    for half in halves_of(images):
        assert not set(half.calibration) & set(half.evaluation)
        assert len(half.calibration) == CALIBRATION_IMAGES
    evaluated = [item for half in halves_of(images) for item in half.evaluation]
    assert sorted(item.name for item in evaluated) == sorted(item.name for item in images)


def test_pooled_predictions_come_in_the_order_of_the_images() -> None:
    images = ImageSet(split="all", items=items(7))
    halves = [[prediction(i) for i in half.evaluation] for half in halves_of(images.items)]
    found = pooled(images, halves)
    assert [one.sha256 for one in found] == [item.sha256 for item in images.items]


def test_pooling_refuses_an_image_that_is_missing_or_there_twice() -> None:
    images = ImageSet(split="all", items=items(4))
    first, second = ([prediction(i) for i in half.evaluation] for half in halves_of(images.items))
    with pytest.raises(ValueError, match="not evaluated"):
        pooled(images, [first])
    with pytest.raises(ValueError, match="twice"):
        pooled(images, [first, second, second[:1]])


def test_a_fresh_row_replaces_its_own_alone_and_cases_keep_their_order() -> None:
    known = [row(SECOND, "ours", 0.1), row(FIRST, "aeq_stock", 0.2)]
    found = merged(known, [row(FIRST, "aeq_stock", 0.3), row(FIRST, "ours", 0.4)])
    assert [(one.case, one.who) for one in found] == [
        (FIRST, "ours"),
        (FIRST, "aeq_stock"),
        (SECOND, "ours"),
    ]
    assert totals(found, "top1_drop")["aeq_stock"] == (0.3, 0.3, 1)


def test_totals_are_the_mean_and_the_worst_of_the_cases_that_have_a_figure() -> None:
    rows = [row(FIRST, "ours", 0.01), row(SECOND, "ours", 0.03), row(FIRST, "ort_static")]
    found = totals(rows, "top1_drop")
    assert list(found) == ["ours"]
    assert found["ours"][0] == pytest.approx(0.02)
    assert found["ours"][1:] == (0.03, 2)
    shifts = [
        Row(
            case=case,
            who="ours",
            task="classify",
            n=1,
            labelled=True,
            figures=(
                Figure(name="score_shift", value=shift, n=1),
                Figure(name="top1_agreement", value=1 + shift, n=1),
            ),
        )
        for case, shift in ((FIRST, -0.3), (SECOND, 0.1))
    ]
    assert totals(shifts, "score_shift")["ours"][0] == pytest.approx(0.2)
    assert totals(shifts, "score_shift")["ours"][1:] == (0.3, 2)
    assert totals(shifts, "top1_agreement")["ours"][1] == pytest.approx(0.7)


def test_a_quantizer_that_broke_costs_its_row_and_says_why() -> None:
    page = tables([row(FIRST, "ours", 0.01), row(FIRST, "ort_static", broke="exit -6: a | pipe")])
    broken = next(line for line in page.splitlines() if "exit -6" in line)
    whole = next(line for line in page.splitlines() if "1.00" in line)
    assert broken.count("|") == whole.count("|")
    assert "0 of 1" in page


def test_a_row_of_which_a_half_was_not_shipped_is_never_accepted() -> None:
    good = replace(row(FIRST, "ours", 0.0), gate=True)
    refused = replace(good, shipped=False, note="half A: top1_drop 0.02 of 148")
    assert tables([good]).splitlines()[4].endswith("| yes |")
    assert (
        tables([refused])
        .splitlines()[4]
        .endswith("| no (not shipped) (half A: top1_drop 0.02 of 148) |")
    )


def test_keeping_a_row_leaves_the_rest_of_the_page_and_the_other_rows(tmp_path: Path) -> None:
    results, page = tmp_path / "results.json", tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    keep([row(FIRST, "ours", 0.01)], results, page)
    keep([row(SECOND, "ours", 0.02)], results, page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert FIRST in text
    assert SECOND in text
    assert "old" not in text
