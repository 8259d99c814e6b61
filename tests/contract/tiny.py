"""A tiny seeded network as a hub file, with its contract and binding, in both layouts."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from phoneproof.convert.artifact import permutation, permuted
from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.binding import Binding, InputBinding, Layout, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.backends.hub import save_hub

SHAPE = (1, 3, 16, 24)
OUTPUTS = (
    TensorSpec(name="scores", shape=(1, 5), dtype="float32"),
    TensorSpec(name="map", shape=(1, 6, 8, 12), dtype="float32"),
)
CONTRACT = Contract(
    name="tiny",
    task="raw",
    inputs=(
        ImageInput(
            geometry=(), size=(16, 24), scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    ),
)


class TinyNet(nn.Module):
    """Convolutions, SiLU, a resize, a pool, a softmax; NHWC models begin with a permute."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.body = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = image.permute(0, 3, 1, 2) if self.layout == "NHWC" else image
        x = nn.functional.silu(self.stem(x))
        x = nn.functional.interpolate(self.body(x), scale_factor=2.0, mode="nearest")
        x = nn.functional.max_pool2d(x, 2)
        return torch.softmax(self.head(x.mean((2, 3))) * 4, 1), x


def image_shape(layout: Layout) -> tuple[int, ...]:
    """Shape of the image input in a layout."""
    return permuted(SHAPE, "NCHW", layout)


def pixels(layout: Layout, seed: int = 7) -> NDArray[np.float32]:
    """One seeded input in a layout; the same picture in both."""
    values = np.random.default_rng(seed).random(SHAPE, dtype=np.float32)
    return np.ascontiguousarray(values.transpose(permutation("NCHW", layout)))


def binding(layout: Layout) -> Binding:
    """The hub's binding."""
    return Binding(
        contract=CONTRACT.sha256,
        format="hub",
        inputs=(InputBinding(tensor="image", shape=image_shape(layout), layout=layout),),
        outputs=tuple(
            OutputBinding(tensor=spec.name, role="raw", shape=spec.shape) for spec in OUTPUTS
        ),
    )


def write_hub(path: Path, layout: Layout, net: nn.Module | None = None) -> Path:
    """Export the network (or another one with the same tensors) as a hub file."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = net or TinyNet(layout)
    program = torch.export.export(module.eval(), (torch.from_numpy(pixels(layout)),))
    image = TensorSpec(name="image", shape=image_shape(layout), dtype="float32")
    save_hub(program, path, (image,), OUTPUTS)
    return path


def chain_request(edge: str, folder: Path, layout: Layout, target: Layout) -> ConvertRequest:
    """The request of any converter, its source file made in `folder` where that is no hub."""
    hub = write_hub(folder / "hub.pt2", layout)
    converter = CONVERTERS.load(edge)
    output = folder / f"model.{converter.format}"
    if converter.source == "hub":
        return request(hub, layout, target, output)
    source = folder / f"source.{converter.source}"
    made = CONVERTERS.load(f"hub-{converter.source}").convert(request(hub, layout, target, source))
    wanted = request(source, layout, target, output)
    return msgspec.structs.replace(wanted, binding=made.binding)


def request(
    file: Path, source: Layout, target: Layout, output: Path, opset: int = 12
) -> ConvertRequest:
    """What the converters are asked in these tests."""
    return ConvertRequest(
        source=file,
        contract=CONTRACT,
        binding=binding(source),
        layout=target,
        opset=opset,
        output=output,
    )
