"""Bare weights with the user's factory: nesting, prefixes, faults of the user's code."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.capture.backends.torch_files.state_dict_source import StateDictSource
from phoneproof.capture.base import Factory
from phoneproof.capture.sources import find_source
from phoneproof.core.errors import ConfigError, InvalidInput, PhoneproofError, Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from tests.assets import ROOT, asset
from tests.integration.hub_agreement import photographs, worst_relative
from tests.integration.torch_programs import FACTORY, seeded, with_prefix

FACTORIES = ROOT / "benchmarks" / "factories"
RESNET20 = "models/classify/cifar10_resnet20-12fca82f.th"


def source(folder: Path, target: str = "nets:net") -> StateDictSource:
    (folder / "nets.py").write_text(FACTORY)
    return StateDictSource(Factory(target=target, folder=folder))


@pytest.fixture(autouse=True)
def _fresh_modules() -> object:
    """Each test's nets.py is a module of its own; a worker process only ever has one."""
    import sys

    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name in ("nets", "helpers_of_nets"):
            del sys.modules[name]


def test_resnet20_reaches_its_recorded_accuracy() -> None:
    path = asset(RESNET20)
    name, _ = find_source(path)
    reader = StateDictSource(Factory(target="cifar_resnet:resnet20", folder=FACTORIES))
    inspection = reader.inspect(path)
    said = {finding.key: finding.value for finding in inspection.findings}
    assert name == "state_dict"
    assert (inspection.task, inspection.size, inspection.channels) == ("classify", None, 3)
    assert said["evidence.prefix"] == "module."
    assert said["evidence.factory"] == "cifar_resnet:resnet20"
    assert dict(inspection.evidence.metrics)["best_prec1"] == pytest.approx(91.78, abs=1e-3)

    session = reader.open(path, size=(32, 32), batch=1)
    folder = asset("images/cifar10_test500")
    right = total = 0
    for index, label in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for file in sorted(label.iterdir()):
            pixels = np.asarray(Image.open(file).convert("RGB"), np.float32) / 255
            pixels = (pixels - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
            image = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)
            right += int(session.run({"image": image})["output"].argmax() == index)
            total += 1
    assert right / total == 0.798

    _, export = reader.importers(path, size=(32, 32), batch=1)[0]
    images = photographs((1, 3, 32, 32), "NCHW", 1 / 64, -2.0)
    assert worst_relative(export(), session, images) <= HUB_RELATIVE


@pytest.mark.parametrize(
    ("file", "target", "size", "shapes"),
    [
        ("mtcnn_pnet.pt", "mtcnn:pnet", (12, 12), [(1, 2, 1, 1), (1, 4, 1, 1)]),
        ("mtcnn_rnet.pt", "mtcnn:rnet", (24, 24), [(1, 2), (1, 4)]),
        ("mtcnn_onet.pt", "mtcnn:onet", (48, 48), [(1, 2), (1, 4), (1, 10)]),
    ],
)
def test_mtcnn(file: str, target: str, size: tuple[int, int], shapes: list[object]) -> None:
    path = asset(f"models/detect/{file}")
    reader = StateDictSource(Factory(target=target, folder=FACTORIES))
    inspection = reader.inspect(path)
    assert (inspection.task, inspection.size) == ("raw", size)
    assert [output.shape for output in inspection.outputs] == shapes
    session = reader.open(path, size=size, batch=1)
    _, export = reader.importers(path, size=size, batch=1)[0]
    images = photographs((1, 3, *size), "NCHW", 1 / 128, -127.5 / 128)
    assert worst_relative(export(), session, images) <= HUB_RELATIVE
    for image in images:
        assert session.run({"image": image})["output"].sum() == pytest.approx(1, abs=1e-5)


def test_ultraface_equals_the_onnx_file_of_the_same_weights() -> None:
    reader = StateDictSource(Factory(target="ultraface:rfb_320", folder=FACTORIES))
    ours = reader.open(asset("models/detect/version-RFB-320.pth"), size=(240, 320), batch=1)
    onnx = OnnxSource().open(asset("models/detect/version-RFB-320.onnx"), size=(240, 320), batch=1)
    for image in photographs((1, 3, 240, 320), "NCHW", 1 / 128, -127 / 128):
        found, known = ours.run({"image": image}), onnx.run({onnx.inputs[0].name: image})
        assert np.abs(found["output"] - known["scores"]).max() < 1e-5
        assert np.abs(found["output_1"] - known["boxes"]).max() < 1e-5


NESTINGS: dict[str, Callable[[dict[str, torch.Tensor]], object]] = {
    "bare": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 3},
    "data_parallel": lambda s: {"state_dict": with_prefix(s, "module.")},
    "compiled": lambda s: with_prefix(s, "_orig_mod."),
    "lightning": lambda s: {"state_dict": with_prefix(s, "model."), "loops": {}},
    "ema": lambda s: {"model": {k: v + 1 for k, v in s.items()}, "ema": {"module": s}},
    "half": lambda s: {k: v.half() if v.is_floating_point() else v for k, v in s.items()},
    "views": lambda s: {k: torch.stack([v, v])[1] for k, v in s.items()},
    "transposed": lambda s: {k: v.T.contiguous().T if v.dim() == 2 else v for k, v in s.items()},
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("nesting", NESTINGS)
def test_nested_weights_give_the_networks_own_outputs(
    nesting: str, zipped: bool, tmp_path: Path
) -> None:
    net = seeded()
    path = tmp_path / "best.pth"
    saved = NESTINGS[nesting](net.state_dict())
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    assert find_source(path)[0] == "state_dict"
    session = source(tmp_path).open(path, size=(32, 32), batch=2)
    image = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(image)).numpy()
    tolerance = 2e-2 if nesting == "half" else 0.0
    assert np.abs(session.run({"image": image})["output"] - expected).max() <= tolerance


def test_ema_and_optimizer_state_are_said(tmp_path: Path) -> None:
    net = seeded()
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.zeros(1, 3, 32, 32)).sum().backward()
    optimizer.step()
    path = tmp_path / "last.pt"
    state = net.state_dict()
    torch.save({"model": state, "model_ema": state, "optimizer": optimizer.state_dict()}, path)
    inspection = source(tmp_path).inspect(path)
    said = {finding.key: finding for finding in inspection.findings}
    assert "EMA" in said["evidence.weights"].reason
    assert said["evidence.other_weights"].value == "model"
    moments = optimizer.state_dict()["state"].values()
    count = sum(v.numel() * 4 for m in moments for v in m.values())
    assert said["evidence.optimizer_state"].value == f"{count} bytes"


def test_without_a_factory_it_says_what_to_type() -> None:
    with pytest.raises(Unsupported) as error:
        StateDictSource().inspect(asset(RESNET20))
    text = str(error.value)
    assert "97 tensors under 'state_dict': module.conv1.weight [16, 3, 3, 3]" in text
    assert "probably a ResNet" in text
    assert 'factory = "my_models:' in text
    assert "--factory my_models:" in text


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            "nets:broken",
            ["KeyError: 'no such thing'", "nets.py:19", "'from nets import broken; broken()'"],
        ),
        ("nets:number", ["no network", "int"]),
        ("nets:nett", ["no function nett", "'net'"]),
        ("nets:other", ["fc.weight [4, 8], the network has [5, 8]", "2 missing: head.weight"]),
        ("notes:net", ["no module notes"]),
    ],
)
def test_faults_of_the_users_code(target: str, words: list[str], tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    torch.save(seeded().state_dict(), path)
    with pytest.raises(ConfigError) as error:
        source(tmp_path, target).inspect(path)
    assert error.value.exit_code == 2
    for word in words:
        assert word in str(error.value)


def test_code_that_is_not_imported_by_name_is_pointed_out(tmp_path: Path) -> None:
    path = tmp_path / "best.pth"
    torch.save(seeded().state_dict(), path)
    (tmp_path / "helpers_of_nets.py").write_text("x = 1\n")
    reader = source(tmp_path)
    with (tmp_path / "nets.py").open("a") as stream:
        stream.write("import importlib\nimportlib.import_module('helpers_' + 'of_nets')\n")
    hazards = reader.inspect(path).hazards
    assert "helpers_of_nets.py" in hazards[0].found
    assert not (tmp_path / "__pycache__").exists()


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("suffix", [".pth", ".pt", ".th"])
@pytest.mark.parametrize("deep", [True, False])
def test_a_hostile_pickle_runs_nothing(
    zipped: bool, suffix: str, deep: bool, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    hostile = Hostile(marker)
    saved = {"state_dict": seeded().state_dict(), "x": [hostile]} if deep else hostile
    path = tmp_path / f"best{suffix}"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    name, _ = find_source(path)
    assert name == "state_dict"
    for reader in (StateDictSource(), source(tmp_path)):
        with pytest.raises(InvalidInput, match="hostile"):
            reader.inspect(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the control: torch would have run it
    assert marker.exists()


def refused(path: Path) -> PhoneproofError:
    with pytest.raises(PhoneproofError) as error:
        find_source(path)[1].inspect(path)
    return error.value


def test_damaged_files_are_invalid_input(tmp_path: Path) -> None:
    assert refused(asset("bad_inputs/yolov5n_truncated_1MiB.pt")).exit_code == 9
    assert "Git-LFS" in str(refused(asset("bad_inputs/yolo11n_git-lfs-pointer.pt")))
    for suffix in (".th", ".pth", ".ckpt"):
        path = tmp_path / f"cut{suffix}"
        path.write_bytes(asset(RESNET20).read_bytes()[:500_000])
        assert refused(path).exit_code == 9
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
            bomb.writestr("a/data.pkl", b"\x80\x02}.")
            bomb.writestr("a/data/0", bytes(1 << 24))
        assert "compressed" in str(refused(path))


def test_a_whole_pickled_module_is_not_bare_weights(tmp_path: Path) -> None:
    path = tmp_path / "whole.pth"
    torch.save(seeded(), path, _use_new_zipfile_serialization=False)
    error = refused(path)
    assert isinstance(error, Unsupported)
    assert "state_dict()" in error.next_step
