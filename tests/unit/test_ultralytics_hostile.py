"""A YOLO checkpoint with a call beside its model is refused, and real ones are not."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from phoneproof.capture.backends.torch_files.checkpoint import read_checkpoint
from phoneproof.capture.backends.ultralytics.description import describe
from phoneproof.core.errors import InvalidInput
from tests.assets import asset

CHECKPOINTS = (
    "models/detect/yolov8n_coco_rebuilt.pt",
    "models/detect/yolov5n_face.pt",
    "models/classify/yolov8n-cls_weather_best.pt",
)


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def with_entry(source: Path, target: Path, value: bytes) -> Path:
    """The checkpoint with one more entry, "extra", in its outermost dictionary."""
    with zipfile.ZipFile(source) as read, zipfile.ZipFile(target, "w") as written:
        for info in read.infolist():
            data = read.read(info)
            if info.filename.endswith("data.pkl"):
                assert data.endswith(b".")
                data = data[:-1] + text("extra") + value + b"s."
            written.writestr(info.filename, data)
    return target


def test_a_call_beside_the_model_is_refused(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    call = b"cos\nmkdir\n" + text(str(marker)) + b"\x85R"
    path = with_entry(asset(CHECKPOINTS[2]), tmp_path / "best.pt", call)
    root = read_checkpoint(path).root
    assert isinstance(root, dict)
    assert {"model", "extra"} <= root.keys()
    with pytest.raises(InvalidInput, match=r"hostile.*os\.mkdir"):
        describe(path)
    assert not marker.exists()
    pickle.loads(b"\x80\x02" + call + b".")  # the control: it does run when it is unpickled
    assert marker.exists()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_real_checkpoints_are_not(name: str, tmp_path: Path) -> None:
    describe(asset(name))
    harmless = b"cpathlib\nPosixPath\n" + text("/data") + b"\x85R"
    describe(with_entry(asset(name), tmp_path / "best.pt", harmless))
