"""Core ML packages that optimizer tests start from, and how they are measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from phoneproof.capture.base import SOURCES
from phoneproof.capture.hub import hub_tensors
from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.apple import AppleForm, MinimumIos
from phoneproof.core.artifact import WrittenModel, tree_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import (
    Recipe,
)
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest, optimizer_for
from phoneproof.optimize.calibrate import Feed, calibrate
from phoneproof.runtimes.backends.hub import output_shapes, save_hub
from phoneproof.runtimes.base import RUNTIMES
from tests.assets import asset
from tests.contract import tiny
from tests.integration.hub_agreement import photographs

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Package:
    """A float package, how it is fed, and what it gives for some pictures."""

    path: Path
    contract: Contract
    binding: Binding
    pictures: tuple[Array, ...]

    def outputs(self, path: Path | None = None) -> list[Array]:
        session = RUNTIMES.load("coreml").open(path or self.path)
        name = session.outputs[0].name
        return [session.run({"image": picture})[name] for picture in self.pictures]

    def snr_db(self, path: Path) -> float:
        """Of a candidate against the package; NaN and infinities count as nothing heard."""
        pairs = list(zip(self.outputs(), self.outputs(path), strict=True))
        if not all(np.isfinite(found).all() for _, found in pairs):
            return -np.inf
        signal = sum(float(np.square(want.astype(np.float64)).sum()) for want, _ in pairs)
        noise = sum(
            float(np.square(want.astype(np.float64) - found).sum()) for want, found in pairs
        )
        return float(10 * np.log10(signal / noise)) if noise else np.inf

    def ranges(self, folder: Path) -> Path:
        """ranges.json, calibrated on the same pictures."""
        session = RUNTIMES.load("coreml").open_for_trace(self.path)
        feeds = [Feed(image=str(i), tensors={"image": one}) for i, one in enumerate(self.pictures)]
        seen = calibrate(session, feeds, total=len(feeds))
        path = folder / "ranges.json"
        path.write_bytes(canonical_bytes(seen.ranges(tree_sha256(self.path))))
        return path

    def made(self, recipe: Recipe, output: Path, ranges: Path | None = None) -> WrittenModel:
        request = OptimizeRequest(
            artifact=self.path,
            contract=self.contract,
            binding=self.binding,
            recipe=recipe,
            output=output,
            ranges=ranges,
        )
        return OPTIMIZERS.load(optimizer_for("coreml", recipe)).propose(request)

    def of(self, path: Path, model: WrittenModel) -> Package:
        """The same for a file that was made of this one."""
        return Package(
            path=path, contract=self.contract, binding=model.binding, pictures=self.pictures
        )


def converted(
    hub: Path, contract: Contract, binding: Binding, output: Path, ios: MinimumIos
) -> WrittenModel:
    request = ConvertRequest(
        source=hub,
        contract=contract,
        binding=binding,
        layout="NCHW",
        apple=AppleForm(minimum_ios=ios),
        output=output,
    )
    return CONVERTERS.load("hub-coreml").convert(request)


def weather_packages(folder: Path) -> dict[MinimumIos, Package]:
    """A classifier that somebody trained (27 layers, 1.45 M weights), for iOS 17 and 18."""
    path = asset("models/classify/yolov8n-cls_weather_best.pt")
    source = SOURCES.load("ultralytics")
    inspection = source.inspect(path)
    assert inspection.size is not None
    _, export = source.importers(path, size=inspection.size, batch=1)[0]
    program = export()
    inputs, outputs = hub_tensors(
        inspection, size=inspection.size, batch=1, output_shapes=output_shapes(program)
    )
    save_hub(program, folder / "hub.pt2", inputs, outputs)
    contract = Contract(
        name="weather",
        task="raw",
        inputs=(
            ImageInput(
                geometry=(),
                size=inspection.size,
                scale=1 / 255,
                mean=(0.0, 0.0, 0.0),
                std=(1.0, 1.0, 1.0),
            ),
        ),
    )
    image = inputs[0]
    binding = Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(InputBinding(tensor=image.name, shape=image.shape, layout="NCHW"),),
        outputs=(OutputBinding(tensor=outputs[0].name, role="raw", shape=outputs[0].shape),),
    )
    pictures = tuple(photographs(image.shape, "NCHW", 1 / 255, 0.0))
    found: dict[MinimumIos, Package] = {}
    for ios in (17, 18):
        output = folder / f"ios{ios}.mlpackage"
        model = converted(folder / "hub.pt2", contract, binding, output, ios)
        found[ios] = Package(
            path=output, contract=contract, binding=model.binding, pictures=pictures
        )
    return found


class Loud(nn.Module):
    """Two layers that together make numbers a million times larger, two that undo it. All weights
    fit float16; what lies between does not."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.louder = nn.Conv2d(8, 8, 3, padding=1)
        self.quieter = nn.Conv2d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 6, 3, padding=1)
        with torch.no_grad():
            for layer, factor in (
                (self.stem, 1e3),
                (self.louder, 1e3),
                (self.quieter, 1e-3),
                (self.last, 1e-3),
            ):
                layer.weight *= factor

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = nn.functional.relu(self.louder(nn.functional.relu(self.stem(image))))
        x = nn.functional.max_pool2d(self.last(self.quieter(x)), 1)
        return torch.softmax(x.mean((2, 3))[:, :5] * 4, 1), x


def loud_package(folder: Path) -> Package:
    """`Loud` for iOS 17."""
    hub = tiny.write_hub(folder / "hub.pt2", "NCHW", Loud())
    model = converted(hub, tiny.CONTRACT, tiny.binding("NCHW"), folder / "loud.mlpackage", 17)
    pictures = tuple(photographs(tiny.SHAPE, "NCHW", 1 / 255, 0.0))
    return Package(
        path=folder / "loud.mlpackage",
        contract=tiny.CONTRACT,
        binding=model.binding,
        pictures=pictures,
    )
