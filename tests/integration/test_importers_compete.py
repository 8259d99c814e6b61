"""Importers are tried in their order; the first that equals the source on real images wins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from phoneproof.core.artifact import file_sha256
from phoneproof.core.errors import ConversionFailed
from phoneproof.core.events import silence
from phoneproof.core.report import Report
from phoneproof.pipeline.build import run_request
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.prepare import prepare
from phoneproof.pipeline.start import start_project
from phoneproof.pipeline.workshop import open_workshop
from tests.integration.colour_model import save_classifier, write_pictures
from tests.integration.competing_source import CompetingSource


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("competition")
    save_classifier(folder / "colours.onnx")
    write_pictures(folder / "val")
    path = folder / "phoneproof.toml"
    start_project(
        folder / "colours.onnx",
        folder / "val",
        config=path,
        labels=None,
        preset=None,
        task=None,
        overwrite=False,
        listener=silence,
    )
    return path


def _build(config: Path, kinds: tuple[str, ...]) -> Report:
    with open_workshop(config.parent / ".phoneproof", silence) as workshop:
        # One small artifact is enough: what is looked at is the capture.
        request = prepare(load_config(config), workshop, silence, targets=("server",))
        model = config.parent / "colours.onnx"
        source = CompetingSource(path=model, format="onnx", sha256=file_sha256(model), kinds=kinds)
        return run_request(replace(request, source=source), workshop, started=0.0).report


@pytest.mark.parametrize(
    ("kinds", "refused"),
    [
        (("right", "wrong"), []),
        (("breaks", "right"), ["breaks"]),
        (("wrong", "right"), ["wrong"]),
        (("dies", "wrong", "breaks", "right"), ["importer 1", "wrong", "breaks"]),
    ],
)
def test_the_first_right_importer_wins(
    config: Path, kinds: tuple[str, ...], refused: list[str]
) -> None:
    report = _build(config, kinds)
    assert report.accepted
    assert report.capture.importer == "right"
    assert [lost.importer for lost in report.refused_importers] == refused
    for lost in report.refused_importers:
        if lost.importer == "wrong":
            off = [c for c in lost.checks if c.name == "hub_equivalence" and c.verdict == "fail"]
            assert off
            assert off[0].value is not None
            assert off[0].value > 1e-2
        else:
            assert lost.reason
            assert lost.checks == ()


def test_where_none_is_right_nothing_ships(config: Path) -> None:
    report = _build(config, ("breaks", "wrong"))
    assert not report.accepted
    assert report.artifacts == ()
    assert [c.verdict for c in report.gate if c.name == "hub_equivalence"] == ["fail"]
    page = (config.parent / "dist" / "colours-1.0.0-refused" / "report.html").read_text()
    assert "the library broke" in page


def test_where_every_importer_breaks_the_build_says_why(config: Path) -> None:
    with pytest.raises(ConversionFailed, match="the library broke"):
        _build(config, ("breaks", "breaks"))


def test_the_source_is_measured_on_its_labels(config: Path) -> None:
    report = _build(config, ("right",))
    assert [(c.name, c.value, c.n) for c in report.source if c.name == "top1"] == [
        ("top1", 1.0, 12)
    ]
