"""Normalisations."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator, axis_of


def batch_norm(call: Call, /) -> Tensor:
    """gamma (x - mean) / sqrt(variance + epsilon) + beta for each channel (axis 1)."""
    return functional.batch_norm(
        call.tensor("x"),
        call.tensor("mean"),
        call.tensor("variance"),
        call.optional("gamma"),
        call.optional("beta"),
        training=False,
        eps=call.real("epsilon", 1e-5),
    )


def instance_norm(call: Call, /) -> Tensor:
    """Each channel of each image by its own mean and variance."""
    x = call.tensor("x")
    axes = tuple(range(2, x.dim()))
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    result = (x - mean) * torch.rsqrt(variance + call.real("epsilon", 1e-5))
    shape = (1, -1) + (1,) * (x.dim() - 2)
    return _scaled(call, result, shape)


def layer_norm(call: Call, /) -> Tensor:
    """By mean and variance over some axes; gamma and beta have those axes' shape."""
    x = call.tensor("x")
    rank = x.dim()
    axes = tuple(
        sorted(axis_of(call, axis, rank) for axis in call.integers("axes", tuple(range(rank))))
    )
    epsilon = call.real("epsilon", 1e-5)
    if axes == tuple(range(rank - len(axes), rank)):
        shape = tuple(x.shape[axis] for axis in axes)
        return functional.layer_norm(
            x, shape, call.optional("gamma"), call.optional("beta"), eps=epsilon
        )
    variance, mean = torch.var_mean(x, dim=axes, correction=0, keepdim=True)
    result = (x - mean) * torch.rsqrt(variance + epsilon)
    return _scaled(call, result, tuple(x.shape[i] if i in axes else 1 for i in range(rank)))


def _scaled(call: Call, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    gamma, beta = call.optional("gamma"), call.optional("beta")
    if gamma is not None:
        x = x * gamma.reshape(shape)
    return x if beta is None else x + beta.reshape(shape)


def l2_norm(call: Call, /) -> Tensor:
    """By the length over the last three axes."""
    x = call.tensor("x")
    squares = torch.sum(x * x, dim=(-3, -2, -1), keepdim=True)
    return x * torch.rsqrt(squares + call.real("epsilon", 1e-6))


def local_response_norm(call: Call, /) -> Tensor:
    """By the squares of neighbouring channels."""
    return functional.local_response_norm(
        call.tensor("x"),
        call.integer("size"),
        alpha=call.real("alpha", 1e-4),
        beta=call.real("beta", 0.75),
        k=call.real("k", 1.0),
    )


NORMALIZATIONS: Mapping[str, Operator] = {
    "batch_norm": batch_norm,
    "instance_norm": instance_norm,
    "l2_norm": l2_norm,
    "layer_norm": layer_norm,
    "local_response_norm": local_response_norm,
}
