"""The vectors for phones: not edited by hand, whole, and what the reference answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.binding import Activation, Box, GridAnchors, PriorAnchors, YoloAnchors
from phoneproof.core.contract import Filter, Size
from phoneproof.core.json_format import parse
from phoneproof.pixels.reference import opencv, pillow, tensorflow
from tests.assets import ROOT
from tests.vectors import random_cases
from tests.vectors.documents import TensorFile, VectorFile
from tests.vectors.files import AREAS, FOLDER, SCHEMA_FILE, content, made, names
from tests.vectors.pictures import Picture, pixels
from tests.vectors.reading import AnyCase, answer, given
from tests.vectors.types import (
    ClassRow,
    DecodeCase,
    DetectionRow,
    Flag,
    ImageCase,
    ResizeCase,
    digest,
)

BOX_TOLERANCE, SCORE_TOLERANCE = 1e-4, 1e-6
LARGEST_FOLDER = 4_000_000
LEAST_COMBINATIONS = 300
_EXPONENTIALS = ("decode.json", "images.json")
_READABLE: dict[str, Callable[[NDArray[np.uint8], Size, str], NDArray[Any]]] = {
    "pillow": pillow.resize,
    "opencv": opencv.resize,
    "tensorflow": tensorflow.resize,
}


def cases(area: str) -> tuple[AnyCase, ...]:
    return listed((FOLDER / f"{area}.json").read_bytes())


def listed(data: bytes) -> tuple[AnyCase, ...]:
    document: VectorFile = msgspec.json.decode(data, type=VectorFile)
    return document.cases


def near(one: object, other: object) -> bool:
    """Equal, with scores within 1e-6 and boxes within 1e-4 pixels: what phones are asked for."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(map(near, one, other))
    rows = (DetectionRow, ClassRow)
    if not isinstance(one, rows) or not isinstance(other, rows):
        return one == other
    boxes = [row.box if isinstance(row, DetectionRow) else () for row in (one, other)]
    away = max((abs(a - b) for a, b in zip(*boxes, strict=True)), default=0.0)
    same = one.class_ == other.class_ and away <= BOX_TOLERANCE
    return same and abs(one.score - other.score) <= SCORE_TOLERANCE


def asked(case: AnyCase) -> AnyCase:
    """A case without its results."""
    if isinstance(case, DecodeCase | ImageCase):
        return msgspec.structs.replace(case, detections=None, classes=None)
    return case


@pytest.mark.parametrize("name", names())
def test_the_file_is_the_one_that_is_made(name: str, update_golden: bool) -> None:
    """Byte for byte; only results behind an exponential may be as far away as a phone's.

    NumPy's float32 exp is another one on each family of processors.
    """
    expected, path = made(name), FOLDER / name
    if update_golden:
        path.write_bytes(expected)
    published = path.read_bytes()
    if name not in _EXPONENTIALS or published == expected:
        assert published == expected, "run pytest with --update-golden"
        return
    for there, here in zip(listed(published), listed(expected), strict=True):
        assert asked(there) == asked(here), "run pytest with --update-golden"
        assert near(given(there), given(here)), there.id


def test_nothing_else_is_in_the_folder() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*names(), "README.md"}


def test_the_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < LARGEST_FOLDER


@pytest.mark.parametrize("area", AREAS)
def test_the_reference_answers_as_the_file_says(area: str) -> None:
    """From the file alone: it holds all that an implementation needs."""
    for case in cases(area):
        assert near(answer(case), given(case)), case.id


@pytest.mark.parametrize("area", AREAS)
def test_a_file_fits_the_published_schema(area: str) -> None:
    validator = pytest.importorskip("jsonschema").Draft202012Validator(
        msgspec.json.decode((FOLDER / SCHEMA_FILE).read_bytes())
    )
    document = msgspec.json.decode((FOLDER / f"{area}.json").read_bytes())
    # One case of each set of fields; a whole file of them takes half a minute.
    kinds = {tuple(sorted(case)): case for case in document["cases"]}
    few = {**document, "cases": list(kinds.values())}
    assert list(validator.iter_errors(few)) == []
    assert list(validator.iter_errors({**few, "cases": [{"id": "x"}]})) != []
    assert list(validator.iter_errors({**few, "area": "colour"})) != []


def test_there_are_enough_combinations() -> None:
    assert sum(len(cases(area)) for area in ("resize", "geometry", "tensor")) >= LEAST_COMBINATIONS


@pytest.mark.parametrize("name", get_args(Filter))
def test_every_filter_goes_up_and_down_and_to_one_pixel(name: str) -> None:
    found: set[str] = set()
    for case in cases("resize"):
        assert isinstance(case, ResizeCase)
        if case.filter == name:
            found.update(case.flags)
    wanted = {"upscale", "downscale", "mixed", "identity", "one_pixel", "extreme_aspect"}
    assert wanted <= found


def test_every_flag_is_used() -> None:
    used = {flag for area in AREAS for case in cases(area) for flag in case.flags}
    assert used | {"random"} == set(get_args(Flag))


def test_every_way_to_bind_a_head_is_there() -> None:
    """All roles, anchors, formats and activations that the decoder knows, and be it as raw."""
    decodes = [case for case in cases("decode") if isinstance(case, DecodeCase) and not case.error]
    outputs = [output for case in decodes for output in case.binding.outputs]
    roles = {"boxes", "scores", "objectness", "classes", "count", "dfl", "heatmap", "mask", "raw"}
    assert {output.role for output in outputs} == roles
    assert {output.activation for output in outputs} == set(get_args(Activation))
    formats = msgspec.structs.fields(Box)[0].type
    assert {output.box.format for output in outputs if output.box} == set(get_args(formats))
    anchors = {type(case.binding.anchors) for case in decodes}
    assert anchors == {type(None), GridAnchors, YoloAnchors, PriorAnchors}
    dtypes = {tensor.dtype for case in decodes for tensor in case.outputs}
    assert dtypes == {"float32", "float16", "int8", "uint8", "int16", "int32", "int64"}


def test_a_binding_names_its_contract() -> None:
    for case in (*cases("decode"), *cases("images")):
        assert isinstance(case, DecodeCase | ImageCase)
        assert case.binding.contract == case.contract.sha256


def test_what_is_written_to_be_read_agrees() -> None:
    """The specification of the filters, in whole numbers, without the libraries; small pictures."""
    for case in cases("resize"):
        assert isinstance(case, ResizeCase)
        if "large" not in case.flags:
            library, _, name = case.filter.partition(".")
            scaled = _READABLE[library](pixels(case.picture), case.size, name)
            assert digest(scaled) == case.expected, case.id


def _wobbling(x: Any, **options: Any) -> Any:
    """exp, a unit in the last place too small or too large, by the value."""
    exact = _EXP(x, **options)
    bits = np.asarray(exact).view(np.uint32) if np.asarray(exact).dtype == np.float32 else None
    assert bits is not None
    away = np.where(bits & 2, np.float32(np.inf), np.float32(0))
    made = np.nextafter(exact, np.where(np.isfinite(exact), away, exact))
    if "out" in options:
        options["out"][...] = made
        return options["out"]
    return made


_EXP = np.exp


def test_no_result_hangs_on_the_last_bit_of_an_exponential(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Libraries of C differ there; order and classes have to stay, and values near."""
    decodes = [case for case in cases("decode") if "exponentials" in case.flags]
    before = [answer(case) for case in decodes]
    monkeypatch.setattr(np, "exp", _wobbling)
    after = [answer(case) for case in decodes]
    assert before != after
    for case, old, new in zip(decodes, before, after, strict=True):
        assert near(old, new), case.id


def test_random_cases_are_of_sizes_that_no_file_lists(tmp_path: Path) -> None:
    path = tmp_path / "extra.json"
    assert random_cases.main(["12", "7", str(path)]) == 0
    document = parse(path.read_bytes(), TensorFile, what="extra.json")
    assert len(document.cases) == 12
    sizes = {(case.picture.height, case.picture.width) for case in document.cases}
    assert not sizes & random_cases.listed_sizes()
    assert path.read_bytes() == content("tensor", random_cases.cases(12, 7))
    assert path.read_bytes() != content("tensor", random_cases.cases(12, 8))


@pytest.mark.parametrize("arguments", [[], ["12", "7"], ["many", "7", "x"], ["-1", "7", "x"]])
def test_random_cases_say_how_they_are_called(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert random_cases.main(arguments) == 2
    assert "usage:" in capsys.readouterr().err


def _noise(seed: int, i: int) -> int:
    """The page's formula, in whole numbers of Python."""
    x = (seed * 0x9E3779B1 + i * 0x85EBCA77) % 2**32
    x ^= x >> 15
    x = x * 0x2C1B3C6D % 2**32
    x ^= x >> 12
    x = x * 0x297A2D39 % 2**32
    x ^= x >> 15
    return x >> 24


def _waves(seed: int, y: int, x: int, channel: int) -> int:
    slow = (x * y * seed) % 2**32 // 64
    v = (seed * 37 + x * 7 + y * 11 + channel * 83 + slow) % 2**32 % 511
    return v if v <= 255 else 510 - v


@pytest.mark.parametrize("seed", [1, 99, 2**31 + 7])
def test_pictures_are_what_the_page_says(seed: int) -> None:
    size = (13, 70, 3)
    noise = pixels(Picture(kind="noise", seed=seed, height=13, width=70))
    waves = pixels(Picture(kind="waves", seed=seed, height=13, width=70))
    assert noise.ravel().tolist() == [_noise(seed, i) for i in range(noise.size)]
    assert waves.tolist() == [
        [[_waves(seed, y, x, c) for c in range(size[2])] for x in range(size[1])]
        for y in range(size[0])
    ]
    if seed == 1:
        page = (ROOT / "docs" / "reference" / "vectors.md").read_text()
        assert f"are {', '.join(map(str, noise.ravel()[:6]))};" in page
        assert f"is {', '.join(map(str, waves.ravel()[:3]))}." in page


def test_two_cases_of_one_id_are_refused() -> None:
    twice = cases("gray")[:1] * 2
    with pytest.raises(ValueError, match="used twice"):
        content("gray", twice)
