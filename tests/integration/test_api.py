"""From Python: a live module is captured, built, and its checks can be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import phoneproof
from phoneproof.capture.backends.live_module import LiveModule
from phoneproof.core.contract import ImageInput
from phoneproof.core.errors import ConfigError, ConversionFailed, Unsupported
from phoneproof.core.events import Event
from phoneproof.demo.shapes import CLASSES, draw_shapes
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.call_faults import check_formats


def _network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, len(CLASSES)),
    )


class _Branching(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image.mean((2, 3)) if image.sum() > 0 else image.amax((2, 3))


class _Dictionary(nn.Module):
    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": image.mean((2, 3))}


@pytest.fixture
def images(tmp_path: Path) -> Path:
    draw_shapes(tmp_path / "val", per_class=4, seed=5)
    return tmp_path / "val"


def _capture(module: nn.Module, images: Path, events: list[Event]) -> phoneproof.Captured:
    return phoneproof.capture_module(
        module,
        images=images,
        name="shapes",
        size=32,
        preset="torchvision.imagenet",
        directory=images.parent / "dist",
        workspace=images.parent / "cache",
        listener=events.append,
    )


def test_a_live_module_becomes_a_verified_bundle(images: Path) -> None:
    module = _network().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    captured = _capture(module, images, [])
    assert captured.passed
    assert captured.contract.labels == CLASSES
    assert any(check.name == "hub_equivalence" for check in captured.checks)

    events: list[Event] = []
    outcome = phoneproof.build(captured, formats=("onnx", "tflite"), listener=events.append)
    assert outcome.report.accepted
    ids = [artifact.id for artifact in outcome.report.artifacts]
    assert ids == ["onnx-float32", "tflite-float32", "tflite-float16"]
    assert all(artifact.checks for artifact in outcome.report.artifacts)
    assert read_bundle(outcome.folder).contract == captured.contract
    # What capture did is not done again, and the module is as it was.
    done = {event.step for event in events if event.state == "started"}
    assert not done & {"capture", "baseline", "run hub", "verify hub"}
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_changed_weights_are_captured_anew(images: Path) -> None:
    module = _network()
    _capture(module, images, [])
    events: list[Event] = []
    _capture(module, images, events)
    assert not [event for event in events if event.step == "capture" and event.state == "started"]
    with torch.no_grad():
        next(module.parameters()).mul_(1.5)
    _capture(module, images, events)
    assert [event for event in events if event.step == "capture" and event.state == "started"]


def test_what_cannot_be_captured_is_named(images: Path) -> None:
    with pytest.raises(ConversionFailed, match="_Branching"):
        _capture(_Branching(), images, [])
    with pytest.raises(Unsupported, match="_Dictionary"):
        _capture(_Dictionary(), images, [])


class _Scaled(nn.Module):
    """No state: what it computes is in forward() alone."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self._factor * torch.relu(image)


class _Masked(nn.Module):
    """What it multiplies by is in no state_dict; the far corner is all that differs."""

    mask: torch.Tensor

    def __init__(self, corner: float, *, buffer: bool) -> None:
        super().__init__()
        mask = torch.ones(8, 8)
        mask[-1, -1] = corner
        if buffer:
            self.register_buffer("mask", mask, persistent=False)
        else:
            self.mask = mask

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.relu(image - 100) * self.mask  # nothing of it shows on noise


def _live(module: nn.Module) -> LiveModule:
    return LiveModule(module, size=(8, 8), channels=3, batch=1)


def test_the_hash_covers_what_forward_computes() -> None:
    assert _live(_Scaled(1)).sha256 == _live(_Scaled(1)).sha256
    assert _live(_Scaled(1)).sha256 != _live(_Scaled(-3)).sha256


@pytest.mark.parametrize("buffer", [True, False])
def test_the_hash_covers_constants(buffer: bool) -> None:
    same = [_live(_Masked(2, buffer=buffer)).sha256 for _ in range(2)]
    assert same[0] == same[1]
    assert same[0] != _live(_Masked(3, buffer=buffer)).sha256


def test_every_submodule_keeps_its_mode() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout()).train()
    module[1].eval()
    _live(module)
    assert [part.training for part in module.modules()] == [True, True, False, True]


def test_a_forward_pass_that_breaks_is_named() -> None:
    module = nn.Sequential(nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4)).train()
    module[1].eval()
    with pytest.raises(ConversionFailed, match=r"\[1, 3, 8, 8\]") as caught:
        _live(module)
    assert "channels" in caught.value.found
    assert "channels" in caught.value.next_step
    assert [part.training for part in module.modules()] == [True, True, False]


def test_a_module_on_another_device_is_named() -> None:
    with pytest.raises(ConversionFailed) as caught:
        _live(nn.Conv2d(3, 4, 1, device="meta"))
    assert caught.value.found
    assert "meta" in caught.value.next_step
    assert "cpu()" in caught.value.next_step


def _image(side: int) -> ImageInput:
    return ImageInput(geometry=(), size=(side, side), scale=1 / 255, mean=(0, 0, 0), std=(1, 1, 1))


def test_all_faults_of_a_call_are_reported_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        phoneproof.capture_module(
            _network(),
            images=tmp_path / "missing",
            name="../up",
            version="1/0",
            size=32,
            preset="torchvision.imagnet",
            image=_image(24),
        )
    found = caught.value.found
    for part in ("'../up'", "'1/0'", "both are given", "'torchvision.imagenet'", "[24, 24]"):
        assert part in found
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize("size", [0, -1, True, (32,), (32, 0), (8, 8, 8), 99999])
def test_a_size_that_cannot_be_is_refused(size: int | tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"height, width"):
        phoneproof.capture_module(
            _network(), images=tmp_path, name="n", size=size, preset="torchvision.imagenet"
        )


def test_how_pictures_are_fed_is_not_guessed(images: Path) -> None:
    with pytest.raises(ConfigError, match="preset, image"):
        phoneproof.capture_module(_network(), images=images, name="shapes", size=32)


@pytest.mark.parametrize("formats", ["onnx", [], ["onnx", "coreml"], 3])
def test_formats_that_cannot_be_are_refused(formats: object) -> None:
    with pytest.raises(ConfigError, match="known: tflite, onnx"):
        check_formats(formats)


def test_a_format_is_made_once() -> None:
    assert check_formats(["onnx", "tflite", "onnx"]) == ("onnx", "tflite")


def test_build_checks_its_formats(images: Path) -> None:
    captured = _capture(_network(), images, [])
    with pytest.raises(ConfigError, match="not a list"):
        phoneproof.build(captured, formats="onnx")  # type: ignore[arg-type]
