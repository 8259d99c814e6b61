"""An architecture's rows as one torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    Architecture,
    C2fCibLayer,
    C2fLayer,
    C2PsaLayer,
    C3k2Layer,
    C3Layer,
    ChainLayer,
    ClassifyLayer,
    ConcatLayer,
    ConvLayer,
    DetectLayer,
    FocusLayer,
    HeadLayer,
    Layer,
    PsaLayer,
    ScDownLayer,
    SppfLayer,
    SppLayer,
    UpsampleLayer,
)
from phoneproof.capture.backends.ultralytics.blocks.attention import C2Psa, Psa
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv, Focus, ScDown
from phoneproof.capture.backends.ultralytics.blocks.cross_stage import c2f, c2f_cib, c3, c3k2
from phoneproof.capture.backends.ultralytics.blocks.heads import AnchorDetect, Classify, Detect
from phoneproof.capture.backends.ultralytics.blocks.pooling import Spp, Sppf


class Concat(nn.Module):
    """Joins its inputs along the channels."""

    def forward(self, *x: Tensor) -> Tensor:
        """[N, c_i, H, W] ... -> [N, sum c_i, H, W]."""
        return torch.cat(x, 1)


class Network(nn.Module):
    """All rows of an architecture; each reads the rows its description names."""

    def __init__(self, architecture: Architecture, size: tuple[int, int]) -> None:
        super().__init__()
        self.model = nn.ModuleList(_module(row.layer, size) for row in architecture.rows)
        self._sources = tuple(row.sources for row in architecture.rows)

    def forward(self, image: Tensor) -> Tensor:
        """[N, C, H, W] in 0..1 -> the head's output."""
        done = [image]  # row i is at place i + 1, so that source -1 is the image
        for module, sources in zip(self.model, self._sources, strict=True):
            done.append(module(*(done[source + 1] for source in sources)))
        return done[-1]


def _module(layer: Layer, size: tuple[int, int]) -> nn.Module:
    match layer:
        case ConvLayer():
            return Conv(layer.c_in, layer.c_out, layer.kernel, layer.stride, padding=layer.padding)
        case FocusLayer():
            return Focus(layer)
        case ScDownLayer():
            return ScDown(layer)
        case PsaLayer():
            return Psa(layer)
        case SppLayer():
            return Spp(layer)
        case SppfLayer():
            return Sppf(layer)
        case UpsampleLayer():
            return nn.Upsample(scale_factor=float(layer.factor), mode="nearest")
        case ConcatLayer():
            return Concat()
        case DetectLayer() | AnchorDetectLayer() | ClassifyLayer():
            return _head(layer, size)
        case _:
            return _chain(layer)


def _chain(layer: ChainLayer) -> nn.Module:
    match layer:
        case C3Layer():
            return c3(layer)
        case C2fLayer():
            return c2f(layer)
        case C3k2Layer():
            return c3k2(layer)
        case C2fCibLayer():
            return c2f_cib(layer)
        case C2PsaLayer():
            return C2Psa(layer)


def _head(layer: HeadLayer, size: tuple[int, int]) -> nn.Module:
    match layer:
        case DetectLayer():
            return Detect(layer, size)
        case AnchorDetectLayer():
            return AnchorDetect(layer, size)
        case ClassifyLayer():
            return Classify(layer)
