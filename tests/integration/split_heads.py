"""Hub files to split: captured from sources, and tiny detectors with every kind of tail."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from phoneproof.capture.hub import hub_tensors, with_shapes
from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.capture.sources import find_source
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import (
    Binding,
    Box,
    InputBinding,
    Layout,
    OutputBinding,
)
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.presets import preset_input
from phoneproof.core.recipe import Split
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.heads import Heads, canonical_heads
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.runtimes.backends.hub import output_shapes, save_hub
from phoneproof.runtimes.base import RUNTIMES

SIZE = (64, 96)
STRIDES = (8, 16)
CLASSES = 3
BINS = 8
WH = (((10.0, 13.0), (16.0, 30.0)), ((30.0, 61.0), (62.0, 45.0)))
Kind = Literal[
    "dfl", "yolox", "yolov5", "landmarks", "ssd", "joined", "unknown", "grouped", "stretched"
]


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A hub file with what it means."""

    path: Path
    contract: Contract
    binding: Binding

    def split(self, output: Path, layout: Layout = "NCHW") -> WrittenModel:
        request = OptimizeRequest(
            artifact=self.path,
            contract=self.contract,
            binding=self.binding,
            recipe=Split(layout=layout),
            output=output,
        )
        return OPTIMIZERS.load("hub-split").propose(request)

    def heads(self, image: NDArray[np.float32]) -> Heads:
        return heads_of(self.path, self.contract, self.binding, image)


def heads_of(path: Path, contract: Contract, binding: Binding, image: NDArray[np.float32]) -> Heads:
    """What a file gives for an input tensor of its own layout."""
    outputs = RUNTIMES.load(binding.format).open(path).run({binding.image.tensor: image})
    return canonical_heads(outputs, contract, binding)


def captured(source: Path, folder: Path, *, size: tuple[int, int] | None = None) -> Detector:
    """The hub of a model file as `phoneproof build` makes it."""
    _, reader = find_source(source)
    inspection = reader.inspect(source)
    contract = infer_contract(inspection, name="detector").contract
    wanted = size or contract.image.size
    binding = hub_binding(inspection, contract, size=wanted, batch=1)
    program = reader.importers(source, size=wanted, batch=1)[0][1]()
    inputs, outputs = hub_tensors(
        inspection, size=wanted, batch=1, output_shapes=output_shapes(program)
    )
    path = folder / "hub.pt2"
    save_hub(program, path, inputs, outputs)
    return Detector(path=path, contract=contract, binding=with_shapes(binding, outputs))


def tiny(kind: Kind, path: Path, *, batch: int = 1) -> Detector:
    """A detector of two levels with random weights and the tail of one family."""
    torch.manual_seed(4)
    network = _Tiny(kind).eval()
    # Far from 0, so that a role bound to wrong values shows.
    for parameter in network.parameters():
        parameter.data.uniform_(-0.5, 0.5)
    if kind in ("dfl", "grouped", "stretched"):
        network.expectation.weight.data = torch.arange(BINS).float().reshape(1, BINS, 1, 1)
    shape = (batch, 3, *SIZE)
    program = torch.export.export(network, (torch.zeros(shape),), strict=False)
    shapes = output_shapes(program)
    names = ("boxes", "scores")[: len(shapes)] if len(shapes) > 1 else ("predictions",)
    outputs = tuple(
        TensorSpec(name=name, shape=of, dtype="float32")
        for name, of in zip(names, shapes, strict=True)
    )
    save_hub(program, path, (TensorSpec(name="image", shape=shape, dtype="float32"),), outputs)
    contract = Contract(
        name="tiny",
        task="detect",
        inputs=(preset_input("ultralytics.detect", SIZE),),
        labels=tuple(f"c{k}" for k in range(CLASSES)),
        decode=Decode(),
    )
    binding = Binding(
        contract=contract.sha256,
        format="hub",
        batch=batch,
        inputs=(InputBinding(tensor="image", shape=shape, layout="NCHW"),),
        outputs=_roles(kind, outputs),
    )
    return Detector(path=path, contract=contract, binding=binding)


def _roles(kind: Kind, outputs: tuple[TensorSpec, ...]) -> tuple[OutputBinding, ...]:
    box = Box(format="xyxy" if kind == "ssd" else "cxcywh")
    if len(outputs) == 2:
        boxes, scores = outputs
        return (
            OutputBinding(
                tensor="boxes", role="boxes", shape=boxes.shape, axes=("anchor", "coord"), box=box
            ),
            OutputBinding(
                tensor="scores", role="scores", shape=scores.shape, axes=("anchor", "class")
            ),
        )
    (spec,) = outputs
    last = -2 if kind == "joined" else -1
    first = spec.shape[last] - CLASSES
    parts = [
        OutputBinding(
            tensor="predictions",
            role="boxes",
            shape=spec.shape,
            axes=("coord", "anchor") if kind == "joined" else ("anchor", "coord"),
            slice=(0, 4),
            box=box,
        ),
        OutputBinding(
            tensor="predictions",
            role="scores",
            shape=spec.shape,
            axes=("class", "anchor") if kind == "joined" else ("anchor", "class"),
            slice=(first, first + CLASSES),
        ),
    ]
    if kind in ("yolox", "yolov5", "landmarks"):
        parts.append(
            OutputBinding(
                tensor="predictions",
                role="objectness",
                shape=spec.shape,
                axes=("anchor", "coord"),
                slice=(4, 5),
            )
        )
    return tuple(parts)


class _Tiny(nn.Module):
    """Two strided convolutions, then the head of a family, decoded as its own code does."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind
        self.stem = nn.ModuleList([nn.Conv2d(3, 8, 8, stride=8), nn.Conv2d(8, 8, 2, stride=2)])
        widths = {
            "dfl": (4 * BINS, CLASSES),
            "stretched": (4 * BINS, CLASSES),
            "grouped": (4 * BINS + 4,),
            "yolox": (4, 1, CLASSES),
            "yolov5": (2 * (5 + CLASSES),),
            "landmarks": (2 * (15 + CLASSES),),
        }.get(kind, (4, CLASSES))
        groups = 4 if kind == "grouped" else 1
        self.heads = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(8, width, 1, groups=groups) for width in widths)
            for _ in STRIDES
        )
        self.expectation = nn.Conv2d(BINS, 1, 1, bias=False)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        first = torch.tanh(self.stem[0](image))
        levels = (first, torch.tanh(self.stem[1](first)))
        decode = {
            "dfl": self._dfl,
            "stretched": self._dfl,
            "grouped": self._dfl,
            "yolox": self._yolox,
            "yolov5": self._yolov5,
            "landmarks": self._yolov5,
        }.get(self.kind, self._plain)
        parts = [
            decode([head(level) for head in cast(nn.ModuleList, heads)], stride, place)
            for place, (level, stride, heads) in enumerate(
                zip(levels, STRIDES, self.heads, strict=True)
            )
        ]
        boxes, *rest = (torch.cat(pieces, 1) for pieces in zip(*parts, strict=True))
        if self.kind == "ssd":
            return boxes, rest[-1]
        if self.kind == "unknown":
            # Not a Concat: boxes and scores are written into one tensor by a sum.
            return nn.functional.pad(boxes, (0, CLASSES)) + nn.functional.pad(rest[-1], (4, 0))
        if self.kind == "joined":
            pieces = (boxes[..., :2], boxes[..., 2:], rest[-1])
            return torch.cat(pieces, 2).transpose(1, 2).contiguous()
        return torch.cat((boxes, *rest), 2)

    def _dfl(self, maps: list[Tensor], stride: int, _: int) -> tuple[Tensor, ...]:
        joined = torch.cat(maps, 1)
        rows = _rows(joined)
        bins = rows[..., : 4 * BINS].reshape(rows.shape[0], -1, 4, BINS).softmax(3)
        sides = self.expectation(bins.permute(0, 3, 1, 2)).squeeze(1)
        points = _cells(joined) + 0.5
        near, far = points - sides[..., :2], points + sides[..., 2:]
        pixels = 1.01 * stride if self.kind == "stretched" else stride
        boxes = torch.cat(((near + far) / 2, far - near), 2) * pixels
        return boxes, rows[..., 4 * BINS : 4 * BINS + CLASSES].sigmoid()

    def _yolox(self, maps: list[Tensor], stride: int, _: int) -> tuple[Tensor, ...]:
        boxes, objectness, scores = (_rows(one) for one in maps)
        centres = (boxes[..., :2] + _cells(maps[0])) * stride
        boxes = torch.cat((centres, boxes[..., 2:].exp() * stride), 2)
        return boxes, objectness.sigmoid(), scores.sigmoid()

    def _yolov5(self, maps: list[Tensor], stride: int, place: int) -> tuple[Tensor, ...]:
        (one,) = maps
        batch, channels, rows, columns = one.shape
        split = one.reshape(batch, 2, channels // 2, rows * columns).transpose(2, 3).sigmoid()
        centres = (split[..., :2] * 2 - 0.5 + _cells(one)) * stride
        sides = (split[..., 2:4] * 2) ** 2 * torch.tensor(WH[place])[:, None]
        values = torch.cat((centres, sides, split[..., 4:]), 3)
        return (values.reshape(batch, -1, channels // 2),)

    def _plain(self, maps: list[Tensor], stride: int, _: int) -> tuple[Tensor, ...]:
        """Boxes as no family writes them: the square of a value is a side."""
        boxes, scores = (_rows(one) for one in maps)
        centres = (boxes[..., :2].tanh() + _cells(maps[0])) * stride
        sides = boxes[..., 2:] ** 2 * stride
        return torch.cat((centres, sides), 2), scores.sigmoid()


def _rows(one: Tensor) -> Tensor:
    """[N, C, rows, columns] -> [N, rows * columns, C]."""
    return one.reshape(one.shape[0], one.shape[1], -1).transpose(1, 2)


def _cells(one: Tensor) -> Tensor:
    """Column and row of every cell: [rows * columns, 2]."""
    rows, columns = one.shape[2:]
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1).float()
