"""Layers that treat every number alone: activations, unary functions, arithmetic of blobs."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Final

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.coreml_network.layer import Blobs, Function, Layer, Message, one
from phoneproof.runtimes.backends.coreml_network.weights import weights

Unary = Callable[[torch.Tensor], torch.Tensor]
Binary = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def activation(layer: Layer) -> Function:
    """Every kind of ActivationParams."""
    kind = layer.params.WhichOneof("NonlinearityType")
    if kind in ("PReLU", "parametricSoftplus"):
        return _by_channel(layer, kind)
    if kind not in _ACTIVATIONS:
        raise layer.unsupported(f"kind {kind}")
    return one(_ACTIVATIONS[kind](getattr(layer.params, kind)))


_ACTIVATIONS: Final[dict[str, Callable[[Message], Unary]]] = {
    "linear": lambda p: lambda x: x * p.alpha + p.beta,
    "ReLU": lambda _: torch.relu,
    "leakyReLU": lambda p: lambda x: torch.where(x >= 0, x, x * p.alpha),
    "thresholdedReLU": lambda p: lambda x: torch.where(x >= p.alpha, x, 0.0),
    "tanh": lambda _: torch.tanh,
    "scaledTanh": lambda p: lambda x: p.alpha * torch.tanh(p.beta * x),
    "sigmoid": lambda _: torch.sigmoid,
    "sigmoidHard": lambda p: lambda x: (x * p.alpha + p.beta).clamp(0, 1),
    "ELU": lambda p: lambda x: torch.where(x >= 0, x, p.alpha * torch.expm1(x)),
    "softsign": lambda _: functional.softsign,
    "softplus": lambda _: functional.softplus,
}


def _by_channel(layer: Layer, kind: str) -> Function:
    params = getattr(layer.params, kind)

    def numbers(message: Message, what: str) -> torch.Tensor:
        count = max(1, len(message.floatValue), len(message.float16Value) // 2)
        return weights(layer, message, (count,), what).reshape(-1, 1, 1)

    alpha = numbers(params.alpha, "alpha")
    if kind == "PReLU":
        return one(lambda x: torch.where(x >= 0, x, x * alpha))
    beta = numbers(params.beta, "beta")
    return one(lambda x: alpha * functional.softplus(beta * x))


def unary(layer: Layer) -> Function:
    """A function of ``scale * x + shift``."""
    params = layer.params
    scale, epsilon = params.scale or 1.0, params.epsilon or 1e-6
    functions: dict[int, Unary] = {
        0: torch.sqrt,
        1: lambda x: torch.rsqrt(x + epsilon),
        2: lambda x: 1 / (x + epsilon),
        3: lambda x: x**params.alpha,
        4: torch.exp,
        5: torch.log,
        6: torch.abs,
        7: lambda x: x.clamp(min=params.alpha),
    }
    if params.type not in functions:
        raise layer.unsupported(f"type {params.type}")
    function = functions[params.type]
    return one(lambda x: function(x * scale + params.shift))


def plain(function: Unary) -> Callable[[Layer], Function]:
    """A layer without parameters of its own."""
    return lambda _layer: one(function)


def clip(layer: Layer) -> Function:
    """Between two numbers."""
    return one(lambda x: x.clamp(layer.params.minVal, layer.params.maxVal))


def gelu(layer: Layer) -> Function:
    """Exact or one of its two approximations."""
    modes: dict[int, Unary] = {
        0: functional.gelu,
        1: lambda x: functional.gelu(x, approximate="tanh"),
        2: lambda x: x * torch.sigmoid(1.702 * x),
    }
    if layer.params.mode not in modes:
        raise layer.unsupported(f"mode {layer.params.mode}")
    return one(modes[layer.params.mode])


def add(layer: Layer) -> Function:
    """Of all inputs; of one input and a number."""
    return _folded(layer, torch.add, layer.params.alpha)


def multiply(layer: Layer) -> Function:
    """Of all inputs; of one input and a number."""
    return _folded(layer, torch.mul, layer.params.alpha)


def _folded(layer: Layer, function: Binary, alpha: float) -> Function:
    if len(layer.inputs) == 1:
        return one(lambda x: function(x, torch.tensor(alpha)))
    return lambda blobs: (reduce(function, blobs),)


def folded(function: Binary) -> Callable[[Layer], Function]:
    """A function of two blobs, over all inputs."""
    return lambda _layer: lambda blobs: (reduce(function, blobs),)


def average(_layer: Layer) -> Function:
    """The mean of all inputs."""
    return lambda blobs: (reduce(torch.add, blobs) / len(blobs),)


def dot(layer: Layer) -> Function:
    """The sum of products over the channels; of normalised vectors where asked for."""

    def product(blobs: Blobs) -> Blobs:
        first, second = blobs
        if layer.params.cosineSimilarity:
            first, second = (x / x.norm(dim=-3, keepdim=True) for x in (first, second))
        return ((first * second).sum(-3, keepdim=True),)

    return product


def scale(layer: Layer) -> Function:
    """Times a constant, plus one."""
    params = layer.params
    factor = _constant(layer, params.shapeScale, params.scale, "scale")
    shift = _constant(layer, params.shapeBias, params.bias, "bias") if params.hasBias else None
    return one(lambda x: x * factor if shift is None else x * factor + shift)


def bias(layer: Layer) -> Function:
    """Plus a constant."""
    shift = _constant(layer, layer.params.shape, layer.params.bias, "bias")
    return one(lambda x: x + shift)


def _constant(layer: Layer, shape: Message, message: Message, what: str) -> torch.Tensor:
    """[1], [C], [1, H, W] or [C, H, W], as it broadcasts over images."""
    sides = tuple(int(side) for side in shape)
    if len(sides) not in (1, 3):
        raise layer.damaged(f"a {what} of shape {list(sides)}")
    numbers = weights(layer, message, sides, what)
    return numbers.reshape(-1, 1, 1) if len(sides) == 1 else numbers
