"""Layers that change the size of an image. Where points are taken from is written in
``NeuralNetwork.proto`` (UpsampleLayerParams, SamplingMode)."""

from __future__ import annotations

import torch

from phoneproof.runtimes.backends.coreml_network.layer import Function, Layer, on_images

_NEAREST, _BILINEAR = 0, 1


def upsample(layer: Layer) -> Function:
    """Nearest or bilinear, by factors."""
    params = layer.params
    mode = params.linearUpsampleMode
    factors = _factors(layer)
    if params.mode not in (_NEAREST, _BILINEAR) or mode not in (0, 1, 2):
        raise layer.unsupported(f"mode {params.mode}, {mode}")

    def resized(image: torch.Tensor) -> torch.Tensor:
        for axis, factor in zip((-2, -1), factors, strict=True):
            before = image.shape[axis]
            after = int(before * factor)
            _require(layer, image, axis, after)
            if params.mode == _NEAREST:
                places = torch.arange(after, dtype=torch.float64) / factor
                picked = places.floor().long()
                image = image.index_select(axis, picked.clamp(max=before - 1))
            else:
                image = _linear(image, axis, _upsampled(before, after, mode))
        return image

    return on_images(resized)


def _factors(layer: Layer) -> tuple[float, float]:
    fractions = tuple(float(value) for value in layer.params.fractionalScalingFactor)
    if not fractions:
        whole = layer.pair(layer.params.scalingFactor, 1)
        return float(whole[0]), float(whole[1])
    if len(fractions) != 2 or not all(0 < value < 1 << 16 for value in fractions):
        raise layer.damaged(f"factors {list(fractions)}")
    return fractions[0], fractions[1]


def resize_bilinear(layer: Layer) -> Function:
    """To a size; the grid by `SamplingMode`."""
    target = layer.pair(layer.params.targetSize, 1)
    mode = layer.params.mode.samplingMethod
    if mode not in (0, 1, 2, 3):
        raise layer.unsupported(f"sampling mode {mode}")

    def resized(image: torch.Tensor) -> torch.Tensor:
        for axis, after in zip((-2, -1), target, strict=True):
            _require(layer, image, axis, after)
            image = _linear(image, axis, _sampled(image.shape[axis], after, mode))
        return image

    return on_images(resized)


def _require(layer: Layer, image: torch.Tensor, axis: int, after: int) -> None:
    shape = list(image.shape)
    shape[axis] = after
    if after < 1:
        raise layer.damaged(f"an image of shape {shape}")
    layer.require_size(shape)


def _upsampled(before: int, after: int, mode: int) -> torch.Tensor:
    steps = torch.arange(after, dtype=torch.float64)
    if mode == 2:
        return steps * (before / after) + 0.5 * before / after - 0.5
    if after == 1:
        return torch.zeros(1, dtype=torch.float64)
    end = before - 1 if mode == 1 else before - before / after
    return steps * (end / (after - 1))


def _sampled(before: int, after: int, mode: int) -> torch.Tensor:
    last = before - 1
    start, end = 0.0, float(last)
    if mode == 1 and after == 1:
        start = end = last / 2
    elif mode == 2:
        end = before - before / after
    elif mode == 3:
        spacing = max(1, last) / after
        start = 0.5 * spacing
        end = start + (after - 1) * spacing
    return torch.linspace(start, end, after, dtype=torch.float64)


def _linear(image: torch.Tensor, axis: int, points: torch.Tensor) -> torch.Tensor:
    """The image read between its pixels at `points` of one axis."""
    last = image.shape[axis] - 1
    points = points.clamp(0, last)
    low = points.floor().long()
    high = (low + 1).clamp(max=last)
    shape = [1] * image.dim()
    shape[axis] = -1
    part = (points - low).to(image.dtype).reshape(shape)
    return torch.lerp(image.index_select(axis, low), image.index_select(axis, high), part)
