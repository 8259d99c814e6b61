"""Small networks and files of every kind that torch writes, for tests of their readers."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn


class Net(nn.Module):
    """Convolution, batch normalisation, mean: runs on any size."""

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(x)))
        logits: Tensor = self.fc(x.mean((2, 3)))
        return logits


class ChannelsLast(Net):
    """The same on [N, H, W, C]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 3, 1, 2))


FACTORY = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.bn = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(torch.relu(self.bn(self.conv(x))).mean((2, 3)))

def net():
    return Net()

def broken():
    raise KeyError("no such thing")

def number():
    return 3

def other():
    model = Net()
    model.fc = nn.Linear(8, 5)
    model.head = nn.Linear(2, 2)
    return model
"""


def seeded(kind: Callable[[], nn.Module] = Net) -> nn.Module:
    """A network with random weights and statistics, in evaluation mode."""
    torch.manual_seed(3)
    net = kind()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.1 if "var" in name else value + 0.1)
    return net.eval()


def with_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The names with a word before them."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def exported(path: Path, net: nn.Module, image: Tensor, dynamic: object = None) -> Path:
    """A .pt2 file."""
    shapes = None if dynamic is None else (dynamic,)
    program = torch.export.export(net, (image,), dynamic_shapes=shapes)
    stream = io.BytesIO()
    torch.export.save(program, stream)
    path.write_bytes(stream.getvalue())
    return path


def repacked(
    path: Path, change: Callable[[str, bytes], bytes], extra: Mapping[str, bytes] | None = None
) -> Path:
    """The archive with changed entries (names without their first folder)."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info, archive.read(info)) for info in archive.infolist()]
    root = entries[0][0].filename.partition("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for info, data in entries:
            inner = info.filename.partition("/")[2]
            archive.writestr(info.filename, change(inner, data), info.compress_type)
        for name, data in (extra or {}).items():
            archive.writestr(f"{root}/{name}", data)
    return path


def with_model_json(path: Path, change: Callable[[str], str]) -> Path:
    """A .pt2 whose program's text was changed."""

    def changed(name: str, data: bytes) -> bytes:
        if name != "models/model.json":
            return data
        text = change(data.decode())
        assert text != data.decode()
        json.loads(text)
        return text.encode()

    return repacked(path, changed)


def scripted(path: Path, net: nn.Module, image: Tensor | None = None) -> Path:
    """A TorchScript file: scripted, or traced on an image."""
    module = torch.jit.script(net)
    if image is not None:
        module = torch.jit.trace(net, image)  # type: ignore[no-untyped-call]
    torch.jit.save(module, path)
    return path
