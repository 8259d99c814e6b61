"""SavedModel folders and hub archives as files, without their libraries."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from phoneproof.core.errors import InvalidInput
from phoneproof.formats import hub_archive, saved_model

DOCUMENTS = {"phoneproof.binding": b"{}", "phoneproof.contract": b"[]"}


def folder(path: Path) -> Path:
    path.mkdir()
    (path / saved_model.GRAPH).write_bytes(b"graph")
    return path


def test_documents_come_back(tmp_path: Path) -> None:
    made = folder(tmp_path / "model")
    assert saved_model.read_metadata(made) == {}
    saved_model.embed(made, DOCUMENTS)
    assert saved_model.read_metadata(made) == DOCUMENTS


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_what_is_no_saved_model_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    if kind == "file":
        path.write_bytes(b"graph")
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InvalidInput, match="model is not a SavedModel"):
        saved_model.read_metadata(path)


def test_a_folder_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with saved_model.replacing_folder(tmp_path / "model") as part:
        (part / "inside").mkdir()
        (part / "inside" / "file").write_bytes(b"1")
    assert (tmp_path / "model" / "inside" / "file").read_bytes() == b"1"
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o755
    with pytest.raises(RuntimeError):
        _break_while_writing(tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def _break_while_writing(path: Path) -> None:
    with saved_model.replacing_folder(path) as part:
        (part / "half").write_bytes(b"1")
        raise RuntimeError


def test_documents_of_a_hub_archive(tmp_path: Path) -> None:
    path = tmp_path / "hub.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/models/model.json", "{}")
        for key, value in DOCUMENTS.items():
            archive.writestr(f"archive/extra/{key}.json", value)
    assert hub_archive.read_metadata(path) == DOCUMENTS


def test_a_damaged_hub_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hub.pt2"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(InvalidInput, match="is not a hub program"):
        hub_archive.read_metadata(path)
