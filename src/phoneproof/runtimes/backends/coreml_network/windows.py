"""Layers that slide a window over an image: convolutions and pools."""

from __future__ import annotations

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.coreml_network.layer import Function, Layer, Message, on_images
from phoneproof.runtimes.backends.coreml_network.weights import weights

Pair = tuple[int, int]
Borders = tuple[int, int, int, int]


def convolution(layer: Layer) -> Function:
    """Convolution and deconvolution, with groups, dilation and every padding."""
    params = layer.params
    if len(layer.inputs) != 1:
        raise layer.unsupported("kernels that are computed")
    kernel, stride = layer.pair(params.kernelSize, 3), layer.pair(params.stride, 1)
    groups, out = int(params.nGroups) or 1, int(params.outputChannels)
    if not out or out % groups:
        raise layer.damaged(f"{out} channels in {groups} groups")
    shape = (
        (int(params.kernelChannels), out // groups)
        if params.isDeconvolution
        else (
            out,
            int(params.kernelChannels),
        )
    )
    kernels = weights(layer, params.weights, (*shape, *kernel), "kernels")
    bias = weights(layer, params.bias, (out,), "bias") if params.hasBias else None
    if params.isDeconvolution:
        return _deconvolution(layer, kernels, bias, stride, groups)
    dilation = layer.pair(params.dilationFactor, 1)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))

    def convolved(image: torch.Tensor) -> torch.Tensor:
        padded = _padded(image, _borders(layer, image, (reach[0], reach[1]), stride), 0.0)
        return functional.conv2d(padded, kernels, bias, stride, 0, dilation, groups)

    return on_images(convolved)


def _deconvolution(
    layer: Layer, kernels: torch.Tensor, bias: torch.Tensor | None, stride: Pair, groups: int
) -> Function:
    params = layer.params
    kernel = (kernels.shape[2], kernels.shape[3])
    asked = layer.pair(params.outputShape, 1) if len(params.outputShape) else None

    def convolved(image: torch.Tensor) -> torch.Tensor:
        before = (image.shape[-2], image.shape[-1])
        whole = tuple((n - 1) * s + k for n, s, k in zip(before, stride, kernel, strict=True))
        layer.require_size((params.outputChannels, *whole))
        full = functional.conv_transpose2d(image, kernels, bias, stride, groups=groups)
        if asked is None and params.WhichOneof("ConvolutionPaddingType") != "same":
            top, bottom, left, right = layer.borders(params.valid.paddingAmounts)
            return full[..., top : whole[0] - bottom, left : whole[1] - right]
        wanted = asked or (before[0] * stride[0], before[1] * stride[1])
        return _centred(layer, full, wanted)

    return on_images(convolved)


def _centred(layer: Layer, full: torch.Tensor, wanted: Pair) -> torch.Tensor:
    """The part of a whole deconvolution that "same" leaves; the spare side goes at the end."""
    heavy_start = layer.params.same.asymmetryMode == 1
    extra = (full.shape[-2] - wanted[0], full.shape[-1] - wanted[1])
    full = functional.pad(full, (0, max(0, -extra[1]), 0, max(0, -extra[0])))
    starts = [max(0, side) for side in extra]
    top, left = (-(-side // 2) if heavy_start else side // 2 for side in starts)
    return full[..., top : top + wanted[0], left : left + wanted[1]]


def pooling(layer: Layer) -> Function:
    """Largest, mean or root-mean-square of windows; padding as `PoolingLayerParams`."""
    params = layer.params
    kind = {0: "max", 1: "average", 2: "l2"}.get(params.type)
    if kind is None:
        raise layer.unsupported(f"type {params.type}")
    kernel, stride = layer.pair(params.kernelSize, 3), layer.pair(params.stride, 1)

    def pooled(image: torch.Tensor) -> torch.Tensor:
        if params.globalPooling:
            return _pool(image, kind, (image.shape[-2], image.shape[-1]), (1, 1), None)
        borders = _borders(layer, image, kernel, stride)
        inside = _padded(torch.ones_like(image[:1, :1]), borders, 0.0)
        padded = _padded(image, borders, -torch.inf if kind == "max" else 0.0)
        return _pool(padded, kind, kernel, stride, inside if params.avgPoolExcludePadding else None)

    return on_images(pooled)


def _pool(
    image: torch.Tensor, kind: str, kernel: Pair, stride: Pair, inside: torch.Tensor | None
) -> torch.Tensor:
    if kind == "max":
        return functional.max_pool2d(image, kernel, stride)
    if kind == "l2":
        mean = functional.avg_pool2d(image.square(), kernel, stride)
        return (mean * (kernel[0] * kernel[1])).sqrt()
    mean = functional.avg_pool2d(image, kernel, stride)
    return mean if inside is None else mean / functional.avg_pool2d(inside, kernel, stride)


def _borders(layer: Layer, image: torch.Tensor, reach: Pair, stride: Pair) -> Borders:
    """(top, bottom, left, right) that a layer pads an image with."""
    params = layer.params
    kind = params.WhichOneof(
        "ConvolutionPaddingType" if layer.kind == "convolution" else "PoolingPaddingType"
    )
    sides = (image.shape[-2], image.shape[-1])
    if kind == "same":
        heavy_start = params.same.asymmetryMode == 1
        rows, columns = (
            _same(side, k, s, heavy_start) for side, k, s in zip(sides, reach, stride, strict=True)
        )
        return (*rows, *columns)
    if kind == "includeLastPixel":
        rows, columns = _complete(layer, params.includeLastPixel, sides, reach, stride)
        return (*rows, *columns)
    borders = layer.borders(params.valid.paddingAmounts)
    layer.require_size((*image.shape[:2], sides[0] + sum(borders[:2]), sides[1] + sum(borders[2:])))
    return borders


def _same(side: int, reach: int, stride: int, heavy_start: bool) -> Pair:
    total = max(0, (-(-side // stride) - 1) * stride + reach - side)
    small = total // 2
    return (total - small, small) if heavy_start else (small, total - small)


def _complete(
    layer: Layer, message: Message, sides: Pair, reach: Pair, stride: Pair
) -> tuple[Pair, Pair]:
    amounts = [int(amount) for amount in message.paddingAmounts] or [0, 0]
    if len(amounts) != 2 or max(amounts) > sum(sides) + sum(reach):
        raise layer.damaged(f"padding {amounts}")
    found = []
    for side, pad, k, s in zip(sides, amounts, reach, stride, strict=True):
        count = -(-(side + 2 * pad - k) // s) + 1
        if any(amounts) and (count - 1) * s >= side + pad:
            count -= 1
        found.append((pad, (count - 1) * s + k - side - pad))
    return found[0], found[1]


def _padded(image: torch.Tensor, borders: Borders, value: float) -> torch.Tensor:
    """Negative borders crop: a window that starts early may end before the last pixel."""
    top, bottom, left, right = borders
    if not any(borders):
        return image
    return functional.pad(image, (left, right, top, bottom), value=value)
