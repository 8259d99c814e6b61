"""Tiny classifiers with every way in which channels can hang together, as hub files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.presets import preset_input
from phoneproof.core.recipe import Prune
from phoneproof.core.tensors import TensorSpec
from phoneproof.optimize.base import PruneRequest
from phoneproof.runtimes.backends.hub import save_hub

SIZE = (16, 16)
SHAPE = (1, 3, *SIZE)
CLASSES = 4
Kind = Literal["residual", "padded", "depthwise", "concat", "flatten", "gate", "split", "shared"]
KINDS: tuple[Kind, ...] = (
    "residual",
    "padded",
    "depthwise",
    "concat",
    "flatten",
    "gate",
    "split",
    "shared",
)


class TinyNet(nn.Module):
    """A convolution, a middle of one kind, another convolution, logits."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 16, 3, 1, 1, groups=8)
        self.one = nn.Conv2d(8, 8, 3, 1, 1)
        self.other = nn.Conv2d(8, 8, 3, 1, 1)
        self.two = nn.Conv2d(8, 12, 1)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        widths = {"concat": 20, "depthwise": 16, "padded": 12}
        self.last = nn.Conv2d(widths.get(kind, 8), 10, 3, 2, 1)
        self.logits = nn.Linear(160 if kind == "flatten" else 10, CLASSES)

    def forward(self, image: Tensor) -> Tensor:
        """Float32 [1, 3, 16, 16] -> [1, 4]."""
        x = functional.relu(self.norm(self.stem(image)))
        x = functional.relu(self.last(self._middle(x)))
        logits: Tensor = self.logits(x.flatten(1) if self.kind == "flatten" else x.mean((2, 3)))
        return logits

    def _middle(self, x: Tensor) -> Tensor:
        if self.kind == "residual":
            return functional.relu(x + self.other(functional.relu(self.one(x) * 0.5)))
        if self.kind == "shared":
            return functional.relu(self.one(functional.relu(self.one(x))))
        if self.kind == "padded":
            padded: Tensor = functional.pad(x, (0, 0, 0, 0, 2, 2)) + self.two(x)
            return padded
        if self.kind == "depthwise":
            return functional.hardtanh(self.depthwise(x), 0.0, 6.0)
        if self.kind == "concat":
            return torch.cat([x, functional.silu(self.two(x))], 1)
        if self.kind == "gate":
            weights = self.excite(functional.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
            return x * torch.sigmoid(weights)
        if self.kind == "split":
            first, second = self.one(x).split([3, 5], 1)
            return torch.cat([second[:, 1:], torch.tanh(first), second[:, :1]], 1)
        plain: Tensor = self.one(x)
        return plain


@dataclass(frozen=True, kw_only=True)
class Net:
    """A hub file with what it means, and unlabelled images."""

    path: Path
    contract: Contract
    binding: Binding
    images: tuple[Path, ...]

    def request(self, output: Path, recipe: Prune) -> PruneRequest:
        """Prune it."""
        return PruneRequest(
            hub=self.path,
            contract=self.contract,
            binding=self.binding,
            recipe=recipe,
            images=self.images,
            output=output,
        )


def tiny_net(kind: Kind, folder: Path) -> Net:
    """A classifier with random weights and statistics."""
    torch.manual_seed(3)
    network = TinyNet(kind).eval()
    network.norm.running_mean = torch.randn(8) * 0.1
    network.norm.running_var = torch.rand(8) + 0.5
    program = torch.export.export(network, (torch.zeros(SHAPE),), strict=False)
    path = folder / "hub.pt2"
    output = TensorSpec(name="logits", shape=(1, CLASSES), dtype="float32")
    save_hub(program, path, (TensorSpec(name="image", shape=SHAPE, dtype="float32"),), (output,))
    contract = Contract(
        name="tiny",
        task="classify",
        inputs=(preset_input("torchvision.imagenet", SIZE),),
        labels=tuple(f"c{k}" for k in range(CLASSES)),
    )
    binding = Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(InputBinding(tensor="image", shape=SHAPE, layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="logits",
                role="scores",
                shape=output.shape,
                axes=("class",),
                activation="softmax",
            ),
        ),
    )
    return Net(path=path, contract=contract, binding=binding, images=_images(folder))


def _images(folder: Path) -> tuple[Path, ...]:
    """Noise at several scales: every channel sees something."""
    random = np.random.default_rng(2)
    paths = []
    for place in range(12):
        side = (2, 4, 8, 16)[place % 4]
        small = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        path = folder / f"{place:02}.png"
        Image.fromarray(small).resize(SIZE[::-1], Image.Resampling.BICUBIC).save(path)
        paths.append(path)
    return tuple(paths)
