"""Every published size of the detector, built from the five scales of a real description."""

from __future__ import annotations

import pytest
import torch

from phoneproof.capture.backends.torch_files.checkpoint import read_checkpoint
from phoneproof.capture.backends.ultralytics.architecture.parse import parse_architecture
from phoneproof.capture.backends.ultralytics.blocks.network import Network
from phoneproof.capture.backends.ultralytics.description import head_of, namespace
from phoneproof.capture.backends.ultralytics.model_record import find_model
from tests.assets import asset

PUBLISHED = {"n": 3_157_200, "s": 11_166_560, "m": 25_902_640, "l": 43_691_520, "x": 68_229_648}
"""Parameters of YOLOv8 for 80 classes, as its configuration file states them."""


@pytest.mark.parametrize("scale", PUBLISHED)
def test_the_number_of_parameters_is_the_published_one(scale: str) -> None:
    model = find_model(read_checkpoint(asset("models/detect/yolov8n_coco_rebuilt.pt")))
    table = {**namespace(model.record.attribute("yaml")), "scale": scale}
    architecture = parse_architecture(table)
    with torch.device("meta"):
        network = Network(architecture, (640, 384))
    assert sum(p.numel() for p in network.parameters()) == PUBLISHED[scale]
    result = network.to_empty(device="cpu")(torch.zeros(1, 3, 640, 384)) if scale == "n" else None
    expected = head_of(architecture, (640, 384), batch=1).outputs[0].shape
    assert result is None or tuple(result.shape) == expected == (1, 84, 5040)
