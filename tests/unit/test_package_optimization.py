from __future__ import annotations

import math
from xml.etree import ElementTree

import msgspec
import pytest

from phoneproof.core.check import DatasetRef, Split
from phoneproof.core.optimization import LayerDamage, ParetoPoint, ReadBack
from phoneproof.core.report import ArtifactReport, Attempt, DatasetReport, Report, SplitReport
from phoneproof.package import optimization_words as words
from phoneproof.package import pareto_axes
from phoneproof.package.junit import junit_xml
from phoneproof.package.model_card import model_card
from phoneproof.package.optimization_figures import (
    MAX_STRAIN,
    WIDTH,
    bar,
    damage_bar,
    pareto_picture,
    share_bar,
    strain_bar,
)
from phoneproof.package.report_html import render_report
from phoneproof.package.summary import summary_markdown
from phoneproof.package.wording import headline
from tests.unit import optimization_samples as samples
from tests.unit import report_samples
from tests.unit.test_package_report_page import Page

REPORT = samples.optimized_report()


def attempt(*losses: tuple[str, float, float], **given: object) -> Attempt:
    return msgspec.structs.replace(
        Attempt(what="a try", bytes=1000, failed=(), losses=losses), **given
    )


@pytest.mark.parametrize(
    ("loss", "strain", "kept"),
    [
        (("top1_drop", 0.01, 0.01), 1.0, True),
        (("top1_drop", 0.02, 0.01), 2.0, False),
        (("top1_drop", -0.02, 0.01), 0.0, True),
        (("score_shift", -0.06, 0.03), 2.0, False),
        (("top1_agreement", 0.98, 0.98), 1.0, True),
        (("box_agreement", 0.96, 0.98), 2.0, False),
        (("snr_db (boxes)", 20.0, 40.0), 2.0, False),
        (("lost_share", 0.0, 0.0), 0.0, True),
        (("lost_share", 0.1, 0.0), None, True),
    ],
)
def test_how_much_of_its_limit_a_loss_uses(
    loss: tuple[str, float, float], strain: float | None, kept: bool
) -> None:
    (found,) = words.losses_of(attempt(loss))
    assert found.strain == (pytest.approx(strain) if strain is not None else None)
    assert found.kept is kept


def test_what_a_check_failed_is_failed_even_where_the_estimate_keeps_the_limit() -> None:
    one = attempt(("lost_share", 0.1, 0.0), failed=(("lost_share", 0.1), ("max_abs (raw)", 3.0)))
    first, second = words.losses_of(one)
    assert (first.kept, second.kept) == (False, False)
    assert first.words == "max_abs (raw) 3"
    assert second.words == "lost_share 0.1, at most 0"
    assert words.losses_of(attempt(("top1_agreement", 0.97, 0.98)))[0].short == (
        "top1_agreement 0.97 (≥ 0.98)"
    )


def test_the_closest_try_has_the_smallest_worst_loss() -> None:
    artifact = samples.int8_artifact(accepted=False)
    assert words.closest(artifact) == artifact.attempts[-1]
    assert words.closest_words(artifact, REPORT) == (
        "“int8, mse ranges, 4 layers in int16” (3.41 MB) came closest: "
        "map50_95_drop 0.012, at most 0.01."
    )
    broken = msgspec.structs.replace(artifact, attempts=(artifact.attempts[2],))
    assert words.closest(broken) is None
    assert words.closest_words(broken, REPORT) == ""


def test_found_words_of_a_winner_of_nobody_and_of_tries_before_it() -> None:
    won = words.found_words(samples.int8_artifact())
    assert won.startswith(
        "Found after 5 tries in 1 min 40 s: “int8, mse ranges, 4 layers in int16”"
    )
    assert "4.3 % of its MACs wider than int8" in won
    assert won.endswith("the checks are of other images.")
    artifact = samples.int8_artifact()
    same = DatasetRef(hash="e5" * 32, split="selection")
    checks = tuple(msgspec.structs.replace(check, dataset=same) for check in artifact.checks)
    shared = msgspec.structs.replace(artifact, checks=checks)
    assert words.found_words(shared).endswith("so the figures may flatter.")
    assert words.found_words(samples.int8_artifact(accepted=False)) == (
        "5 tries in 1 min 40 s; none was accepted."
    )
    before = msgspec.structs.replace(
        samples.int8_artifact(), attempts=(attempt(failed=(("max_abs", 1.0),)),)
    )
    assert words.found_words(before) == "Measured and refused before this one: one try."


def test_a_file_refused_on_the_confirmation_images_is_no_find_and_no_near_miss() -> None:
    artifact = msgspec.structs.replace(
        samples.int8_artifact(accepted=False), attempts=samples.attempts(accepted=True)
    )
    splits = tuple(SplitReport(split=s, n=n, hash="e5" * 32) for s, n in SPLITS)
    data = DatasetReport(role="evaluation", kind="folder", n=120, labelled=True, splits=splits)
    report = msgspec.structs.replace(
        REPORT, accepted=False, verdict="fail", datasets=(data,), artifacts=(artifact,)
    )
    assert words.found_words(artifact) == (
        "Chosen after 5 tries in 1 min 40 s, and refused on other images: “int8, mse ranges, "
        "4 layers in int16”, 3.41 MB, 4.3 % of its MACs wider than int8."
    )
    said = "Chosen on 80 images, refused on 40 others: map50_95_drop 0.041, at most 0.01."
    assert words.closest_words(artifact, report) == said
    assert headline(report).sentence == (
        "Refused: tflite-static_wi8_ai8 kept its limits only on the images that it was chosen on."
    )
    shown = (junit_xml(report).decode(), summary_markdown(report), render_report(report, (), ()))
    for text in (*shown, *words.optimization_lines(report)):
        assert "came closest" not in text
        assert "Found after" not in text
    plain = [text.replace("\\", "") for text in shown]
    assert all(said in text for text in plain)


SPLITS: tuple[tuple[Split, int], ...] = (("selection", 80), ("confirmation", 40))


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (1.0, "100 %"),
        (0.0004, "under 0.1 %"),
        (0.9995, "over 99.9 %"),
        (0.992, "99.2 %"),
        (0.043, "4.3 %"),
        (0.5, "50 %"),
        (0.957, "96 %"),
    ],
)
def test_percent_never_says_none_or_all_of_some(share: float, text: str) -> None:
    assert words.percent(share) == text


def test_sensitivity_in_words() -> None:
    text = words.sensitivity_words(samples.layers(30))
    assert "The first 3 layers cause 58 % of the damage of all 30" in text
    one = (LayerDamage(layer="a", op="CONV_2D", macs=0.5, damage=1.0),)
    assert "The first layer causes 100 %" in words.sensitivity_words(one)
    quiet = (LayerDamage(layer="a", op="CONV_2D", macs=0.5, damage=0.0),)
    assert "causes" not in words.sensitivity_words(quiet)


def test_a_small_calibration_set_is_called_so() -> None:
    assert "too small" not in words.stability_words(samples.calibration())
    text = words.stability_words(samples.calibration(enough=False))
    assert text.startswith("Your calibration set is too small")
    assert "31 %" in text
    picked = words.calibration_words(samples.calibration())
    assert picked == (
        "100 images of 412: 60 for their class, 20 for their extreme activations and 20 to spread "
        "over the rest. They show 71 of the 80 labelled classes."
    )


def test_phone_words() -> None:
    cpu, on_gpu = samples.phone()
    assert words.phone_words(cpu).startswith("XNNPACK (CPU) takes 99.2 % of the operators")
    assert "leaves 2" in words.phone_words(cpu)
    assert words.phone_words(on_gpu) == "The GPU delegate takes every operator, in one piece."


def rectangles(markup: str) -> list[dict[str, str]]:
    return [element.attrib for element in ElementTree.fromstring(markup).iter("rect")]


def test_bars_fill_their_place_and_end_at_three_times_the_limit() -> None:
    parts = rectangles(bar([(0.25, 0), (0.5, 1)], label="a"))
    assert [(float(p["x"]), float(p["width"])) for p in parts] == [(0.0, 25.0), (25.0, 50.0)]
    full = strain_bar(attempt(("top1_drop", 9.0, 0.01)))
    first, limit = rectangles(full)
    assert float(first["width"]) == 100.0
    assert float(limit["x"]) == pytest.approx(100 / MAX_STRAIN, abs=0.01)
    assert 'class="strain fail"' in full
    assert 'class="strain pass"' in strain_bar(attempt(("top1_drop", 0.01, 0.01)))
    assert strain_bar(attempt()) == ""


def test_damage_is_drawn_relative_to_the_worst_layer_and_by_output() -> None:
    worst, second = samples.layers(2)
    outputs = ["boxes", "scores"]
    boxes, scores = rectangles(damage_bar(second, worst.damage, outputs))
    assert float(boxes["width"]) == pytest.approx(50.0, abs=0.1)
    assert float(scores["width"]) == pytest.approx(25.0, abs=0.1)
    plain = LayerDamage(layer="a", op="b", macs=0.0, damage=0.0)
    assert float(rectangles(damage_bar(plain, 0.0, []))[0]["width"]) == 0.0


@pytest.mark.parametrize(("zeros", "said"), [(None, False), (0.01, False), (0.42, True)])
def test_zeros_are_said_where_somebody_made_them(zeros: float | None, said: bool) -> None:
    line = words.read_back_words(ReadBack(macs=5, shares=(), zeros=zeros))
    assert ("42" in line) is said
    assert ("float weights are zero" in line) is said


def test_shares_are_drawn_and_said() -> None:
    drawn = share_bar(samples.read_back().shares, "weights")
    assert [float(p["width"]) for p in rectangles(drawn)] == [96.2, 3.1, 0.7]
    assert "weights: int8 96 %, int16 3.1 %, float32 0.7 %" in drawn


def test_the_pareto_picture_joins_the_best_and_keeps_names_apart_and_inside() -> None:
    picture = ElementTree.fromstring(pareto_picture(samples.points(), "mAP50-95"))
    line = picture.find("polyline")
    assert line is not None
    assert len(line.attrib["points"].split()) == 2
    assert len(list(picture.iter("circle"))) == len(samples.points())
    labels = [e for e in picture.iter("text") if e.attrib.get("class")]
    assert sorted(e.text or "" for e in labels) == sorted(p.artifact for p in samples.points())
    places = {(e.attrib["x"], e.attrib["y"]) for e in labels}
    assert len(places) == len(labels)
    for element in picture.iter("circle"):
        assert 0 < float(element.attrib["cx"]) < WIDTH


def test_the_picture_shows_change_because_files_are_measured_on_different_images() -> None:
    int8 = samples.points()[0]
    assert pareto_axes.height_of(int8) == pytest.approx(-0.6)
    assert pareto_axes.height_bounds(int8) == pytest.approx((-0.95, 0.4))
    others = msgspec.structs.replace(int8, accuracy=0.8, bounds=(0.7965, 0.81))
    assert pareto_axes.height_of(others) == pytest.approx(-0.6)
    assert pareto_axes.height_bounds(others) == pytest.approx((-0.95, 0.4))
    unlabelled = msgspec.structs.replace(int8, accuracy=None, bounds=None, loss=None)
    assert pareto_axes.height_of(unlabelled) == pytest.approx(-6.0)
    assert pareto_axes.height_bounds(unlabelled) is None


def test_a_name_that_has_no_room_is_shortened() -> None:
    long = msgspec.structs.replace(samples.points()[0], artifact="tflite-" + "x" * 90)
    picture = ElementTree.fromstring(pareto_picture((long,), "top-1"))
    (label,) = (e for e in picture.iter("text") if e.attrib.get("class"))
    assert (label.text or "").endswith("…")


def test_points_on_one_spot_and_a_single_point_are_drawn() -> None:
    same = tuple(
        msgspec.structs.replace(samples.points()[0], artifact=f"file-{at}") for at in range(12)
    )
    for points in (same, same[:1]):
        picture = ElementTree.fromstring(pareto_picture(points, "top-1"))
        for element in picture.iter("circle"):
            assert math.isfinite(float(element.attrib["cx"]))
            assert math.isfinite(float(element.attrib["cy"]))


def test_without_accuracy_agreement_is_drawn_and_without_both_nothing() -> None:
    bare = msgspec.structs.replace(samples.points()[0], accuracy=None, bounds=None, loss=None)
    assert 'class="pareto"' in pareto_picture((bare,), "agreement")
    nothing = msgspec.structs.replace(bare, agreement=None)
    assert pareto_picture((nothing,), "agreement") == ""
    report = msgspec.structs.replace(samples.optimized_report(), pareto=(nothing,))
    assert pareto_axes.axis_name(report) == "agreement"
    Page(render_report(report))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_report(samples.optimized_report()))


def test_the_page_tells_how_the_file_was_found(page: Page) -> None:
    text = page.words
    for one in samples.attempts():
        assert one.what in text
        assert one.rung in text
    assert "no file: the quantizer does not take TRANSPOSE_CONV" in text
    assert sum("winner" in (a.get("class") or "") for a in page.all("tr")) == 1


def test_the_page_advises_on_top_and_marks_latency_as_this_hosts(page: Page) -> None:
    text = page.words
    assert text.index("For Android: tflite-static_wi8_ai8") < text.index("From the source")
    assert "not a phone's" in text
    assert "41.3 ms" in text


def test_the_page_shows_what_the_file_holds_which_layers_suffer_and_the_phone(page: Page) -> None:
    text = page.words
    assert "fused: 35 RELU6 and 64 bias" in text
    assert "10 more layers are in report.json" in text
    assert "Join the map with itself and reshape." in text
    assert "read 2026-11-21" in text
    assert "The 100 images, and why each was picked" in text


def test_a_refused_ladder_says_how_close_it_came_everywhere() -> None:
    report = samples.ladder_refused_report()
    closest = "came closest: map50_95_drop 0.012, at most 0.01"
    assert headline(report).sentence == (
        "Refused: none of 5 tries at tflite-static_wi8_ai8 kept its limits."
    )
    shown = Page(render_report(report)).words
    assert closest in shown[: shown.index("From the source")]
    assert "Your calibration set is too small" in shown
    for text in (junit_xml(report).decode(), summary_markdown(report)):
        assert closest in text
        for one in samples.attempts(accepted=False):
            assert one.what in text


def test_the_model_card_and_the_summary_advise() -> None:
    report = samples.optimized_report()
    for text in (model_card(report), summary_markdown(report)):
        assert "For Android: tflite-static_wi8_ai8" in text
    card = model_card(report)
    assert "Its MACs are 96 % int8 and 4.3 % int16." in card
    assert "XNNPACK (CPU) takes 99.2 %" in card


def without(report: Report) -> Report:
    """The same report with nothing of optimisation in it."""
    artifacts: tuple[ArtifactReport, ...] = tuple(
        msgspec.structs.replace(artifact, attempts=(), read_back=None, sensitivity=(), phone=())
        for artifact in report.artifacts
    )
    points: tuple[ParetoPoint, ...] = ()
    return msgspec.structs.replace(
        report, artifacts=artifacts, calibration=None, pareto=points, recommended=()
    )


def test_a_report_without_optimisation_has_no_empty_sections() -> None:
    text = Page(render_report(without(samples.optimized_report()))).words
    for heading in ("How it was found", "Which file", "Which layers", "phone makes", "ranges come"):
        assert heading not in text
    assert "Which file" in Page(render_report(samples.optimized_report())).words
    assert words.optimization_lines(report_samples.accepted_report()) == ()
