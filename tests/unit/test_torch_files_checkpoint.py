"""Archives: what is opened, what is refused, and why."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint, read_checkpoint
from phoneproof.capture.backends.torch_files.records import StorageRef
from phoneproof.core.errors import InvalidInput, PhoneproofError, Unsupported
from tests.assets import asset

PICKLE = pickle.dumps({"epoch": -1}, 2)
STORAGE = StorageRef(key="0", dtype="float16", numel=4)


def archive(
    path: Path,
    entries: dict[str, bytes],
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    with zipfile.ZipFile(path, "w", compression) as stream:
        for name, data in entries.items():
            stream.writestr(name, data)
    return path


def test_the_pickle_and_the_storages(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, "a/data/0": b"\0<" * 4})
    checkpoint = read_checkpoint(path)
    assert checkpoint.root == {"epoch": -1}
    assert checkpoint.read_storages([STORAGE]) == {STORAGE: b"\0<" * 4}


@pytest.mark.parametrize(
    "storage",
    [
        StorageRef(key="0", dtype="float32", numel=4),
        StorageRef(key="0", dtype="float16", numel=1 << 39),
        StorageRef(key="1", dtype="float16", numel=4),
        StorageRef(key="../data.pkl", dtype="int8", numel=len(PICKLE)),
    ],
)
def test_a_storage_that_does_not_fit(tmp_path: Path, storage: StorageRef) -> None:
    path = archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, "a/data/0": bytes(8)})
    with pytest.raises(InvalidInput, match="not as described"):
        read_checkpoint(path).read_storages([storage])


def test_a_changed_storage_fails_its_checksum(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, "a/data/0": b"12345678"})
    path.write_bytes(path.read_bytes().replace(b"12345678", b"12345679"))
    with pytest.raises(InvalidInput, match="damaged"):
        read_checkpoint(path).read_storages([STORAGE])


def refused(path: Path) -> PhoneproofError:
    with pytest.raises(InvalidInput) as error:
        read_checkpoint(path)
    return error.value


def test_compressed_entries_are_refused_unread(tmp_path: Path) -> None:
    bomb = {"a/data.pkl": PICKLE, "a/data/0": bytes(1 << 24)}
    path = archive(tmp_path / "bomb.pt", bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 16
    assert "compressed" in refused(path).found


def test_declared_sizes_past_the_file_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, "a/data/0": b"12345678"})
    size = struct.pack("<II", 8, 8)
    huge = struct.pack("<II", 0xFFFF0000, 0xFFFF0000)
    path.write_bytes(path.read_bytes().replace(size, huge))
    assert "in a file of" in refused(path).found


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_two_entries_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as stream:
        stream.writestr("a/data.pkl", PICKLE)
        stream.writestr("a/data.pkl", PICKLE)
    assert "same name" in refused(path).found


def test_a_zip_without_a_pickle(tmp_path: Path) -> None:
    assert "data.pkl" in refused(archive(tmp_path / "a.pt", {"a/readme": b""})).found


@pytest.mark.parametrize("length", [1, 30, 100, 200])
def test_a_truncated_archive(tmp_path: Path, length: int) -> None:
    whole = archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, "a/data/0": b"12345678"})
    whole.write_bytes(whole.read_bytes()[:length])
    refused(whole)


def test_empty_text_and_pointer(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(b"")
    assert "empty" in refused(path).failed
    path.write_text("epochs: 3\n")
    assert "text" in refused(path).found
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    assert "binary" in refused(path).found
    assert "best.pt" in str(refused(path))
    refused(tmp_path)  # a folder
    refused(tmp_path / "missing.pt")


def test_the_pointer_says_git_lfs_pull() -> None:
    error = refused(asset("bad_inputs/yolo11n_git-lfs-pointer.pt"))
    assert "pointer" in error.failed
    assert error.next_step == "git lfs pull"


def test_the_truncated_download() -> None:
    error = refused(asset("bad_inputs/yolov5n_truncated_1MiB.pt"))
    assert "truncated" in error.failed
    assert "1048576 bytes" in error.found


def test_the_legacy_format_is_named() -> None:
    with pytest.raises(Unsupported, match="legacy"):
        read_checkpoint(asset("models/detect/mtcnn_pnet.pt"))


@pytest.mark.parametrize(
    ("extra", "name"),
    [({"a/constants.pkl": b""}, "TorchScript"), ({"a/byteorder": b"big"}, "big-endian")],
)
def test_other_archives_of_torch(tmp_path: Path, extra: dict[str, bytes], name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        read_checkpoint(archive(tmp_path / "a.pt", {"a/data.pkl": PICKLE, **extra}))


def test_a_checkpoint_is_plain_data(tmp_path: Path) -> None:
    checkpoint = read_checkpoint(archive(tmp_path / "a.pt", {"data.pkl": PICKLE}))
    assert isinstance(checkpoint, Checkpoint)
    assert not checkpoint.entries
