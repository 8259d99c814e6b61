"""Layers that multiply by a matrix."""

from __future__ import annotations

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.coreml_network.layer import Blobs, Function, Layer, one
from phoneproof.runtimes.backends.coreml_network.weights import weights


def inner_product(layer: Layer) -> Function:
    """Each vector times the matrix; of ranks 4 and 5 the last three axes are the vector."""
    params = layer.params
    wide, narrow = int(params.inputChannels), int(params.outputChannels)
    if params.int8DynamicQuantize:
        raise layer.unsupported("arithmetic in int8")
    matrix = weights(layer, params.weights, (narrow, wide), "weights")
    bias = weights(layer, params.bias, (narrow,), "bias") if params.hasBias else None

    def product(x: torch.Tensor) -> torch.Tensor:
        if x.dim() < 4:
            return functional.linear(x, matrix, bias)
        flat = x.reshape(*x.shape[:-3], -1)
        return functional.linear(flat, matrix, bias)[..., None, None]

    return one(product)


def batched_matmul(layer: Layer) -> Function:
    """Two blobs, or one and a matrix of the file."""
    params = layer.params
    if params.int8DynamicQuantize:
        raise layer.unsupported("arithmetic in int8")
    if len(layer.inputs) == 1:
        rows, columns = (
            int(params.weightMatrixFirstDimension),
            int(params.weightMatrixSecondDimension),
        )
        # Stored transposed: [second, first] (BatchedMatMulLayerParams.weights).
        matrix = weights(layer, params.weights, (columns, rows), "weights")
        bias = weights(layer, params.bias, (columns,), "bias") if params.hasBias else None
        return one(lambda x: functional.linear(x, matrix, bias))

    def product(blobs: Blobs) -> Blobs:
        first, second = blobs
        first = first.transpose(-1, -2) if params.transposeA else first
        second = second.transpose(-1, -2) if params.transposeB else second
        return (first @ second,)

    return product


def embedding(layer: Layer) -> Function:
    """A column of the table for each number."""
    params = layer.params
    count, width = int(params.inputDim), int(params.outputChannels)
    table = weights(layer, params.weights, (width, count), "weights")
    bias = weights(layer, params.bias, (width,), "bias") if params.hasBias else torch.zeros(width)

    def looked_up(x: torch.Tensor) -> torch.Tensor:
        found = table.T[x.reshape(*x.shape[:-3]).long()] + bias
        return found[..., None, None]

    return one(looked_up)
