"""Files that no reader takes, and what the user is told."""

from __future__ import annotations

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


def test_saved_model_folder_gets_its_line(tmp_path: Path) -> None:
    _file(tmp_path, "saved_model.pb", b"x")
    with pytest.raises(Unsupported) as caught:
        find_source(tmp_path)
    assert "tf2onnx.convert --saved-model" in caught.value.next_step


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("net.keras", "export('net.onnx', format='onnx')"),
        ("net.pb", "--graphdef net.pb"),
        ("net.tflite", "--tflite net.tflite"),
        ("net.pth", "torch.onnx.export"),
    ],
)
def test_known_foreign_formats_get_the_line_to_type(tmp_path: Path, name: str, line: str) -> None:
    with pytest.raises(Unsupported) as caught:
        find_source(_file(tmp_path, name, b"PK\x03\x04 something"))
    assert line in caught.value.next_step
    assert "Keras 2 HDF5" in caught.value.next_step


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"notes\.txt") as caught:
        find_source(_file(tmp_path, "notes.txt", b"hello"))
    assert "ONNX (.onnx)" in caught.value.next_step
