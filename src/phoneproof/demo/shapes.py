"""Pictures of simple shapes, drawn with a seed: folder per class, JPEG, nothing downloaded."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFilter

CLASSES: Final = ("circle", "cross", "square", "triangle")
_SIDES = (96, 200)
_QUALITY = 92


def draw_shapes(folder: Path, *, per_class: int, seed: int) -> list[tuple[Path, int]]:
    """Write `per_class` pictures of each class into ``folder/<class>/``; (path, class index)."""
    chance = random.Random(seed)
    written = []
    for index, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(per_class):
            path = folder / name / f"{name}_{number:03d}.jpg"
            _picture(name, chance).save(path, quality=_QUALITY)
            written.append((path, index))
    return written


def _picture(name: str, chance: random.Random) -> Image.Image:
    """One shape of random colour, size, place and angle before a blurred, noisy background."""
    width, height = (chance.randint(*_SIDES) for _ in range(2))
    background, colour = _colour(chance), _colour(chance)
    while math.dist(background, colour) < 120:
        colour = _colour(chance)
    picture = Image.new("RGB", (width, height), background)
    pen = ImageDraw.Draw(picture)
    for _ in range(12):
        x, y = chance.randrange(width), chance.randrange(height)
        spread = chance.randint(4, 16)
        shade = tuple(max(0, min(255, value + chance.randint(-40, 40))) for value in background)
        pen.ellipse((x - spread, y - spread, x + spread, y + spread), fill=shade)
    picture = picture.filter(ImageFilter.GaussianBlur(3))
    radius = min(width, height) * chance.uniform(0.28, 0.42)
    centre = tuple(chance.uniform(radius, side - radius) for side in (width, height))
    turn = chance.uniform(-0.5, 0.5)
    pen = ImageDraw.Draw(picture)
    for outline in _outlines(name, centre[0], centre[1], radius, turn):
        pen.polygon(outline, fill=colour)
    return picture.filter(ImageFilter.GaussianBlur(chance.uniform(0, 1.2)))


def _outlines(
    name: str, x: float, y: float, radius: float, turn: float
) -> list[list[tuple[float, float]]]:
    corners = {"circle": 60, "square": 4, "triangle": 3}
    if name in corners:
        count = corners[name]
        angles = [turn + math.tau * k / count for k in range(count)]
        return [[(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]]
    return [_bar(x, y, radius, turn), _bar(x, y, radius, turn + math.pi / 2)]


def _bar(x: float, y: float, radius: float, turn: float) -> list[tuple[float, float]]:
    along = (math.cos(turn) * radius, math.sin(turn) * radius)
    across = (-math.sin(turn) * radius * 0.28, math.cos(turn) * radius * 0.28)
    signs = ((1, 1), (1, -1), (-1, -1), (-1, 1))
    return [(x + s * along[0] + t * across[0], y + s * along[1] + t * across[1]) for s, t in signs]


def _colour(chance: random.Random) -> tuple[int, int, int]:
    return (chance.randrange(256), chance.randrange(256), chance.randrange(256))
