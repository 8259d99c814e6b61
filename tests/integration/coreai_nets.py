"""Small networks as hub files for the Core AI tests: what mobile networks are made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.recipe import Float16
from phoneproof.core.tensors import TensorSpec
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.runtimes.backends.hub import save_hub
from phoneproof.runtimes.base import RUNTIMES, Float

SHAPE = (1, 3, 32, 40)
CONTRACT = Contract(
    name="small",
    task="raw",
    inputs=(
        ImageInput(
            geometry=(), size=SHAPE[2:], scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Small:
    """A hub file with one output ``y``, and its binding."""

    hub: Path
    binding: Binding

    def run(self, image: Float) -> Float:
        """What torch gives."""
        return _only(RUNTIMES.load("hub").open(self.hub).run({"image": image}))

    def convert(self, output: Path) -> WrittenModel:
        """Write the ``.aimodel``."""
        return CONVERTERS.load("hub-coreai").convert(
            ConvertRequest(
                source=self.hub,
                contract=CONTRACT,
                binding=self.binding,
                layout="NCHW",
                output=output,
            )
        )

    def half(self, output: Path, float_layers: tuple[str, ...] = ()) -> Small:
        """The same in float16, but for the layers that are named."""
        written = OPTIMIZERS.load("hub-float16").propose(
            OptimizeRequest(
                artifact=self.hub,
                contract=CONTRACT,
                binding=self.binding,
                recipe=Float16(float32_share=0.0, float_layers=float_layers),
                output=output,
            )
        )
        return Small(hub=output, binding=written.binding)


def small(net: nn.Module, path: Path, shape: tuple[int, ...] = SHAPE) -> Small:
    """Export a network that takes one image and gives one tensor."""
    net.eval()
    example = torch.zeros(shape)
    with torch.no_grad():
        result = net(example)
    program = torch.export.export(net, (example,), strict=False)
    image = TensorSpec(name="image", shape=shape, dtype="float32")
    output = TensorSpec(name="y", shape=tuple(result.shape), dtype="float32")
    save_hub(program, path, (image,), (output,))
    binding = Binding(
        contract=CONTRACT.sha256,
        format="hub",
        inputs=(InputBinding(tensor="image", shape=shape, layout="NCHW"),),
        outputs=(OutputBinding(tensor="y", role="raw", shape=output.shape),),
    )
    return Small(hub=path, binding=binding)


def core_ai(path: Path, image: Float) -> Float:
    """What Apple's runtime gives."""
    return _only(RUNTIMES.load("coreai").open(path).run({"image": image}))


def picture(shape: tuple[int, ...] = SHAPE, seed: int = 5) -> Float:
    """A seeded image in 0..1."""
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def _only(outputs: dict[str, Float]) -> Float:
    (value,) = outputs.values()
    return value


class Mobile(nn.Module):
    """Inverted residual blocks as MobileNetV2 has them, with statistics of a trained network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.expand = nn.Conv2d(16, 64, 1, bias=False)
        self.expand_norm = nn.BatchNorm2d(64)
        self.depthwise = nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(64)
        self.project = nn.Conv2d(64, 16, 1)
        self.head = nn.Linear(16, 10)
        seeded(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = nn.functional.relu6(self.stem_norm(self.stem(image)))
        y = nn.functional.hardswish(self.expand_norm(self.expand(x)))
        y = nn.functional.relu6(self.depthwise_norm(self.depthwise(y)))
        x = x + self.project(y)
        return torch.softmax(self.head(x.mean((2, 3))), 1)


class Resizes(nn.Module):
    """A neck: nearest resizes by a whole number and otherwise, a bilinear one, a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 3, stride=4, padding=1)
        self.last = nn.Conv2d(96, 128, 1)
        seeded(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        resize = nn.functional.interpolate
        x = nn.functional.silu(self.first(image))
        twice = resize(x, scale_factor=2.0, mode="nearest")
        uneven = resize(resize(x, size=(11, 13), mode="nearest"), size=(16, 20), mode="nearest")
        smooth = resize(x, size=(16, 20), mode="bilinear", align_corners=False)
        joined: torch.Tensor = self.last(torch.cat((twice, uneven, smooth), 1))
        return joined


def seeded(net: nn.Module, seed: int = 3) -> None:
    """Weights, variances and means that are neither 0 nor 1."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.dtype != torch.float32:
                continue
            noise = torch.rand(value.shape, generator=generator)
            fan_in = max(1, value[0].numel()) if value.dim() > 1 else 1
            positive = name.endswith(("running_var", "norm.weight"))
            value.copy_(noise + 0.5 if positive else (noise - 0.5) * 3 / fan_in**0.5)
