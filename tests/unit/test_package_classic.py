"""The classic chain on the page and in the model card."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest

from phoneproof.core.report import ChainLink, ClassicChain, Report, RouteFile
from phoneproof.package.model_card import model_card
from phoneproof.package.report_html import render_report
from tests.unit import report_samples as samples


def with_chain(broken: str | None = None) -> Report:
    report = samples.accepted_report()
    first, second = report.artifacts[:2]
    links = (
        ChainLink(
            edge="hub-onnx",
            artifact=first.id,
            to_parent=2e-7,
            to_baseline=3e-7,
            agreement=1.0,
            kept=broken != "hub-onnx",
        ),
        ChainLink(edge="saved_model-tflite", artifact=second.id, kept=True),
    )
    transposes: dict[Literal["direct", "classic"], int] = {"direct": 7, "classic": 31}
    routes = tuple(
        RouteFile(
            route=route,
            bytes=12_700_000,
            seconds=12.5,
            ops=(("CONV_2D", 64), ("TRANSPOSE", count)),
            difference=1e-6,
            agreement=1.0,
            verdict="pass",
        )
        for route, count in transposes.items()
    )
    chain = ClassicChain(links=links, broken=broken, routes=routes)
    return msgspec.structs.replace(report, classic=chain)


def section(page: str) -> str:
    start = page.index('<section aria-labelledby="classic">')
    return page[start : page.index("</section>", start)]


def test_every_link_and_both_routes_are_on_the_page() -> None:
    shown = section(render_report(with_chain()))
    for words in ("hub → onnx", "saved_model → tflite", "Every link keeps float32 limits"):
        assert words in shown
    for figure in ("2e-07", "3e-07", ">95<", ">31<", ">71<", ">7<"):
        assert figure in shown
    assert "broke the chain" not in shown


def test_the_broken_link_is_named() -> None:
    shown = section(render_report(with_chain("hub-onnx")))
    assert "The link hub → onnx broke the chain." in shown
    assert "Every link keeps" not in shown


@pytest.mark.parametrize("chained", [True, False])
def test_the_card_says_how_the_files_were_made(chained: bool) -> None:
    card = model_card(with_chain() if chained else samples.accepted_report())
    assert ("hub -> onnx -> tflite" in card) == chained
    page = render_report(with_chain() if chained else samples.accepted_report())
    assert ("The classic chain, link by link" in page) == chained
