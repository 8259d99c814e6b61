"""Partial self-attention (Wang et al. 2024, "YOLOv10", section 3.2; YOLO11 repeats its block)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.ultralytics.architecture.layers import C2PsaLayer, PsaLayer
from phoneproof.capture.backends.ultralytics.architecture.readers import HEAD_WIDTH
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv, depthwise


class Attention(nn.Module):
    """Multi-head self-attention over all positions, with a convolution as positional encoding.

    Queries and keys have half a head's channels; their product is scaled by 1 / sqrt(channels).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_heads = max(channels // HEAD_WIDTH, 1)
        self.head_dim = channels // self.num_heads
        self.key_dim = self.head_dim // 2
        self.scale = self.key_dim**-0.5
        keys = self.num_heads * self.key_dim
        self.qkv = Conv(channels, channels + 2 * keys, linear=True)
        self.proj = Conv(channels, channels, linear=True)
        self.pe = depthwise(channels, 3, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        n, channels, height, width = x.shape
        joined: Tensor = self.qkv(x).reshape(n, self.num_heads, -1, height * width)
        parts = [self.key_dim, self.key_dim, self.head_dim]
        query, key, value = torch.split(joined, parts, 2)
        weights = (query.transpose(2, 3) @ key * self.scale).softmax(3)
        seen = (value @ weights.transpose(2, 3)).reshape(n, channels, height, width)
        placed = self.pe(value.reshape(n, channels, height, width))
        projected: Tensor = self.proj(seen + placed)
        return projected


class PsaBlock(nn.Module):
    """Attention and a feed-forward pair of 1x1 convolutions, each added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = Attention(channels)
        self.ffn = feed_forward(channels)
        self.add = True

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        attended: Tensor = x + self.attn(x)
        fed: Tensor = self.ffn(attended)
        return attended + fed


def feed_forward(channels: int) -> nn.Sequential:
    """To twice the channels and back."""
    return nn.Sequential(Conv(channels, 2 * channels), Conv(2 * channels, channels, linear=True))


class Psa(nn.Module):
    """One block behind the second half of the channels; its parts lie directly in this module."""

    def __init__(self, layer: PsaLayer) -> None:
        super().__init__()
        self.c = layer.channels // 2
        self.cv1 = Conv(layer.channels, 2 * self.c)
        self.cv2 = Conv(2 * self.c, layer.channels)
        self.attn = Attention(self.c)
        self.ffn = feed_forward(self.c)

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        kept, seen = self.cv1(x).split((self.c, self.c), 1)
        seen = seen + self.attn(seen)
        seen = seen + self.ffn(seen)
        joined: Tensor = self.cv2(torch.cat((kept, seen), 1))
        return joined


class C2Psa(nn.Module):
    """Blocks in a row behind the second half of the channels."""

    def __init__(self, layer: C2PsaLayer) -> None:
        super().__init__()
        self.c = layer.channels // 2
        self.cv1 = Conv(layer.channels, 2 * self.c)
        self.cv2 = Conv(2 * self.c, layer.channels)
        self.m = nn.Sequential(*(PsaBlock(self.c) for _ in range(layer.repeats)))

    def forward(self, x: Tensor) -> Tensor:
        """Shape unchanged."""
        kept, seen = self.cv1(x).split((self.c, self.c), 1)
        joined: Tensor = self.cv2(torch.cat((kept, self.m(seen)), 1))
        return joined
