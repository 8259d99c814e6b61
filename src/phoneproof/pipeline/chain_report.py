"""The classic chain as the report tells it: its links, and what the direct route gives instead."""

from __future__ import annotations

from collections.abc import Iterable

from phoneproof.convert.routes import Route
from phoneproof.core.check import Check
from phoneproof.core.report import ChainLink, ClassicChain, RouteFile
from phoneproof.pipeline.artifact_chain import JudgedArtifact, LinkResult

_AGREEMENT = ("top1_agreement", "box_agreement")


def chain_report(judged: tuple[JudgedArtifact, ...]) -> ClassicChain | None:
    """The chain among the artifacts of a build; null where none went that way."""
    links = [(one, one.link) for one in judged if one.link is not None]
    if not links:
        return None
    last, end = links[-1]
    return ClassicChain(
        links=tuple(_link(one, link) for one, link in links),
        broken=end.broken,
        routes=_routes(last, end.direct, tuple(one for one, _ in links)),
    )


def _link(one: JudgedArtifact, link: LinkResult) -> ChainLink:
    return ChainLink(
        edge=link.edge,
        artifact=one.made.artifact.id,
        to_parent=_difference(link.checks),
        to_baseline=_difference(one.measured.checks),
        agreement=_agreement(link.checks),
        kept=all(check.verdict != "fail" for check in link.checks),
    )


def _routes(
    last: JudgedArtifact, direct: JudgedArtifact | None, chain: tuple[JudgedArtifact, ...]
) -> tuple[RouteFile, ...]:
    if direct is None:
        return ()
    return _route_file("direct", direct, (direct,)), _route_file("classic", last, chain)


def _route_file(route: Route, one: JudgedArtifact, steps: tuple[JudgedArtifact, ...]) -> RouteFile:
    from phoneproof.formats.tflite import read_inventory

    return RouteFile(
        route=route,
        bytes=one.made.artifact.bytes,
        seconds=round(sum(step.made.artifact.lineage.seconds for step in steps), 3),
        ops=read_inventory(one.made.path).ops,
        difference=_difference(one.measured.checks),
        agreement=_agreement(one.measured.checks),
        verdict=one.verdict,
    )


def _difference(checks: Iterable[Check]) -> float | None:
    values = [c.value for c in checks if c.name == "max_abs" and c.value is not None]
    return max(values, default=None)


def _agreement(checks: Iterable[Check]) -> float | None:
    values = [c.value for c in checks if c.name in _AGREEMENT and c.value is not None]
    return min(values, default=None)
