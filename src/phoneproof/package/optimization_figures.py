"""Pictures of optimisation as inline SVG: bars that fill their column, and the Pareto picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from phoneproof.core.optimization import LayerDamage, ParetoPoint, Share
from phoneproof.core.report import Attempt
from phoneproof.package.optimization_words import percent, worst_strain
from phoneproof.package.pareto_axes import height_bounds, height_of
from phoneproof.package.wording import number, size

COLOURS = 6
MAX_STRAIN = 3.0
"""A bar ends at three times the limit: beyond it, how far is of no use."""

WIDTH, HEIGHT = 440, 330
LEFT, RIGHT, TOP, BOTTOM = 70, 18, 14, 48
LETTER = 8.5
LINE = 15.0


def bar(parts: Sequence[tuple[float, int]], *, label: str, mark: float | None = None) -> Markup:
    """A stacked bar as wide as its place. parts: (share of the width, colour number).

    mark: where a line crosses it (share of the width).
    """
    drawn, at = [], 0.0
    for share, colour in parts:
        drawn.append(
            Markup('<rect class="c{}" x="{}" y="0" width="{}" height="10"/>').format(
                colour % COLOURS, f"{at:.2f}", f"{max(share * 100, 0.0):.2f}"
            )
        )
        at += share * 100
    if mark is not None:
        drawn.append(
            Markup('<rect class="limit" x="{}" y="-1" width="0.8" height="12"/>').format(
                f"{mark * 100:.2f}"
            )
        )
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>'
    ).format(label, Markup().join(drawn))


def strain_bar(attempt: Attempt) -> Markup:
    """The largest part of a limit that an attempt uses, and the limit as a line."""
    strain = worst_strain(attempt)
    if strain is None:
        return Markup()
    over = strain > 1.0
    label = f"{number(round(strain, 2))} times its limit"
    drawn = bar([(min(strain, MAX_STRAIN) / MAX_STRAIN, 0)], label=label, mark=1.0 / MAX_STRAIN)
    return Markup('<span class="strain {}">{}</span>').format("fail" if over else "pass", drawn)


def damage_bar(layer: LayerDamage, largest: float, outputs: Sequence[str]) -> Markup:
    """A layer's damage, coloured by output, relative to the largest of all."""
    length = layer.damage / largest if largest > 0 else 0.0
    total = sum(value for _, value in layer.by_output)
    parts = (
        [(length * value / total, outputs.index(name)) for name, value in layer.by_output]
        if total > 0
        else [(length, 0)]
    )
    return bar(parts, label=f"{layer.layer}: {number(layer.damage)}")


def outputs_of(layers: Sequence[LayerDamage]) -> list[str]:
    """The outputs that damage is told for, in order of appearance."""
    return list(dict.fromkeys(name for layer in layers for name, _ in layer.by_output))


def share_bar(shares: Sequence[Share], what: str) -> Markup:
    """How much of the file's operators, weights or MACs is of each type."""
    values = [float(getattr(share, what)) for share in shares]
    said = ", ".join(f"{s.dtype} {percent(v)}" for s, v in zip(shares, values, strict=True))
    return bar([(v, at) for at, v in enumerate(values)], label=f"{what}: {said}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    """From bytes and accuracy to the picture."""

    most_bytes: float
    low: float
    high: float

    def x(self, bytes_: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * bytes_ / self.most_bytes

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def pareto_picture(points: Sequence[ParetoPoint], accuracy: str) -> Markup:
    """Change of accuracy (up, with its bounds) against bytes; the best ones joined.

    Empty where no point has a loss or an agreement. accuracy: what it is called.
    """
    shown = [(p, value) for p in points if (value := height_of(p)) is not None]
    if not shown:
        return Markup()
    scale = _scale(shown)
    best = sorted((p.bytes, value) for p, value in shown if p.best)
    line = " ".join(f"{scale.x(b):.1f},{scale.y(v):.1f}" for b, v in best)
    labels = _labels(shown, scale)
    drawn = [_axes(scale, accuracy), Markup('<polyline class="front" points="{}"/>').format(line)]
    drawn += [_point(p, value, scale) for p, value in shown]
    drawn += labels
    said = "; ".join(f"{p.artifact}: {number(round(v, 2))} at {size(p.bytes)}" for p, v in shown)
    return Markup(
        '<svg class="pareto" viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>'
    ).format(
        WIDTH,
        HEIGHT,
        WIDTH,
        f"Points of {accuracy} against the baseline, by size. {said}",
        Markup().join(drawn),
    )


def _scale(shown: Sequence[tuple[ParetoPoint, float]]) -> _Scale:
    found = [height_bounds(p) or (value, value) for p, value in shown]
    low, high = min(0.0, *(a for a, _ in found)), max(0.0, *(b for _, b in found))
    room = max((high - low) * 0.12, 0.2)
    most = max(p.bytes for p, _ in shown) * 1.08
    return _Scale(most_bytes=most, low=low - room, high=high + room)


def _axes(scale: _Scale, accuracy: str) -> Markup:
    bottom = HEIGHT - BOTTOM
    values = _ticks(scale.low, scale.high)
    digits = max(0, -math.floor(math.log10(values[1] - values[0]))) if len(values) > 1 else 1
    parts = [
        Markup(
            '<line class="{}" x1="{}" y1="{y}" x2="{}" y2="{y}"/>'
            '<text x="{}" y="{}" text-anchor="end">{}</text>'
        ).format(
            "zero" if abs(value) < 1e-9 else "grid",
            LEFT,
            WIDTH - RIGHT,
            LEFT - 6,
            f"{scale.y(value) + 5:.1f}",
            f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}") if abs(value) > 1e-9 else "0",
            y=f"{scale.y(value):.1f}",
        )
        for value in values
    ]
    parts += [
        Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(
            f"{scale.x(bytes_):.1f}", bottom + 18, size(round(bytes_)) if bytes_ else "0"
        )
        for bytes_ in _ticks(0.0, scale.most_bytes)
    ]
    parts.append(
        Markup(
            '<text x="{}" y="{}" text-anchor="middle">file size</text>'
            '<text transform="translate(14 {}) rotate(-90)" text-anchor="middle">{}</text>'
        ).format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, (TOP + bottom) / 2, f"points of {accuracy}"
        )
    )
    return Markup().join(parts)


def _ticks(low: float, high: float) -> list[float]:
    """Up to six round values (1, 2 or 5 times a power of ten apart) within the range."""
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * at for at in range(first, math.floor(high / step + 1e-9) + 1)]


def _point(point: ParetoPoint, value: float, scale: _Scale) -> Markup:
    x, y = f"{scale.x(point.bytes):.1f}", f"{scale.y(value):.1f}"
    whisker = Markup()
    bounds = height_bounds(point)
    if bounds is not None:
        low, high = (f"{scale.y(bound):.1f}" for bound in bounds)
        whisker = Markup(
            '<path class="whisker" d="M{x} {} V{} m-4 0 h8 M{x} {} m-4 0 h8"/>'
        ).format(high, low, high, x=x)
    return Markup('<g class="{}">{}<circle cx="{}" cy="{}" r="5"/></g>').format(
        "best" if point.best else "beaten", whisker, x, y
    )


def _labels(shown: Sequence[tuple[ParetoPoint, float]], scale: _Scale) -> list[Markup]:
    """Names beside their points, moved down or up until none lies on another or on a point."""
    circles = [(scale.x(point.bytes), scale.y(value)) for point, value in shown]
    placed = [(x - 7, x + 7, y) for x, y in circles]
    labels = []
    for point, value in sorted(shown, key=lambda pair: -pair[1]):
        x, y = scale.x(point.bytes), scale.y(value)
        on_right, on_left = WIDTH - x - 12, x - 10 - LEFT
        wanted = LETTER * len(point.artifact)
        left = on_right < wanted and on_left > on_right
        text = _shortened(point.artifact, on_left if left else on_right)
        length = LETTER * len(text)
        start = x - 10 - length if left else x + 10
        row = _free_row(start, length, y, placed)
        placed.append((start, start + length, row))
        labels.append(
            Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
                "best" if point.best else "beaten",
                f"{x - 10 if left else x + 10:.1f}",
                f"{row + 5:.1f}",
                "end" if left else "start",
                text,
            )
        )
    return labels


def _shortened(text: str, room: float) -> str:
    letters = max(int(room / LETTER), 4)
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _free_row(
    start: float, length: float, y: float, placed: Sequence[tuple[float, float, float]]
) -> float:
    for step in range(2 * len(placed) + 1):
        row = y + LINE * (step + 1) // 2 * (1 if step % 2 else -1) if step else y
        clear = all(
            right < start or left > start + length or abs(row - other) >= LINE
            for left, right, other in placed
        )
        if clear and TOP <= row <= HEIGHT - BOTTOM - 4:
            return row
    return y
