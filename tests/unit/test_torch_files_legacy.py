"""Files of torch before 1.6: what is read, and what is refused before anything is allocated."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import pytest

from phoneproof.capture.backends.torch_files.legacy import is_legacy, read_legacy
from phoneproof.capture.backends.torch_files.records import StorageRef, TensorRef
from phoneproof.capture.backends.torch_files.torch_file import read_torch_file
from phoneproof.core.errors import InvalidInput, Unsupported
from tests.assets import asset

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
ELEMENTS = struct.pack("<4f", 1, 2, 3, 4)


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def tensor_pickle(key: str = "7", count: int = 4, storage: str = "FloatStorage") -> bytes:
    """{"w": a tensor of shape (2, 2)}, as torch.save pickled it."""
    identity = b"(" + text("storage") + f"ctorch\n{storage}\n".encode() + text(key) + text("cpu")
    identity += b"J" + struct.pack("<i", count) + b"NtQ"
    arguments = b"(" + identity + b"K\x00K\x02K\x02\x86K\x02K\x01\x86t"
    return b"\x80\x02}" + text("w") + b"ctorch._utils\n_rebuild_tensor\n" + arguments + b"Rs."


def legacy(
    path: Path,
    *,
    value: bytes = b"",
    keys: object = ("7",),
    machine: object = MACHINE,
    version: int = 1001,
    count: int = 4,
    elements: bytes = ELEMENTS,
) -> Path:
    header = [pickle.dumps(part, 2) for part in (MAGIC, version, machine)]
    body = [value or tensor_pickle(), pickle.dumps(list(keys) if keys == ("7",) else keys, 2)]
    path.write_bytes(b"".join([*header, *body, struct.pack("<q", count), elements]))
    return path


def test_a_tensor_and_its_elements(tmp_path: Path) -> None:
    path = legacy(tmp_path / "a.th")
    file = read_torch_file(path)
    storage = StorageRef(key="7", dtype="float32", numel=4)
    assert is_legacy(path)
    assert file.root == {"w": TensorRef(storage=storage, shape=(2, 2), stride=(2, 1), offset=0)}
    assert file.read_storages([storage]) == {storage: ELEMENTS}


@pytest.mark.parametrize(
    ("name", "tensors"),
    [
        ("classify/cifar10_resnet20-12fca82f.th", 97),
        ("detect/version-RFB-320.pth", 244),
        ("detect/mtcnn_pnet.pt", 13),
        ("detect/mtcnn_rnet.pt", 16),
        ("detect/mtcnn_onet.pt", 21),
    ],
)
def test_real_files_are_read_to_their_last_byte(name: str, tensors: int) -> None:
    path = asset(f"models/{name}")
    file = read_legacy(path)
    assert len(file.starts) == tensors
    root = file.root
    assert isinstance(root, dict)
    state = root.get("state_dict", root)
    refs = [value for value in state.values() if isinstance(value, TensorRef)]
    bytes_read = sum(len(data) for data in file.read_storages(r.storage for r in refs).values())
    last = max(file.starts.values())
    assert last < path.stat().st_size
    assert bytes_read < path.stat().st_size


@pytest.mark.parametrize("count", [3, 5, -1, 1 << 62])
def test_a_count_that_contradicts_the_pickle(tmp_path: Path, count: int) -> None:
    with pytest.raises(InvalidInput, match="damaged") as error:
        read_legacy(legacy(tmp_path / "a.th", count=count))
    assert str(count) in error.value.found


def test_a_huge_declared_storage_allocates_nothing(tmp_path: Path) -> None:
    value = tensor_pickle(count=0x7FFFFFFF)
    path = legacy(tmp_path / "a.th", value=value, count=0x7FFFFFFF)
    with pytest.raises(InvalidInput) as error:
        read_legacy(path)
    assert "ends" in error.value.found


def test_text_that_claims_to_be_larger_than_the_file(tmp_path: Path) -> None:
    huge = b"\x80\x02\x8d" + struct.pack("<Q", 1 << 40) + b"short"
    with pytest.raises(InvalidInput):
        read_legacy(legacy(tmp_path / "a.th", value=huge))


@pytest.mark.parametrize("lost", [1, 8, 16, 20, 40, 100])
def test_a_truncated_file(tmp_path: Path, lost: int) -> None:
    path = legacy(tmp_path / "a.th")
    path.write_bytes(path.read_bytes()[:-lost])
    with pytest.raises(InvalidInput):
        read_legacy(path)


def test_every_truncation_of_a_real_file_is_refused(tmp_path: Path) -> None:
    data = asset("models/detect/mtcnn_pnet.pt").read_bytes()
    path = tmp_path / "cut.pt"
    for length in range(16, len(data), 997):
        path.write_bytes(data[:length])
        with pytest.raises(InvalidInput):
            read_legacy(path)


@pytest.mark.parametrize("keys", [["8"], ["7", "7"], [], ["7", "8"], "7", [7]])
def test_storage_keys_that_do_not_fit(tmp_path: Path, keys: object) -> None:
    with pytest.raises(InvalidInput, match="damaged"):
        read_legacy(legacy(tmp_path / "a.th", keys=keys))


def test_other_machines_and_versions(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="little-endian"):
        read_legacy(legacy(tmp_path / "a.th", machine={"little_endian": False}))
    with pytest.raises(Unsupported, match="version"):
        read_legacy(legacy(tmp_path / "a.th", version=1002))


def test_the_tar_files_of_torch_0_1(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    with pytest.raises(Unsupported, match="tar"):
        read_torch_file(path)


def test_a_view_of_another_storage_is_refused(tmp_path: Path) -> None:
    value = tensor_pickle().replace(b"NtQ", b"(K\x01K\x00K\x02ttQ", 1)
    with pytest.raises(InvalidInput) as error:
        read_legacy(legacy(tmp_path / "a.th", value=value))
    assert "view" in error.value.found


class Calls:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("place", ["value", "machine", "keys"])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, place: str) -> None:
    marker = tmp_path / "ran"
    hostile = Calls(marker)
    path = tmp_path / "a.th"
    if place == "value":
        legacy(path, value=pickle.dumps({"w": hostile}, 2), keys=[])
    elif place == "machine":
        legacy(path, machine=hostile)
    else:
        legacy(path, keys=[hostile])
    with pytest.raises((InvalidInput, Unsupported)) as error:
        read_torch_file(path)
    assert not marker.exists()
    if place == "value":
        assert isinstance(error.value, InvalidInput)
        assert "mkdir" in error.value.failed
    pickle.loads(pickle.dumps(hostile, 2))  # the control: unpickling it does run it
    assert marker.exists()
