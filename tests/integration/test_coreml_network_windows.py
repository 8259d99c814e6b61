"""Windows and resizes of Core ML's older networks against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.coreml_networks import Array, borders, layer, numbers, only

Pair = tuple[int, int]
side = st.integers(1, 3)
pairs = st.tuples(side, side)


def slid(
    image: Array, kernels: Array, stride: Pair, dilation: Pair, groups: int, out: Pair
) -> Array:
    """A valid convolution of a padded [C, H, W], one window after the other."""
    count, per_group = kernels.shape[:2]
    found = np.zeros((count, *out))
    for o in range(count):
        first = o // (count // groups) * per_group
        for y in range(out[0]):
            for x in range(out[1]):
                top, left = y * stride[0], x * stride[1]
                rows = slice(top, top + (kernels.shape[2] - 1) * dilation[0] + 1, dilation[0])
                columns = slice(left, left + (kernels.shape[3] - 1) * dilation[1] + 1, dilation[1])
                window = image[first : first + per_group, rows, columns]
                found[o, y, x] = (window.astype(np.float64) * kernels[o]).sum()
    return found.astype(np.float32)


def same_padding(size: int, reach: int, stride: int, heavy_start: bool) -> Pair:
    total = max(0, (math.ceil(size / stride) - 1) * stride + reach - size)
    return (total - total // 2, total // 2) if heavy_start else (total // 2, total - total // 2)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    kernel=pairs,
    stride=pairs,
    dilation=pairs,
    groups=st.sampled_from((1, 2)),
    mode=st.sampled_from(("valid", "same", "same_top")),
    pad=st.tuples(*[st.integers(0, 2)] * 4),
    has_bias=st.booleans(),
    rank=st.sampled_from((4, 5)),
)
def test_convolution(
    kernel: Pair,
    stride: Pair,
    dilation: Pair,
    groups: int,
    mode: str,
    pad: tuple[int, int, int, int],
    has_bias: bool,
    rank: int,
) -> None:
    image, kernels = numbers(4, 9, 8), numbers(6, 4 // groups, *kernel, seed=2)
    bias = numbers(6, seed=3) if has_bias else np.zeros(6, np.float32)
    reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    if mode == "valid":
        around = ((pad[0], pad[1]), (pad[2], pad[3]))
        out = tuple(
            (n + sum(a) - r) // s + 1
            for n, a, r, s in zip((9, 8), around, reach, stride, strict=True)
        )
    else:
        around = tuple(  # type: ignore[assignment]
            same_padding(n, r, s, mode == "same_top")
            for n, r, s in zip((9, 8), reach, stride, strict=True)
        )
        out = tuple(math.ceil(n / s) for n, s in zip((9, 8), stride, strict=True))

    def fill(params: Any) -> None:
        if mode == "valid":
            borders(params.valid.paddingAmounts, *pad)
        else:
            params.same.asymmetryMode = int(mode == "same_top")

    made = layer(
        "convolution",
        {
            "outputChannels": 6,
            "kernelChannels": 4 // groups,
            "nGroups": groups,
            "kernelSize": kernel,
            "stride": stride,
            "dilationFactor": dilation,
            "weights": kernels,
            "hasBias": has_bias,
            **({"bias": bias} if has_bias else {}),
        },
        fill,
    )
    padded = np.pad(image, ((0, 0), *around))
    expected = (
        slid(padded, kernels, stride, dilation, groups, (out[0], out[1])) + bias[:, None, None]
    )
    found = only(made, image.reshape((1,) * (rank - 3) + image.shape))
    assert found.shape == (1,) * (rank - 3) + expected.shape
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=2e-5)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("mode", ["valid", "same", "output_shape"])
def test_deconvolution_is_the_transpose_of_a_convolution(mode: str, groups: int) -> None:
    """<conv(a), b> = <a, deconv(b)>, with the same borders."""
    kernels, stride = numbers(6, 4 // groups, 3, 3), (2, 2)
    small = numbers(1, 6, 5, 4, seed=5)
    fields: dict[str, object] = {
        "isDeconvolution": True,
        "outputChannels": 4,
        "kernelChannels": 6,
        "nGroups": groups,
        "stride": stride,
        "weights": kernels,
    }
    size = {"valid": (10, 8), "same": (10, 8), "output_shape": (10, 7)}[mode]
    around = {
        "valid": ((1, 0), (0, 1)),
        "same": ((0, 1), (0, 1)),
        "output_shape": ((0, 1), (1, 1)),
    }[mode]

    def fill(params: Any) -> None:
        if mode == "valid":
            borders(params.valid.paddingAmounts, 1, 0, 0, 1)
        else:
            params.same.SetInParent()
        if mode == "output_shape":
            params.outputShape.extend(size)

    made = layer("convolution", fields, fill)
    result = only(made, small)
    assert result.shape == (1, 4, *size)
    large = numbers(4, *size, seed=6)
    padded = np.pad(large, ((0, 0), *around))
    back = slid(padded, kernels, stride, (1, 1), groups, (5, 4))
    assert np.isclose((back * small[0]).sum(), (large * result[0]).sum(), rtol=1e-4)


def pooled(
    image: Array, kernel: Pair, stride: Pair, around: tuple[Pair, Pair], kind: int, excluded: bool
) -> Array:
    """Windows of [H, W] one after the other; `around` may reach past the last pixel."""
    padded = np.pad(
        image.astype(np.float64), [(a, max(0, b)) for a, b in around], constant_values=np.nan
    )
    out = [
        (n + sum(a) - k) // s + 1
        for n, a, k, s in zip(image.shape, around, kernel, stride, strict=True)
    ]
    found = np.zeros(out)
    for y in range(out[0]):
        for x in range(out[1]):
            top, left = y * stride[0], x * stride[1]
            window = padded[top : top + kernel[0], left : left + kernel[1]]
            if kind == 0:
                found[y, x] = np.nanmax(window)
            elif kind == 1:
                count = np.isfinite(window).sum() if excluded else window.size
                found[y, x] = np.nansum(window) / count
            else:
                found[y, x] = np.sqrt(np.nansum(window**2))
    return found.astype(np.float32)


@settings(deadline=None, max_examples=80, derandomize=True)
@given(
    kernel=st.tuples(*[st.integers(2, 3)] * 2),
    stride=st.tuples(*[st.integers(1, 2)] * 2),
    kind=st.sampled_from((0, 1, 2)),
    mode=st.sampled_from(("valid", "same", "last")),
    pad=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    excluded=st.booleans(),
)
def test_pooling(
    kernel: Pair, stride: Pair, kind: int, mode: str, pad: Pair, excluded: bool
) -> None:
    image = numbers(1, 2, 7, 6)
    if mode == "valid":
        around = ((pad[0], pad[0]), (pad[1], pad[1]))
    elif mode == "same":
        around = tuple(  # type: ignore[assignment]
            same_padding(n, k, s, False) for n, k, s in zip((7, 6), kernel, stride, strict=True)
        )
    else:
        around = tuple(  # type: ignore[assignment]
            last_pixel(n, p, k, s, any(pad))
            for n, p, k, s in zip((7, 6), pad, kernel, stride, strict=True)
        )

    def fill(params: Any) -> None:
        if mode == "valid":
            borders(params.valid.paddingAmounts, pad[0], pad[0], pad[1], pad[1])
        elif mode == "same":
            params.same.SetInParent()
        else:
            params.includeLastPixel.paddingAmounts.extend(pad)

    fields: dict[str, object] = {
        "type": kind,
        "kernelSize": kernel,
        "stride": stride,
        "avgPoolExcludePadding": excluded,
    }
    found = only(layer("pooling", fields, fill), image)
    expected = np.stack([pooled(one, kernel, stride, around, kind, excluded) for one in image[0]])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def last_pixel(size: int, pad: int, kernel: int, stride: int, is_padded: bool) -> Pair:
    """(before, after) so that windows as counted in PoolingLayerParams fit."""
    count = math.ceil((size + 2 * pad - kernel) / stride) + 1
    if is_padded and (count - 1) * stride >= size + pad:
        count -= 1
    return pad, (count - 1) * stride + kernel - size - pad


def test_global_pooling() -> None:
    image = numbers(1, 1, 3, 5, 4)
    for kind, expected in ((0, image.max((-2, -1))), (1, image.mean((-2, -1)))):
        found = only(layer("pooling", {"type": kind, "globalPooling": True, "valid": None}), image)
        np.testing.assert_allclose(found[..., 0, 0], expected, atol=1e-6)


def line(points: Array, values: Array) -> Array:
    """Values read between the numbers of the last axis."""
    return np.stack(
        [
            np.interp(points, np.arange(len(row)), row)
            for row in values.reshape(-1, values.shape[-1])
        ]
    )


@pytest.mark.parametrize("mode", [0, 1, 2])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_upsample_bilinear_reads_where_the_specification_says(mode: int, factor: int) -> None:
    x = numbers(1, 2, 1, 4)
    size, out = 4, 4 * factor
    steps = np.arange(out)
    if mode == 2:
        points = steps * (size / out) + 0.5 * size / out - 0.5
    else:
        end = size - 1 if mode == 1 else size - size / out
        points = steps * (end / (out - 1))
    fields: dict[str, object] = {
        "scalingFactor": [1, factor],
        "mode": 1,
        "linearUpsampleMode": mode,
    }
    found = only(layer("upsample", fields), x)
    expected = line(np.clip(points, 0, size - 1), x).reshape(1, 2, 1, out)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_upsample_nearest() -> None:
    x = numbers(1, 1, 2, 3, 4)
    found = only(layer("upsample", {"scalingFactor": [2, 3]}), x)
    assert np.array_equal(found, x.repeat(2, -2).repeat(3, -1))


@pytest.mark.parametrize("mode", range(4))
@pytest.mark.parametrize("out", [1, 3, 5, 9])
def test_resize_reads_where_the_specification_says(mode: int, out: int) -> None:
    x, size = numbers(1, 2, 1, 5), 5
    spacing = max(1, size - 1) / out
    start, end = {
        0: (0.0, size - 1.0),
        1: ((size - 1) / 2,) * 2 if out == 1 else (0.0, size - 1.0),
        2: (0.0, size - size / out),
        3: (0.5 * spacing, 0.5 * spacing + (out - 1) * spacing),
    }[mode]
    points = np.minimum(size - 1, np.linspace(start, end, out))
    made = layer("resizeBilinear", {"targetSize": [1, out], "mode.samplingMethod": mode})
    np.testing.assert_allclose(only(made, x), line(points, x).reshape(1, 2, 1, out), atol=1e-6)
