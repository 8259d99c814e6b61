"""What every runtime promises, whatever library it wraps."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import RUNTIMES, Runtime, Session, Tensors
from tests.contract import tiny

FEED: Tensors = {"image": tiny.pixels("NCHW")}


@pytest.fixture(params=list(RUNTIMES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def runtime(name: str) -> Runtime:
    return RUNTIMES.load(name)


@pytest.fixture
def model(name: str, model_files: dict[str, Path]) -> Path:
    return model_files[name]


@pytest.fixture
def session(runtime: Runtime, model: Path) -> Session:
    return runtime.open(model, threads=1)


def test_says_what_it_is(runtime: Runtime) -> None:
    assert runtime.name
    assert runtime.device == "cpu"
    assert any(part[0].isdigit() for part in runtime.version.split())


def test_names_the_tensors_of_the_file(session: Session) -> None:
    assert session.inputs == (TensorSpec(name="image", shape=tiny.SHAPE, dtype="float32"),)
    assert sorted(session.outputs, key=_by_name) == sorted(tiny.OUTPUTS, key=_by_name)


def _by_name(spec: TensorSpec) -> str:
    """SavedModels keep no order."""
    return spec.name


def test_gives_the_values_of_the_hub(session: Session, model_files: dict[str, Path]) -> None:
    expected = RUNTIMES.load("hub").open(model_files["hub"]).run(FEED)
    found = session.run(FEED)
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5 * np.abs(value).max())


def test_runs_twice_alike(session: Session) -> None:
    first, second = session.run(FEED), session.run(FEED)
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_another_image_gives_other_values(session: Session) -> None:
    first = session.run(FEED)
    second = session.run({"image": 1 - FEED["image"]})
    assert all(not np.array_equal(first[key], second[key]) for key in first)


def test_outputs_are_the_callers_own(session: Session) -> None:
    first = session.run(FEED)
    kept = {key: value.copy() for key, value in first.items()}
    session.run({"image": np.zeros(tiny.SHAPE, np.float32)})
    assert all(np.array_equal(first[key], kept[key]) for key in first)
    for value in first.values():
        value[...] = -1  # writable, and not what the next run hands out
    again = session.run(FEED)
    assert all(np.array_equal(again[key], kept[key]) for key in kept)


def test_inputs_are_left_alone(session: Session) -> None:
    image = tiny.pixels("NCHW")
    image.flags.writeable = False
    session.run({"image": image})
    assert np.array_equal(image, tiny.pixels("NCHW"))


@pytest.mark.parametrize(
    ("feed", "part"),
    [
        ({}, "fed none"),
        ({"picture": FEED["image"]}, "picture"),
        ({**FEED, "more": FEED["image"]}, "more"),
        ({"image": FEED["image"].astype(np.float64)}, "float64"),
        ({"image": FEED["image"].transpose(0, 2, 3, 1)}, "(1, 16, 24, 3)"),
        ({"image": FEED["image"][0]}, "(3, 16, 24)"),
        ({"image": FEED["image"].tolist()}, "list"),
    ],
    ids=["none", "wrong name", "extra", "dtype", "layout", "rank", "list"],
)
def test_wrong_input_is_named(session: Session, feed: Tensors, part: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        session.run(feed)
    assert part in caught.value.found


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 64,
        b"not a model at all, but long enough to be read",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        b"PK\x05\x06" + b"\x00" * 18,
        b"\x1c\x00\x00\x00TFL3" + b"\xff" * 64,
    ],
    ids=["empty", "zeros", "text", "lfs", "empty zip", "tflite header"],
)
def test_garbage_is_refused(runtime: Runtime, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.model"
    path.write_bytes(content)
    for opening in (runtime.open, runtime.open_for_trace):
        with pytest.raises(InvalidInput) as caught:
            opening(path)
        assert "garbage.model" in caught.value.failed
        assert str(tmp_path) not in caught.value.failed


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(
    runtime: Runtime, model: Path, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.model"
    cut = path
    if model.is_dir():
        shutil.copytree(model, path)
        cut = max((p for p in path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        data = cut.read_bytes()
    else:
        data = model.read_bytes()
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidInput):
        runtime.open(path)


def test_a_missing_file_and_a_folder_are_refused(runtime: Runtime, tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(InvalidInput):
            runtime.open(path)


def test_a_saved_model_cannot_be_looked_into(model_files: dict[str, Path]) -> None:
    with pytest.raises(Unsupported, match="no one can look inside"):
        RUNTIMES.load("saved_model").open_for_trace(model_files["saved_model"])


TRACEABLE = [name for name in RUNTIMES if name != "saved_model"]
"""A SavedModel's program is one operator to TensorFlow."""


@pytest.mark.parametrize("name", TRACEABLE)
def test_trace_ends_in_the_outputs(runtime: Runtime, model: Path) -> None:
    session = runtime.open_for_trace(model)
    outputs = session.run(FEED)
    traced = list(session.trace(FEED))
    assert len(traced) > 5
    assert all(value.dtype == np.float32 for _, value in traced)
    assert all(layer for layer, _ in traced)
    for value in outputs.values():
        assert any(np.array_equal(value, seen) for _, seen in traced)


@pytest.mark.parametrize("name", TRACEABLE)
def test_trace_changes_no_file(runtime: Runtime, model: Path) -> None:
    before = tree_sha256(model)
    list(runtime.open_for_trace(model).trace(FEED))
    assert tree_sha256(model) == before


def test_opening_and_running_print_nothing(
    runtime: Runtime, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    runtime.open(model).run(FEED)
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
