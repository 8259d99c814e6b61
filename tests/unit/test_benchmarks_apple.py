"""The Apple benchmark: which pictures take part, and rows kept model by model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks import apple_cases, apple_table
from benchmarks.apple_cases import CASES, spread
from benchmarks.apple_figures import Figures
from benchmarks.apple_table import BEGIN, END, Row, keep, measured_at

FIRST, SECOND = CASES[0].name, CASES[1].name


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.full((4, 6, 3), 50 * (number + 1), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_pictures_are_spread_and_all_are_taken_where_there_are_few(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apple_cases, "ASSETS", pictures.parent)
    assert [p.name for p in spread("pictures", 2)] == ["0.png", "1.png"]
    assert [p.name for p in spread("pictures", 16)] == ["0.png", "1.png", "2.png"]


def test_rows_are_kept_model_by_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, results = tmp_path / "page.md", tmp_path / "apple.json"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    monkeypatch.setattr(apple_table, "PAGE", page)
    monkeypatch.setattr(apple_table, "RESULTS", results)
    keep(row(SECOND, "a" * 7))
    keep(row(FIRST, "b" * 7))
    keep(row(SECOND, "c" * 7))
    kept = json.loads(results.read_text())["rows"]
    assert [one["model"] for one in kept] == [FIRST, SECOND]
    assert (measured_at(FIRST), measured_at(SECOND), measured_at("x")) == ("b" * 7, "c" * 7, "")
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "run by Runtime of coreml" in text
    assert "Core AI**, run by Runtime of coreai" in text


def test_what_is_not_there_is_listed_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n")
    monkeypatch.setattr(apple_table, "PAGE", page)
    monkeypatch.setattr(apple_table, "RESULTS", tmp_path / "apple.json")
    keep(row(FIRST, "a" * 7, Figures(verdict="Unsupported: no roll (roll in body/roll)")))
    keep(row(SECOND, "a" * 7, Figures(verdict="refused (fail)", n=8, failed="snr_db out 30.0")))
    text = page.read_text()
    assert f"- {FIRST}, coreai-float16: Unsupported: no roll (roll in body/roll)" in text
    assert f"- {SECOND}, coreai-float16: refused: snr_db out 30.0" in text


def row(model: str, commit: str, last: Figures | None = None) -> Row:
    found = {
        f"{format_}-{precision}": Figures(verdict="pass", n=4, runtime=f"Runtime of {format_}")
        for format_ in ("coreml", "coreai")
        for precision in ("float32", "float16")
    }
    if last is not None:
        found["coreai-float16"] = last
    return Row(model=model, images="images", artifacts=found, seconds=1.0, commit=commit)
