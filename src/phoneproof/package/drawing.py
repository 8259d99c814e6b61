"""Predictions drawn on their picture, for people to look at."""

from __future__ import annotations

import colorsys
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from phoneproof.core.contract import Contract
from phoneproof.decode.results import Classification, Detections, RawOutputs, Results

Rgb = tuple[int, int, int]
Rect = tuple[int, int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

FONT_SIZE = 13
MIN_WIDTH = 220
"""A strip of bars needs this many pixels to be read; narrower pictures are centred on it."""
TINY = 192
"""Pictures of at most half this many pixels are enlarged, or nobody could see what they show."""
MAX_TAGS = 40
_STRIP_ROW = 24
_PAPER: Rgb = (244, 244, 241)
_INK: Rgb = (26, 28, 30)
_BAR: Rgb = (47, 103, 153)
_TRACK: Rgb = (218, 219, 216)


def draw_predictions(
    rgb: NDArray[np.uint8], results: Results, contract: Contract, *, max_side: int
) -> Image.Image:
    """The picture, at most `max_side` pixels on its longer side, with its predictions.

    Args:
        rgb: uint8 [H, W, 3], oriented; boxes are in its pixels.

    Detections become boxes with tags that stay inside the picture, a tag giving way where a more
    certain one is; a classification becomes a strip of three bars below it.
    """
    picture, scale = _scaled(Image.fromarray(rgb), max_side)
    if isinstance(results, Detections):
        _draw_boxes(picture, results, contract, scale)
        return picture
    if isinstance(results, Classification):
        return _with_strip(picture, _bars(results, contract))
    return _with_strip(picture, _raw_lines(results))


def _scaled(picture: Image.Image, max_side: int) -> tuple[Image.Image, float]:
    """Large pictures made small; tiny ones enlarged by a whole factor, their pixels left square."""
    longest = max(picture.size)
    factor = min(TINY, max_side) // longest
    if factor > 1:
        large = (picture.width * factor, picture.height * factor)
        return picture.resize(large, Image.Resampling.NEAREST), float(factor)
    scale = min(1.0, max_side / longest)
    small = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(small, Image.Resampling.LANCZOS), scale


def class_color(index: int) -> Rgb:
    """A colour of its own for each class: hues a golden angle apart, two lightnesses."""
    hue = (index * 0.6180339887498949 + 0.02) % 1.0
    value = 0.95 if index % 2 == 0 else 0.72
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def text_color(background: Rgb) -> Rgb:
    """Black or white, whichever has the higher contrast (WCAG 2.2 relative luminance)."""
    light = luminance(background)
    return (0, 0, 0) if (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) else (255, 255, 255)


def luminance(color: Rgb) -> float:
    """Relative luminance of an sRGB colour, 0 to 1 (WCAG 2.2)."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in color)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def label_text(index: int, contract: Contract) -> str:
    """The label's text on one line; its number where the contract names none."""
    label = contract.labels[index] if 0 <= index < len(contract.labels) else None
    return " ".join(label.split()) if label else f"class {index}"


@lru_cache(maxsize=4)
def _font(points: int) -> Font:
    return ImageFont.load_default(points)


def _draw_boxes(
    picture: Image.Image, results: Detections, contract: Contract, scale: float
) -> None:
    draw = ImageDraw.Draw(picture)
    line = 2 if max(picture.size) < 800 else 3
    rects = [_inside(box * scale, picture.size) for box in results.boxes]
    for rect, label in reversed(list(zip(rects, results.classes, strict=True))):
        draw.rectangle(rect, outline=class_color(int(label)), width=line)
    taken: list[Rect] = []
    for rect, label, score in list(zip(rects, results.classes, results.scores, strict=True))[
        :MAX_TAGS
    ]:
        text = f"{label_text(int(label), contract)} {score:.2f}"
        place = _tag_place(draw, text, rect, picture.size, taken)
        if place is not None:
            taken.append(place[0])
            _draw_tag(draw, place, class_color(int(label)))


def _inside(box: NDArray[np.float32], size: tuple[int, int]) -> Rect:
    width, height = size
    left, top, right, bottom = (float(v) for v in box)
    x0, y0 = _clip(left, width), _clip(top, height)
    return x0, y0, max(x0, _clip(right, width)), max(y0, _clip(bottom, height))


def _clip(value: float, side: int) -> int:
    return int(min(max(round(value), 0), side - 1)) if np.isfinite(value) else 0


def _tag_place(
    draw: ImageDraw.ImageDraw, text: str, rect: Rect, size: tuple[int, int], taken: list[Rect]
) -> tuple[Rect, str] | None:
    """Above the box, inside its top, or below it: the first that is free."""
    font = _font(FONT_SIZE)
    text = _fit(draw, text, size[0] - 6)
    width, height = round(draw.textlength(text, font=font)) + 6, FONT_SIZE + 5
    left = max(0, min(rect[0], size[0] - width))
    for top in (rect[1] - height, rect[1], rect[3], rect[3] - height):
        tag = (left, top, left + width, top + height)
        fits = top >= 0 and tag[3] <= size[1] and tag[2] <= size[0]
        if fits and not any(_overlap(tag, other) for other in taken):
            return tag, text
    return None


def _fit(draw: ImageDraw.ImageDraw, text: str, room: int) -> str:
    font = _font(FONT_SIZE)
    if draw.textlength(text, font=font) <= room:
        return text
    while text and draw.textlength(f"{text}...", font=font) > room:
        text = text[: -max(1, len(text) // 16)]
    return f"{text}..." if text else ""


def _overlap(a: Rect, b: Rect) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_tag(draw: ImageDraw.ImageDraw, place: tuple[Rect, str], color: Rgb) -> None:
    rect, text = place
    draw.rectangle((rect[0], rect[1], rect[2] - 1, rect[3] - 1), fill=color)
    draw.text((rect[0] + 3, rect[1] + 1), text, fill=text_color(color), font=_font(FONT_SIZE))


def _bars(results: Classification, contract: Contract) -> list[tuple[str, float | None]]:
    order = np.argsort(-results.probabilities, kind="stable")[:3]
    return [(label_text(int(i), contract), float(results.probabilities[i])) for i in order]


def _raw_lines(results: RawOutputs) -> list[tuple[str, float | None]]:
    return [(f"{name} {list(tensor.shape)}", None) for name, tensor in results.tensors[:3]]


def _with_strip(picture: Image.Image, rows: list[tuple[str, float | None]]) -> Image.Image:
    """The picture on top, one row per line below; a bar where the row has a value 0..1."""
    width = max(picture.width, MIN_WIDTH)
    sheet = Image.new("RGB", (width, picture.height + _STRIP_ROW * len(rows) + 4), _PAPER)
    sheet.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    for row, (text, value) in enumerate(rows):
        top = picture.height + 4 + row * _STRIP_ROW
        figure = f"{value:.3f}" if value is not None else ""
        if value is not None and np.isfinite(value):
            full = width - 8
            draw.rectangle((4, top + 18, 4 + full, top + 20), fill=_TRACK)
            draw.rectangle((4, top + 18, 4 + round(full * min(max(value, 0), 1)), top + 20), _BAR)
        font = _font(FONT_SIZE)
        room = draw.textlength(figure, font=font)
        draw.text((4, top), _fit(draw, text, int(width - room - 16)), fill=_INK, font=font)
        draw.text((width - 4 - room, top), figure, fill=_INK, font=font)
    return sheet
