"""Bad input through the command line: the right exit code, a clear message, nothing left behind."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import onnx
import pytest

from tests.assets import asset
from tests.integration.colour_model import colour_classifier, save_classifier, write_pictures
from tests.integration.command_line import Ran, listing, phoneproof
from tests.integration.onnx_models import with_external
from tests.integration.ultralytics_files import changed, text_replaced

DETECTOR = "models/detect/yolov8n_coco_rebuilt.pt"
CONFIG, USAGE, UNSUPPORTED, INVALID = 2, 2, 4, 9


class _Attack:
    """Unpickled, it runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bad:
    """A model file that must be refused: how it is made, the exit code, and what is said."""

    make: Callable[[Path], Path]
    code: int
    words: tuple[str, ...]


def _marker(folder: Path) -> Path:
    return folder.parent / "ran"


def _truncated(folder: Path) -> Path:
    return Path(shutil.copy(asset("bad_inputs/yolov5n_truncated_1MiB.pt"), folder / "best.pt"))


def _pointer(folder: Path) -> Path:
    return Path(shutil.copy(asset("bad_inputs/yolo11n_git-lfs-pointer.pt"), folder / "best.pt"))


def _pickle(folder: Path) -> Path:
    path = folder / "evil.pt"
    with zipfile.ZipFile(path, "w") as archive:
        attack = _Attack(f"touch {_marker(folder)}")
        archive.writestr("evil/data.pkl", pickle.dumps({"model": attack, "ema": None}, 2))
    return path


def _architecture(folder: Path) -> Path:
    code = f"__import__('os').system('touch {_marker(folder)}')"
    return changed(asset(DETECTOR), folder / "evil.pt", text_replaced("nn.Upsample", code))


def _external(folder: Path) -> Path:
    (folder.parent / "secret.bin").write_bytes(bytes(1 << 16))
    return with_external(colour_classifier(), folder / "net.onnx", "../secret.bin")


def _lambda(folder: Path) -> Path:
    layers = [
        {
            "class_name": "InputLayer",
            "config": {"name": "in", "batch_input_shape": [None, 8, 8, 3]},
        },
        {
            "class_name": "Lambda",
            "config": {"name": "sneaky", "function": ["4wEAAA==", None, None]},
        },
    ]
    path = folder / "net.h5"
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.9.0"
        config = {"class_name": "Sequential", "config": {"name": "net", "layers": layers}}
        file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights")
    return path


def _empty(folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_bytes(b"")
    return path


def _text(folder: Path) -> Path:
    path = folder / "net.onnx"
    path.write_text("this is no model\n" * 100)
    return path


def _cut(folder: Path) -> Path:
    whole = save_classifier(folder / "net.onnx")
    whole.write_bytes(whole.read_bytes()[:-200])
    return whole


def _unknown(folder: Path) -> Path:
    path = folder / "net.weights"
    path.write_bytes(b"\x00" * 64)
    return path


def _missing(folder: Path) -> Path:
    return folder / "nowhere.onnx"


BAD = {
    "truncated": Bad(make=_truncated, code=INVALID, words=("best.pt", "truncated")),
    "lfs-pointer": Bad(make=_pointer, code=INVALID, words=("Git-LFS", "git lfs pull")),
    "pickle": Bad(make=_pickle, code=INVALID, words=("evil.pt", "system")),
    "architecture": Bad(make=_architecture, code=INVALID, words=("__import__",)),
    "external-data": Bad(make=_external, code=INVALID, words=("../secret.bin",)),
    "lambda": Bad(make=_lambda, code=INVALID, words=("sneaky", "would run code")),
    "empty-file": Bad(make=_empty, code=INVALID, words=("net.onnx", "empty")),
    "text-file": Bad(make=_text, code=INVALID, words=("net.onnx",)),
    "cut-onnx": Bad(make=_cut, code=INVALID, words=("net.onnx",)),
    "unknown-suffix": Bad(make=_unknown, code=UNSUPPORTED, words=("net.weights", ".onnx")),
    "missing": Bad(make=_missing, code=INVALID, words=("nowhere.onnx",)),
}


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A folder with good pictures in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_pictures(folder / "val", each=1)
    return folder


def refused(ran: Ran, code: int, *words: str) -> None:
    """The exit code, and a message in three parts without a traceback."""
    assert ran.code == code, ran.said
    assert "Traceback" not in ran.said
    assert "phoneproof: " in ran.err
    for word in words:
        assert word in ran.err, ran.err
    message = ran.err[ran.err.index("phoneproof: ") :]
    assert "found:" in message or "next:" in message, message


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["inspect", "init"])
def test_a_bad_model(desk: Path, command: str, name: str) -> None:
    bad = BAD[name]
    model = bad.make(desk)
    before = listing(desk)
    images = ("--images", "val") if command == "init" else ()
    ran = phoneproof(command, model.name, *images, cwd=desk)
    refused(ran, bad.code, *bad.words)
    assert listing(desk) == before
    assert not _marker(desk).exists()


def test_the_attack_is_a_real_one(tmp_path: Path) -> None:
    """The control: unpickled by pickle itself, it runs."""
    marker = tmp_path / "ran"
    pickle.loads(pickle.dumps(_Attack(f"touch {marker}"), 2))
    assert marker.exists()


def test_an_output_that_fits_no_role(desk: Path) -> None:
    """Two rows of numbers are no boxes: the tensors and their shapes are named."""
    save_classifier(desk / "net.onnx")
    before = listing(desk)
    ran = phoneproof("init", "net.onnx", "--images", "val", "--task", "detect", cwd=desk)
    refused(ran, UNSUPPORTED, "probabilities", "[1, 3]", "next:")
    assert listing(desk) == before


def test_an_existing_configuration_is_kept(desk: Path) -> None:
    save_classifier(desk / "net.onnx")
    (desk / "phoneproof.toml").write_text("mine = 1\n")
    before = listing(desk)
    ran = phoneproof("init", "net.onnx", "--images", "val", cwd=desk)
    refused(ran, CONFIG, "phoneproof.toml", "--force")
    assert (desk / "phoneproof.toml").read_text() == "mine = 1\n"
    assert listing(desk) == before
    forced = phoneproof("init", "net.onnx", "--images", "val", "--force", cwd=desk)
    assert forced.code == 0, forced.said
    assert "mine" not in (desk / "phoneproof.toml").read_text()


@pytest.mark.parametrize("kind", ["empty", "missing", "no-images"])
def test_a_folder_without_images(desk: Path, kind: str) -> None:
    save_classifier(desk / "net.onnx")
    if kind != "missing":
        (desk / "pictures").mkdir()
    if kind == "no-images":
        (desk / "pictures" / "notes.txt").write_text("nothing to see")
    before = listing(desk)
    ran = phoneproof("init", "net.onnx", "--images", "pictures", cwd=desk)
    refused(ran, INVALID, "pictures")
    assert listing(desk) == before


def _huge_png() -> bytes:
    """A well-formed header that promises 60000 x 60000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


BROKEN = {"zero.png": b"", "text.jpg": b"no picture at all", "huge.png": _huge_png()}


def test_unusable_images_are_skipped_and_counted(desk: Path) -> None:
    save_classifier(desk / "net.onnx")
    for name, data in BROKEN.items():
        (desk / "val" / "red" / name).write_bytes(data)
    ran = phoneproof("init", "net.onnx", "--images", "val", cwd=desk)
    assert ran.code == 0, ran.said
    assert "3 left out" in ran.said
    assert "3 images" in ran.said
    told = phoneproof("inspect", "net.onnx", "--images", "val", cwd=desk)
    assert told.code == 0, told.said


def test_too_few_images_are_an_error(desk: Path) -> None:
    save_classifier(desk / "net.onnx")
    shutil.rmtree(desk / "val")
    (desk / "val").mkdir()
    for name, data in BROKEN.items():
        (desk / "val" / name).write_bytes(data)
    before = listing(desk)
    ran = phoneproof("init", "net.onnx", "--images", "val", cwd=desk)
    refused(ran, INVALID, "too few", "3 left out", "huge.png")
    assert listing(desk) == before


def _configured(desk: Path) -> Path:
    save_classifier(desk / "net.onnx")
    ran = phoneproof("init", "net.onnx", "--images", "val", cwd=desk)
    assert ran.code == 0, ran.said
    return desk / "phoneproof.toml"


def test_labels_that_name_unknown_classes(desk: Path) -> None:
    config = _configured(desk)
    config.write_text(config.read_text().replace('"red"]', '"rad"]'))
    before = listing(desk)
    ran = phoneproof("build", cwd=desk)
    refused(ran, CONFIG, "'red' (nearest: 'rad')", "the class folders")
    assert listing(desk) == before


def test_unknown_keys_are_all_named_with_the_nearest(desk: Path) -> None:
    config = _configured(desk)
    text = config.read_text().replace("[checks]", "[checks]\ntop1_dorp = 0.02")
    config.write_text(text.replace('channels = "rgb"', 'chanels = "rgb"\nmaen = [0]', 1))
    before = listing(desk)
    ran = phoneproof("build", cwd=desk)
    refused(ran, CONFIG, "top1_dorp", "top1_drop", "chanels", "channels", "maen", "mean")
    assert listing(desk) == before


def test_two_wrong_values_are_reported_together(desk: Path) -> None:
    config = _configured(desk)
    text = config.read_text().replace("[checks]", '[checks]\nsnr_db = "loud"')
    config.write_text(text.replace('orientation = "exif"', 'orientation = "sideways"'))
    ran = phoneproof("build", cwd=desk)
    refused(ran, CONFIG, "snr_db", "orientation", "sideways")


def test_toml_that_is_none(desk: Path) -> None:
    (desk / "phoneproof.toml").write_text("[model\n")
    refused(phoneproof("build", cwd=desk), CONFIG, "phoneproof.toml")


def test_no_configuration_at_all(desk: Path) -> None:
    before = listing(desk)
    refused(phoneproof("build", cwd=desk), CONFIG, "phoneproof.toml", "phoneproof init")
    assert listing(desk) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("verify", "val"), ("val", "not a bundle")),
        (("run", "plain.onnx", "val"), ("plain.onnx",)),
        (("compare", "plain.onnx", "plain.onnx", "--images", "val"), ("plain.onnx",)),
        (("pixels", "val/red/0.png", "--artifact", "plain.onnx"), ("plain.onnx",)),
        (("pixels", "val/red/0.png", "--bundle", "val"), ("val", "not a bundle")),
        (("pixels", "val/red/0.png", "--contract", "plain.onnx"), ("plain.onnx",)),
        (("run", "nowhere.tflite", "val"), ("nowhere.tflite",)),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) and len(value) > 2 else None,
)
def test_files_that_carry_no_contract(
    desk: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    onnx.save(colour_classifier(), desk / "plain.onnx")
    before = listing(desk)
    refused(phoneproof(*arguments, cwd=desk), INVALID, *words)
    assert listing(desk) == before


def test_an_unknown_command_names_the_nearest(desk: Path) -> None:
    ran = phoneproof("biuld", cwd=desk)
    assert ran.code == USAGE
    assert "'build'" in ran.err
    assert "Traceback" not in ran.said
