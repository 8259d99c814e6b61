"""The page's drawings as inline SVG: lineage, confidence before and after, intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from phoneproof.core.check import Check, Verdict, artifact_verdict
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.wording import number, size

NODE_WIDTH = 290
NODE_HEIGHT = 58
ROW = 74
INDENT = 26
MARK: dict[Verdict, str] = {"pass": "✓", "undecided": "?", "fail": "✗"}
MAX_POINTS = 1500


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    title: str
    detail: str
    verdict: Verdict | None
    depth: int
    parent: int | None


def lineage(report: Report) -> Markup:
    """Source, hub and every artifact as a tree, each with size, verdict mark and word."""
    nodes = _nodes(report)
    width = NODE_WIDTH + INDENT * max(node.depth for node in nodes) + 2
    height = ROW * len(nodes) - (ROW - NODE_HEIGHT) + 2
    parts = [_edge(nodes, row) for row in range(1, len(nodes))]
    parts += [_box(node, row) for row, node in enumerate(nodes)]
    described = "; ".join(f"{n.title}: {n.verdict or n.detail}" for n in nodes)
    return Markup(
        '<svg class="lineage" viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, width, f"Lineage. {described}", Markup().join(parts))


def _nodes(report: Report) -> list[_Node]:
    capture = report.capture
    gate = artifact_verdict(report.gate)
    nodes = [
        _Node(
            title=capture.source_name,
            detail=f"source, {capture.source_format}",
            verdict=None,
            depth=0,
            parent=None,
        ),
        _Node(
            title="hub program",
            detail=f"imported by {capture.importer}",
            verdict=gate,
            depth=1,
            parent=0,
        ),
    ]
    rows = {capture.hub_sha256: 1}
    for artifact in _parents_first(report):
        parent = rows.get(artifact.parent, 1)
        rows[artifact.sha256] = len(nodes)
        nodes.append(
            _Node(
                title=artifact.id,
                detail=f"{size(artifact.bytes)}, by {artifact.step}",
                verdict=artifact.verdict,
                depth=nodes[parent].depth + 1,
                parent=parent,
            )
        )
    return nodes


def _parents_first(report: Report) -> list[ArtifactReport]:
    """Depth first, each artifact directly below what it was made from."""
    known = {a.sha256 for a in report.artifacts}
    ordered: list[ArtifactReport] = []

    def add(artifact: ArtifactReport) -> None:
        if artifact in ordered:
            return
        ordered.append(artifact)
        for child in report.artifacts:
            if child.parent == artifact.sha256:
                add(child)

    for artifact in report.artifacts:
        if artifact.parent not in known:
            add(artifact)
    for artifact in report.artifacts:
        add(artifact)
    return ordered


def _edge(nodes: Sequence[_Node], row: int) -> Markup:
    node = nodes[row]
    parent = node.parent or 0
    x = 1 + INDENT * nodes[parent].depth + 13
    start = ROW * parent + NODE_HEIGHT + 1
    end = ROW * row + NODE_HEIGHT / 2 + 1
    right = 1 + INDENT * node.depth
    return Markup('<path class="edge" d="M{} {} V{} Q{} {} {} {} H{}"/>').format(
        x, start, end - 8, x, end, x + 8, end, right
    )


def _box(node: _Node, row: int) -> Markup:
    x, y = 1 + INDENT * node.depth, ROW * row + 1
    verdict = Markup()
    if node.verdict is not None:
        verdict = Markup(
            '<text class="verdict" x="{}" y="{}" text-anchor="end">{} {}</text>'
        ).format(x + NODE_WIDTH - 12, y + 24, MARK[node.verdict], node.verdict)
    room = 24 if node.verdict is not None else 36
    return Markup(
        '<g class="node {}"><title>{}</title><rect x="{}" y="{}" width="{}" height="{}" rx="4"/>'
        '<text class="title" x="{}" y="{}">{}</text>'
        '<text class="detail" x="{}" y="{}">{}</text>{}</g>'
    ).format(
        node.verdict or "plain",
        f"{node.title}: {node.detail}",
        *(x, y, NODE_WIDTH, NODE_HEIGHT),
        *(x + 12, y + 24, _shorten(node.title, room)),
        *(x + 12, y + 44, _shorten(node.detail, 42)),
        verdict,
    )


def _shorten(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def score_plot(artifact: ArtifactReport, threshold: float | None) -> Markup:
    """Scores before (x) and after (y); on the diagonal nothing changed."""
    step = -(-len(artifact.scores) // MAX_POINTS) or 1
    shown = artifact.scores[::step]
    points = Markup().join(
        Markup('<circle cx="{}" cy="{}" r="2.4"/>').format(f"{_x(a):.1f}", f"{_y(b):.1f}")
        for a, b in shown
    )
    label = (
        f"Score of the baseline (across) against {artifact.id} (up), {len(artifact.scores)} pairs"
    )
    return Markup(
        '<svg class="scores" viewBox="0 0 330 320" width="330" role="img" aria-label="{}">'
        "{}{}<g class='points'>{}</g></svg>"
    ).format(label, _axes(), _threshold(threshold), points)


def _x(score: float) -> float:
    return 44 + 270 * min(max(score, 0.0), 1.0)


def _y(score: float) -> float:
    return 280 - 270 * min(max(score, 0.0), 1.0)


def _axes() -> Markup:
    ticks = Markup().join(
        Markup(
            '<line class="grid" x1="{0}" y1="10" x2="{0}" y2="280"/>'
            '<line class="grid" x1="44" y1="{1}" x2="314" y2="{1}"/>'
            '<text x="{0}" y="296" text-anchor="middle">{2}</text>'
            '<text x="38" y="{3}" text-anchor="end">{2}</text>'
        ).format(_x(t), _y(t), number(t), _y(t) + 4)
        for t in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return ticks + Markup(
        '<line class="diagonal" x1="44" y1="280" x2="314" y2="10"/>'
        '<text x="179" y="314" text-anchor="middle">score of the baseline</text>'
        '<text transform="translate(10 145) rotate(-90)" text-anchor="middle">'
        "score of the artifact</text>"
    )


def _threshold(value: float | None) -> Markup:
    if value is None:
        return Markup()
    return Markup(
        '<g class="threshold"><line x1="{0}" y1="10" x2="{0}" y2="280"/>'
        '<line x1="44" y1="{1}" x2="314" y2="{1}"/>'
        '<text x="312" y="{2}" text-anchor="end">the app shows from {3}</text></g>'
    ).format(_x(value), _y(value), _y(value) - 5, number(value))


def interval(check: Check) -> Markup:
    """The estimate with its 95 % bounds on a line, and the limit it is held against."""
    if check.bounds is None or check.limit is None or check.value is None:
        return Markup()
    low, high = check.bounds
    left, right = min(low, check.limit, 0.0), max(high, check.limit)
    span = (right - left) or 1.0

    def at(value: float) -> str:
        return f"{8 + 144 * (value - left) / span:.1f}"

    label = f"bounds {number(low)} to {number(high)}, limit {number(check.limit)}"
    return Markup(
        '<svg class="interval {}" viewBox="0 0 160 22" width="160" role="img" aria-label="{}">'
        '<line class="axis" x1="8" y1="11" x2="152" y2="11"/>'
        '<line class="span" x1="{}" y1="11" x2="{}" y2="11"/>'
        '<circle cx="{}" cy="11" r="4"/>'
        '<line class="limit" x1="{}" y1="2" x2="{}" y2="20"/></svg>'
    ).format(check.verdict, label, at(low), at(high), at(check.value), *[at(check.limit)] * 2)
