"""The arithmetic of the Apple benchmark: pictures, differences from the hub, rows and tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from benchmarks import apple_cases, apple_table
from benchmarks.apple_cases import CASES, spread
from benchmarks.apple_figures import Figures, difference, hub_input
from benchmarks.apple_table import BEGIN, END, Row, keep, measured_at
from phoneproof.core.binding import Binding, InputBinding, Layout
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.tensors import TensorSpec

Array = NDArray[np.float32]
FIRST, SECOND = CASES[0].name, CASES[1].name


class FakeSession:
    """Gives what a function makes of its image."""

    def __init__(self, shape: tuple[int, ...], *makes: Callable[[Array], Array]) -> None:
        self._makes = makes
        self.inputs = (TensorSpec(name="image", shape=shape, dtype="float32"),)
        self.outputs = tuple(
            TensorSpec(name=f"out{number}", shape=(1,), dtype="float32")
            for number in range(len(makes))
        )

    def run(self, tensors: object) -> dict[str, Array]:
        assert isinstance(tensors, dict)
        (image,) = tensors.values()
        assert image.shape == self.inputs[0].shape
        return {
            spec.name: make(image) for spec, make in zip(self.outputs, self._makes, strict=True)
        }


def binding(layout: Layout = "NCHW") -> Binding:
    shape = (1, 3, 4, 6) if layout == "NCHW" else (1, 4, 6, 3)
    return Binding(
        contract="0" * 64,
        format="coreml",
        inputs=(InputBinding(tensor="image", shape=shape, layout=layout),),
        outputs=(),
    )


def contract() -> Contract:
    resize = Resize(to="stretch", size=(4, 6), filter="pillow.bilinear")
    image = ImageInput(
        geometry=(resize,), size=(4, 6), scale=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
    )
    return Contract(name="small", version="1.0.0", task="raw", inputs=(image,))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.full((4, 6, 3), 50 * (number + 1), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def mean_of(factor: float) -> Callable[[Array], Array]:
    return lambda image: np.asarray([image.mean() * factor], np.float32)


def test_pictures_are_spread_and_all_are_taken_where_there_are_few(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apple_cases, "ASSETS", pictures.parent)
    assert [p.name for p in spread("pictures", 2)] == ["0.png", "1.png"]
    assert [p.name for p in spread("pictures", 16)] == ["0.png", "1.png", "2.png"]


def test_the_difference_is_that_of_the_worst_output(pictures: Path) -> None:
    shape = (1, 3, 4, 6)
    hub = FakeSession(shape, mean_of(1.0), mean_of(10.0))
    same = FakeSession(shape, mean_of(1.0), mean_of(10.0))
    other = FakeSession(shape, mean_of(1.0), mean_of(11.0))
    assert difference((hub, same), contract(), binding(), pictures) == 0.0
    found = difference((hub, other), contract(), binding(), pictures)
    assert found == pytest.approx(0.1, rel=1e-4)


def test_the_hub_gets_the_picture_in_its_own_layout(pictures: Path) -> None:
    hub = FakeSession((1, 4, 6, 3), mean_of(1.0))
    file = FakeSession((1, 3, 4, 6), mean_of(1.0))
    assert hub_input(hub, binding().image).layout == "NHWC"
    assert difference((hub, file), contract(), binding(), pictures) < 1e-6


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
