"""Golden vectors of files whose runtime takes seconds for an image: few, and those complete."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from phoneproof.core.artifact import Artifact
from phoneproof.core.errors import InvalidInput
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import pretty_bytes
from phoneproof.package import golden
from phoneproof.package.golden import INDEX, make_golden
from phoneproof.package.golden_check import check_golden
from tests.unit.test_package_golden import Made, make, named, opener


def slow(made: Made) -> Artifact:
    binding = msgspec.structs.replace(made.artifact.binding, format="coreai")
    return msgspec.structs.replace(
        made.artifact, id="coreai-float32", format="coreai", binding=binding
    )


def spoken_of(index: GoldenIndex, artifact: str) -> list[str]:
    return [
        case.id
        for case in index.cases
        if any(one.artifact == artifact for one in case.expected.artifacts)
    ]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the test's small input were large."""
    monkeypatch.setattr(golden, "SLOW_VALUES", 1)


@pytest.mark.usefixtures("few")
def test_a_slow_file_is_recorded_for_the_first_lossless_pictures(tmp_path: Path) -> None:
    made = make(tmp_path / "first")
    folder, pair = tmp_path / "golden", (slow(made), tmp_path)
    index = make_golden(
        folder, made.contract, [(made.artifact, tmp_path), pair], opener(made.compute)
    )
    lossless = [case.id for case in index.cases if "lossless" in case.flags]
    assert spoken_of(index, "coreai-float32") == lossless[:2]
    assert len(spoken_of(index, "tflite-float32")) == 16

    checks = check_golden(folder, made.contract, [pair], opener(made.compute))
    assert [(c.name, c.slice, c.n, c.verdict) for c in checks] == [
        ("golden_pixels", "", 2, "pass"),
        ("golden_outputs", "coreai-float32", 2, "pass"),
        ("golden_results", "coreai-float32", 2, "pass"),
    ]
    wrong = check_golden(folder, made.contract, [pair], opener(made.compute, -0.2))
    assert named(wrong, "golden_outputs").verdict == "fail"


def test_of_a_small_input_every_lossless_picture_is_recorded(tmp_path: Path) -> None:
    made = make(tmp_path / "first")
    pairs = [(slow(made), tmp_path)]
    index = make_golden(tmp_path / "golden", made.contract, pairs, opener(made.compute))
    assert len(spoken_of(index, "coreai-float32")) == 8


@pytest.mark.usefixtures("few")
def test_a_case_that_was_taken_out_is_missed(tmp_path: Path) -> None:
    made = make(tmp_path / "first")
    folder, pairs = tmp_path / "golden", [(slow(made), tmp_path)]
    index = make_golden(folder, made.contract, pairs, opener(made.compute))
    case = next(one for one in index.cases if one.id == spoken_of(index, "coreai-float32")[1])
    silent = msgspec.structs.replace(case.expected, artifacts=())
    cases = tuple(
        msgspec.structs.replace(one, expected=silent) if one is case else one for one in index.cases
    )
    (folder / INDEX).write_bytes(pretty_bytes(msgspec.structs.replace(index, cases=cases)))
    with pytest.raises(InvalidInput, match="does not record coreai-float32 completely"):
        check_golden(folder, made.contract, pairs, opener(made.compute))
