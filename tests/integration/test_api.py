"""From Python: a live module is captured, built, and its checks can be looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import phoneproof
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.events import Event
from phoneproof.demo.shapes import CLASSES, draw_shapes
from phoneproof.package.bundle import read_bundle


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
