"""A bundle stands alone: no source, no converter, no network, no path of the disk it came from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from phoneproof.core.artifact import tree_sha256
from tests.integration.command_line import Ran, phoneproof
from tests.integration.conftest import Shipped, naming
from tests.integration.walls import without_libraries, without_network

ABSENT = (
    "torch",
    "torchvision",
    "tensorflow",
    "tf_keras",
    "tf2onnx",
    "onnx",
    "onnx2torch",
    "onnxscript",
    "onnxslim",
    "litert_torch",
    "ai_edge_quantizer",
    "h5py",
)
MODELS = ("model.onnx", "model_float32.tflite", "model_float16.tflite")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """An environment with LiteRT and ONNX Runtime, and nothing that converts."""
    return without_libraries(tmp_path_factory.mktemp("wall"), ABSENT)


def _python(code: str, env: Mapping[str, str]) -> Ran:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


@pytest.mark.parametrize("images", [False, True])
def test_it_verifies_where_nothing_converts(
    shipped: Shipped, small: Mapping[str, str], tmp_path: Path, images: bool
) -> None:
    before = tree_sha256(shipped.bundle)
    measured = ("--images", shipped.pictures) if images else ()
    done = phoneproof("verify", shipped.bundle, *measured, cwd=tmp_path, env=small)
    assert done.code == 0, done.said
    assert "verified" in done.out
    assert ("top1_agreement" in done.out) == images
    assert list(tmp_path.iterdir()) == []
    assert tree_sha256(shipped.bundle) == before


def test_its_models_run_where_nothing_converts(
    shipped: Shipped, small: Mapping[str, str], tmp_path: Path
) -> None:
    picture = shipped.pictures / "red" / "0.png"
    for model in MODELS:
        path = shipped.bundle / "artifacts" / model
        done = phoneproof("run", path, picture, cwd=tmp_path, env=small)
        assert done.code == 0, done.said
        assert done.out.splitlines()[1].endswith("red")


def test_building_there_names_what_is_missing(
    shipped: Shipped, small: Mapping[str, str], tmp_path: Path
) -> None:
    """The control: what converts is really absent."""
    assert "No module named 'torch'" in _python("import torch", small).err
    (tmp_path / "phoneproof.toml").write_text(shipped.config)
    shutil.copytree(shipped.pictures, tmp_path / "val")
    (tmp_path / "colours.onnx").write_bytes(b"\x08\x08")
    done = phoneproof("build", cwd=tmp_path, env=small)
    assert done.code == 3, done.said
    assert "onnx is not installed" in done.err
    assert "pip install 'phoneproof[" in done.err


@pytest.mark.parametrize(
    "name",
    [
        "artifacts/model.onnx",
        "artifacts/model_float16.tflite",
        "artifacts/model_float32.tflite.binding.json",
        "golden/index.json",
        "golden/pictures/rings.png",
        "golden/tensors/rotated-jpg/pixels.bin",
        "baseline/predictions.bin",
        "contract.json",
        "report.json",
        "MODEL_CARD.md",
    ],
)
def test_an_altered_byte_is_named(shipped: Shipped, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(shipped.bundle, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 3] ^= 1
    (copy / name).write_bytes(data)
    done = phoneproof("verify", copy, cwd=tmp_path)
    assert done.code == 7, done.said
    assert f"altered: {name}" in done.err
    assert done.err.count("altered") == 1


def test_no_file_names_a_place_of_the_disk(shipped: Shipped, tmp_path: Path) -> None:
    assert naming(shipped.bundle, shipped.places) == ()
    # The control: the cache, which stays at home, does; and a planted path is found.
    assert shipped.leaks_at_home
    planted = tmp_path / "model.tflite"
    planted.write_bytes(b"\x00" * 7 + f"{shipped.places[0]}/a".encode("utf-16-le"))
    assert naming(tmp_path, shipped.places) == ("model.tflite",)


def test_it_was_built_without_a_network(shipped: Shipped, tmp_path: Path) -> None:
    assert shipped.attempts == ""
    if not shipped.no_interface and "CI" not in os.environ:
        pytest.skip("this machine lets nobody make a network of his own")
    assert shipped.no_interface
    # The control: an attempt is refused and noted.
    tried = _python(
        "import socket; socket.create_connection(('127.0.0.1', 9))", without_network(tmp_path)
    )
    assert "no network behind this wall" in tried.err
    assert (tmp_path / "attempts").read_text()
