"""Predictions on disk: the same back, the same bytes, and nothing half-written."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, PhoneproofError, StorageError
from phoneproof.decode.results import Classification, Detections, RawOutputs, Results
from phoneproof.runtimes.predict import Prediction
from phoneproof.runtimes.prediction_store import FILE, read_predictions, write_predictions


def detections(count: int, seed: int = 0) -> Detections:
    rng = np.random.default_rng(seed)
    return Detections(
        boxes=rng.uniform(0, 99, (count, 4)).astype(np.float32),
        scores=rng.uniform(0, 1, count).astype(np.float32),
        classes=rng.integers(0, 80, count),
    )


def prediction(i: int, app: Results, **more: Any) -> Prediction:
    fields: dict[str, Any] = {"metric": None, "roles": None, **more}
    return Prediction(
        name=f"p/{i}.jpg", sha256=f"{i:064x}", height=480, width=640, app=app, **fields
    )


def samples() -> list[Prediction]:
    roles = {
        "boxes": np.arange(8, dtype=np.float32).reshape(2, 4),
        "scores": np.arange(6, dtype=np.float32).reshape(3, 2).T,  # not contiguous
    }
    odd = {"a/b:0": np.ones((2, 2), np.float32), "empty": np.empty((0, 4), np.float32)}
    raw = RawOutputs(tensors=(("a/b:0", np.ones((2, 3), np.float32)),))
    return [
        prediction(0, detections(5), metric=detections(300, 1), roles=roles),
        prediction(1, detections(0), metric=detections(0)),
        prediction(2, Classification(probabilities=np.array([0.25, 0.75], np.float32))),
        prediction(3, raw, roles=odd),
        prediction(4, detections(1), roles={}),
    ]


def arrays(results: Results | None) -> list[NDArray[Any]]:
    if results is None:
        return []
    if isinstance(results, Classification):
        return [results.probabilities]
    if isinstance(results, Detections):
        return [results.boxes, results.scores, results.classes]
    return [array for _, array in results.tensors]


def assert_same(first: Prediction, second: Prediction) -> None:
    for field in ("name", "sha256", "height", "width"):
        assert getattr(first, field) == getattr(second, field)
    for a, b in ((first.app, second.app), (first.metric, second.metric)):
        assert type(a) is type(b)
        for left, right in zip(arrays(a), arrays(b), strict=True):
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
    assert (first.roles is None) == (second.roles is None)
    if first.roles is not None and second.roles is not None:
        assert list(first.roles) == list(second.roles)
        for name in first.roles:
            np.testing.assert_array_equal(first.roles[name], second.roles[name])


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_is_written_is_read_as_often_as_wanted(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a" / "b", iter(samples()))
    stored = read_predictions(tmp_path / "a" / "b")
    assert len(stored) == 5
    for _ in range(2):
        for first, second in zip(samples(), stored, strict=True):
            assert_same(first, second)


def test_roles_are_mapped_when_they_are_looked_at(tmp_path: Path) -> None:
    write_predictions(tmp_path, samples())
    first = next(iter(read_predictions(tmp_path)))
    assert first.roles is not None
    assert isinstance(first.roles["boxes"], np.memmap)
    assert not first.roles["boxes"].flags.writeable


def test_equal_predictions_give_equal_bytes(tmp_path: Path) -> None:
    write_predictions(tmp_path / "a", samples())
    write_predictions(tmp_path / "b", samples())
    assert content(tmp_path / "a") == content(tmp_path / "b")
    assert len(content(tmp_path / "a")) == 5  # the records and four arrays
    write_predictions(tmp_path / "b", samples()[::-1])
    assert content(tmp_path / "a")[FILE] != content(tmp_path / "b")[FILE]


def test_none_at_all(tmp_path: Path) -> None:
    write_predictions(tmp_path, [])
    assert len(read_predictions(tmp_path)) == 0
    assert list(read_predictions(tmp_path)) == []


def test_a_store_is_replaced_whole(tmp_path: Path) -> None:
    write_predictions(tmp_path, samples())
    write_predictions(tmp_path, samples()[1:2])
    assert list(content(tmp_path)) == [FILE]


@pytest.mark.parametrize("cut", [0, 4, 8, 20, 100, -1, -20])
def test_a_truncated_store_is_refused(tmp_path: Path, cut: int) -> None:
    write_predictions(tmp_path, samples())
    path = tmp_path / FILE
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InvalidInput, match="damaged"):
        list(read_predictions(tmp_path))


def test_every_flipped_byte_is_noticed(tmp_path: Path) -> None:
    write_predictions(tmp_path, samples()[1:3])
    path = tmp_path / FILE
    good = path.read_bytes()
    for i in range(len(good)):
        path.write_bytes(good[:i] + bytes([good[i] ^ 0x41]) + good[i + 1 :])
        with pytest.raises(InvalidInput):
            list(read_predictions(tmp_path))


def test_there_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no stored predictions"):
        read_predictions(tmp_path)


def test_a_damaged_or_missing_role_is_refused(tmp_path: Path) -> None:
    write_predictions(tmp_path, samples())
    roles = next(iter(read_predictions(tmp_path))).roles
    assert roles is not None
    file = next((tmp_path / "roles").glob("*0.boxes.npy"))
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(InvalidInput, match="damaged"):
        roles["boxes"]
    file.unlink()
    with pytest.raises(InvalidInput, match="damaged"):
        roles["boxes"]


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    roles = {"../../r": np.ones(1, np.float32)}
    hostile = Prediction(
        name="x",
        sha256="../../../s",
        height=1,
        width=1,
        app=detections(0),
        metric=None,
        roles=roles,
    )
    write_predictions(tmp_path / "deep" / "store", [hostile])
    assert {p.name for p in tmp_path.iterdir()} == {"deep"}
    again = next(iter(read_predictions(tmp_path / "deep" / "store")))
    assert again.roles is not None
    assert again.roles["../../r"].tolist() == [1]


class Stopped(Exception):
    pass


def failing(error: BaseException) -> Iterator[Prediction]:
    yield samples()[0]
    raise error


@pytest.mark.parametrize("error", [Stopped(), KeyboardInterrupt(), OSError("theirs")])
def test_an_error_of_the_source_goes_through_and_leaves_nothing(
    tmp_path: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        write_predictions(tmp_path / "a" / "b", failing(error))
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_the_older_store_as_it_was(tmp_path: Path) -> None:
    write_predictions(tmp_path, samples())
    before = content(tmp_path)
    with pytest.raises(Stopped):
        write_predictions(tmp_path, failing(Stopped()))
    assert content(tmp_path) == before


@pytest.mark.parametrize("where", ["save", "fsync"])
def test_a_full_disk_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np if where == "save" else os, where, full)
    with pytest.raises(StorageError, match="No space left") as caught:
        write_predictions(tmp_path / "store", samples())
    assert "free some space" in caught.value.next_step
    assert list(tmp_path.iterdir()) == []


def test_a_real_full_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes nothing: the buffered records fail where they are flushed."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    opened = Path.open

    def redirected(path: Path, mode: str = "r", *args: Any, **more: Any) -> Any:
        return opened(Path("/dev/full") if "w" in mode else path, mode, *args, **more)

    monkeypatch.setattr(Path, "open", redirected)
    with pytest.raises(StorageError):
        write_predictions(tmp_path / "store", samples()[1:3])
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("mine")
    with pytest.raises(PhoneproofError):
        write_predictions(tmp_path / "store", samples())
    assert (tmp_path / "store").read_text() == "mine"
