"""Files that no reader takes, and what the user is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from phoneproof.capture.sources import find_source
from phoneproof.core.errors import InvalidInput, Unsupported


def _file(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no file best\.pt"):
        find_source(tmp_path / "best.pt")


@pytest.mark.parametrize("name", ["model.onnx", "best.pt", "net.keras", "saved_model.pb", "model"])
def test_a_pipe_is_refused_and_not_waited_for(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / name)
    monkeypatch.setattr(Path, "open", lambda *a, **k: pytest.fail("it was opened"))
    with pytest.raises(InvalidInput, match="neither a file nor a folder") as caught:
        find_source(tmp_path / name)
    assert caught.value.found == "a pipe"


def test_devices_and_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets must be short
    (tmp_path / "model.onnx").symlink_to("/dev/zero")
    with pytest.raises(InvalidInput, match="neither") as caught:
        find_source(tmp_path / "model.onnx")
    assert caught.value.found == "a device"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.pt")
        with pytest.raises(InvalidInput, match="neither") as caught:
            find_source(tmp_path / "s.pt")
    assert caught.value.found == "a socket"


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to(_file(tmp_path, "real.onnx", b""))
    with pytest.raises(InvalidInput, match="is empty"):
        find_source(tmp_path / "link.onnx")


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".h5", ".tflite", ""])
def test_empty_file(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InvalidInput, match="is empty"):
        find_source(_file(tmp_path, f"model{suffix}", b""))


@pytest.mark.parametrize("suffix", [".pt", ".onnx", ".h5", ".tflite", ".keras", ""])
def test_lfs_pointer_of_any_name(tmp_path: Path, suffix: str) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    with pytest.raises(InvalidInput, match="Git-LFS pointer") as caught:
        find_source(_file(tmp_path, f"model{suffix}", pointer))
    assert "git lfs pull" in caught.value.next_step


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="is a folder") as caught:
        find_source(tmp_path)
    assert ".onnx" in caught.value.next_step


def test_the_file_inside_a_saved_model_points_at_its_folder(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="part of a SavedModel") as caught:
        find_source(_file(tmp_path, "saved_model.pb", b"x"))
    assert tmp_path.name in caught.value.next_step


@pytest.mark.parametrize("name", ["net.mlmodel", "net.mlpackage"])
def test_core_ml_is_a_target_and_no_source(tmp_path: Path, name: str) -> None:
    with pytest.raises(Unsupported, match="a target and not a source") as caught:
        find_source(_file(tmp_path, name, b"something"))
    assert "made from" in caught.value.next_step


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"notes\.txt") as caught:
        find_source(_file(tmp_path, "notes.txt", b"hello"))
    assert "ONNX (.onnx)" in caught.value.next_step
