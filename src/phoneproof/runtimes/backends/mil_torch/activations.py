"""Activations: functions of one value with constants of their own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, axis_of, on_one


def clamped_relu(call: Call, /) -> Tensor:
    """min(beta, x), or min(beta, alpha x) below zero."""
    x, alpha, beta = call.tensor("x"), call.real("alpha"), call.real("beta")
    return torch.clamp(torch.where(x >= 0, x, alpha * x), max=beta)


def elu(call: Call, /) -> Tensor:
    """x, or alpha (e^x - 1) below zero."""
    return functional.elu(call.tensor("x"), alpha=call.real("alpha"))


def gelu(call: Call, /) -> Tensor:
    """GELU in its three forms."""
    x, mode = call.tensor("x"), call.text("mode", "EXACT")
    if mode == "EXACT":
        return functional.gelu(x)
    if mode == "TANH_APPROXIMATION":
        return functional.gelu(x, approximate="tanh")
    if mode == "SIGMOID_APPROXIMATION":
        return x * torch.sigmoid(1.702 * x)
    raise call.unsupported(f"mode {mode!r}")


def leaky_relu(call: Call, /) -> Tensor:
    """x, or alpha x below zero."""
    return functional.leaky_relu(call.tensor("x"), call.real("alpha"))


def linear_activation(call: Call, /) -> Tensor:
    """Alpha x + beta."""
    return call.tensor("x") * call.real("alpha") + call.real("beta")


def prelu(call: Call, /) -> Tensor:
    """x, or below zero x times its channel's alpha; channels are axis 1."""
    return functional.prelu(call.tensor("x"), call.tensor("alpha"))


def scaled_tanh(call: Call, /) -> Tensor:
    """Alpha tanh(beta x)."""
    return call.real("alpha") * torch.tanh(call.tensor("x") * call.real("beta"))


def sigmoid_hard(call: Call, /) -> Tensor:
    """Alpha x + beta, cut to 0..1."""
    return torch.clamp(call.tensor("x") * call.real("alpha") + call.real("beta"), 0.0, 1.0)


def softplus_parametric(call: Call, /) -> Tensor:
    """alpha log(1 + e^(beta x)) with an alpha and a beta for each channel (axis 1)."""
    x = call.tensor("x")
    shape = (1, -1) + (1,) * (x.dim() - 2)
    alpha, beta = call.tensor("alpha").reshape(shape), call.tensor("beta").reshape(shape)
    return alpha * functional.softplus(x * beta)


def softmax(call: Call, /) -> Tensor:
    """e^x over its sum along one axis."""
    x = call.tensor("x")
    return torch.softmax(x, dim=axis_of(call, call.integer("axis", -1), x.dim()))


def thresholded_relu(call: Call, /) -> Tensor:
    """x from alpha on, else 0."""
    x = call.tensor("x")
    return torch.where(x >= call.real("alpha"), x, torch.zeros_like(x))


ACTIVATIONS: Mapping[str, Operator] = {
    "clamped_relu": clamped_relu,
    "elu": elu,
    "gelu": gelu,
    "leaky_relu": leaky_relu,
    "linear_activation": linear_activation,
    "prelu": prelu,
    "relu": on_one(functional.relu),
    "relu6": on_one(functional.relu6),
    "scaled_tanh": scaled_tanh,
    "sigmoid": on_one(torch.sigmoid),
    "sigmoid_hard": sigmoid_hard,
    "silu": on_one(functional.silu),
    "softmax": softmax,
    "softplus": on_one(functional.softplus),
    "softplus_parametric": softplus_parametric,
    "softsign": on_one(functional.softsign),
    "thresholded_relu": thresholded_relu,
}
