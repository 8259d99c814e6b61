"""Layers that divide by what they measure: normalisations and softmax."""

from __future__ import annotations

import torch
from torch.nn import functional

from phoneproof.runtimes.backends.coreml_network.layer import Function, Layer, on_images, one
from phoneproof.runtimes.backends.coreml_network.weights import weights


def batchnorm(layer: Layer) -> Function:
    """With stored statistics, or those of each image or of the batch."""
    params = layer.params
    channels, epsilon = (int(params.channels),), params.epsilon or 1e-5
    gamma = weights(layer, params.gamma, channels, "gamma")
    beta = weights(layer, params.beta, channels, "beta")
    if params.computeMeanVar:
        axes = (2, 3) if params.instanceNormalization else (0, 2, 3)

        def measured(image: torch.Tensor) -> torch.Tensor:
            variance, mean = torch.var_mean(image, axes, correction=0, keepdim=True)
            normal = (image - mean) * torch.rsqrt(variance + epsilon)
            return normal * gamma.reshape(-1, 1, 1) + beta.reshape(-1, 1, 1)

        return on_images(measured)
    mean = weights(layer, params.mean, channels, "mean")
    variance = weights(layer, params.variance, channels, "variance")
    return on_images(
        lambda image: functional.batch_norm(image, mean, variance, gamma, beta, False, 0.0, epsilon)
    )


def mvn(layer: Layer) -> Function:
    """Mean taken off, variance where asked for, of each channel or of all together."""
    params = layer.params
    axes = (-3, -2, -1) if params.acrossChannels else (-2, -1)
    epsilon = params.epsilon or 1e-6

    def normalised(blob: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(blob, axes, correction=0, keepdim=True)
        centred = blob - mean
        return centred / (variance.sqrt() + epsilon) if params.normalizeVariance else centred

    return one(normalised)


def l2normalize(layer: Layer) -> Function:
    """Divided by the root of the sum of squares over channels and both sides."""
    epsilon = layer.params.epsilon or 1e-6
    return one(lambda x: x / (x.square().sum((-3, -2, -1), keepdim=True) + epsilon).sqrt())


def lrn(layer: Layer) -> Function:
    """Divided by the neighbouring channels."""
    params = layer.params
    size = int(params.localSize)
    if not 1 <= size <= 1 << 16:
        raise layer.damaged(f"a window of {size} channels")
    return on_images(
        lambda x: functional.local_response_norm(x, size, params.alpha, params.beta, params.k or 1)
    )


def softmax(_layer: Layer) -> Function:
    """Over the channels: the third axis from the end."""
    return one(lambda x: torch.softmax(x, -3))


def softmax_nd(layer: Layer) -> Function:
    """Over one axis."""
    return one(lambda x: torch.softmax(x, int(layer.params.axis)))


def layer_normalization(layer: Layer) -> Function:
    """Over the last axes."""
    params = layer.params
    shape = tuple(int(side) for side in params.normalizedShape)
    if not shape or min(shape) < 1:
        raise layer.damaged(f"shape {list(shape)}")
    gamma = weights(layer, params.gamma, shape, "gamma")
    beta = weights(layer, params.beta, shape, "beta")
    return one(lambda x: functional.layer_norm(x, shape, gamma, beta, params.eps))
