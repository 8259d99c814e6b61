from __future__ import annotations

import numpy as np
import pytest

from phoneproof.decode.results import Classification, Detections, RawOutputs
from phoneproof.package.drawing import (
    class_color,
    draw_predictions,
    label_text,
    luminance,
    text_color,
)
from tests.unit import report_samples as samples

CONTRACT = samples.detect_contract()


def many(count: int, side: float) -> Detections:
    rng = np.random.default_rng(3)
    corners = rng.uniform(-0.2 * side, 1.2 * side, (count, 2))
    sides = rng.uniform(0, side, (count, 2))
    return Detections(
        boxes=np.hstack([corners, corners + sides]).astype(np.float32),
        scores=np.sort(rng.uniform(0.1, 1, count)).astype(np.float32)[::-1],
        classes=rng.integers(0, 4, count),
    )


def test_the_longer_side_is_bounded_and_the_shape_kept() -> None:
    picture = draw_predictions(
        samples.picture(1000, 500), samples.detections(), CONTRACT, max_side=360
    )
    assert picture.size == (360, 180)
    assert picture.mode == "RGB"


def test_boxes_are_drawn_where_they_are() -> None:
    gray = np.full((320, 480, 3), 128, np.uint8)
    drawn = np.asarray(draw_predictions(gray, samples.detections(), CONTRACT, max_side=480))
    changed = (drawn != 128).any(axis=2)
    assert changed[150, 20]
    assert changed[150, 180]
    assert changed[260, 100]
    assert not changed[150, 100]
    assert not changed[315, 10]
    moved = np.asarray(draw_predictions(gray, samples.detections(40), CONTRACT, max_side=480))
    assert (moved != drawn).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (60, 90), (700, 20)])
@pytest.mark.parametrize("count", [0, 1, 300])
def test_any_size_and_any_number_of_boxes(shape: tuple[int, int], count: int) -> None:
    rgb = np.zeros((*shape, 3), np.uint8)
    draw_predictions(rgb, many(count, max(shape)), CONTRACT, max_side=360)


def test_boxes_that_are_not_numbers_do_not_break_it() -> None:
    odd = Detections(
        boxes=np.asarray([[np.nan, 0, np.inf, 9], [9, 9, 1, 1]], np.float32),
        scores=np.asarray([np.nan, 0.5], np.float32),
        classes=np.asarray([99, -1], np.int64),
    )
    draw_predictions(samples.picture(), odd, CONTRACT, max_side=360)


def test_a_classification_is_a_strip_of_three_bars() -> None:
    contract = samples.classify_contract()
    rgb = samples.picture(800, 500)
    drawn = draw_predictions(rgb, samples.classification(), contract, max_side=360)
    assert drawn.width == 360
    assert drawn.height > 225 + 60
    other = draw_predictions(rgb, samples.classification(best=120), contract, max_side=360)
    assert drawn.tobytes() != other.tobytes()


def test_tiny_pictures_are_enlarged_with_square_pixels() -> None:
    rgb = samples.picture(32, 32)
    drawn = np.asarray(
        draw_predictions(rgb, samples.classification(), samples.classify_contract(), max_side=360)
    )
    middle = drawn[:192, (drawn.shape[1] - 192) // 2 :][:, :192]
    assert (middle[::6, ::6] == rgb).all()


def test_probabilities_that_are_not_numbers_do_not_break_it() -> None:
    odd = Classification(probabilities=np.full(5, np.nan, np.float32))
    draw_predictions(samples.picture(), odd, samples.classify_contract(5), max_side=360)


def test_raw_outputs_show_names_and_shapes() -> None:
    raw = RawOutputs(tensors=(("heat", np.zeros((1, 5, 5), np.float32)),))
    drawn = draw_predictions(samples.picture(), raw, CONTRACT, max_side=360)
    assert drawn.height > 240


def test_the_same_drawing_each_time() -> None:
    drawn = [
        draw_predictions(samples.picture(), many(50, 400), CONTRACT, max_side=360).tobytes()
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]


def test_text_is_readable_on_every_class_colour() -> None:
    """WCAG AA for small text: 4.5 to 1."""
    for index in range(200):
        color = class_color(index)
        light, dark = sorted((luminance(color), luminance(text_color(color))), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_neighbouring_classes_have_different_colours() -> None:
    colors = [class_color(i) for i in range(80)]
    assert len(set(colors)) == 80
    assert luminance((0, 0, 0)) == 0
    assert luminance((255, 255, 255)) == pytest.approx(1)


def test_labels_are_one_line_and_never_missing() -> None:
    contract = samples.detect_contract(labels=("two\nlines", None))
    assert label_text(0, contract) == "two lines"
    assert label_text(1, contract) == "class 1"
    assert label_text(7, contract) == "class 7"
    assert label_text(-1, contract) == "class -1"


def test_a_very_long_label_stays_inside() -> None:
    contract = samples.detect_contract(labels=("x" * 5000, "y", "z", "w"))
    drawn = draw_predictions(samples.picture(), samples.detections(), contract, max_side=360)
    assert drawn.size == (360, 240)
