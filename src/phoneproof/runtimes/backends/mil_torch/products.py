"""Products of matrices, and attention."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from phoneproof.runtimes.backends.mil_torch.call import Call, Operator


def linear(call: Call, /) -> Tensor:
    """x times the transposed weights, plus the bias."""
    return functional.linear(call.tensor("x"), call.tensor("weight"), call.optional("bias"))


def matmul(call: Call, /) -> Tensor:
    """The product of the last two axes; the others are broadcast."""
    x, y = call.tensor("x"), call.tensor("y")
    if call.flag("transpose_x") and x.dim() > 1:
        x = x.transpose(-1, -2)
    if call.flag("transpose_y") and y.dim() > 1:
        y = y.transpose(-1, -2)
    return torch.matmul(x, y)


def einsum(call: Call, /) -> Tensor:
    """Einstein's sum of two tensors."""
    return torch.einsum(call.text("equation"), *call.tensors("values"))


def scaled_dot_product_attention(call: Call, /) -> Tensor:
    """softmax(Q K' / sqrt(E) + mask) V; a mask of truth values lets through where true."""
    query, key, value = call.tensor("query"), call.tensor("key"), call.tensor("value")
    scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(query.shape[-1])
    mask = call.optional("attn_mask")
    if mask is not None:
        added = mask if mask.is_floating_point() else _blocked(mask)
        scores = scores + added
    return torch.matmul(torch.softmax(scores, dim=-1), value)


def _blocked(mask: Tensor) -> Tensor:
    zeros = torch.zeros(mask.shape, device=mask.device)
    return zeros.masked_fill(torch.logical_not(mask), -math.inf)


PRODUCTS: Mapping[str, Operator] = {
    "einsum": einsum,
    "linear": linear,
    "matmul": matmul,
    "scaled_dot_product_attention": scaled_dot_product_attention,
}
