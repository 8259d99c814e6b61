"""Layers of Core ML's older networks against plain loops and the examples of their
specification."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.runtimes.backends.coreml_network.operators import LAYERS
from tests.integration.coreml_networks import Array, borders, layer, model, numbers, only, run

ALPHA, BETA = 0.5, 0.25
ACTIVATIONS: dict[str, Callable[[Array], NDArray[Any]]] = {
    "linear": lambda x: ALPHA * x + BETA,
    "ReLU": lambda x: np.maximum(x, 0),
    "leakyReLU": lambda x: np.where(x >= 0, x, ALPHA * x),
    "thresholdedReLU": lambda x: np.where(x >= ALPHA, x, 0),
    "tanh": np.tanh,
    "scaledTanh": lambda x: ALPHA * np.tanh(BETA * x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sigmoidHard": lambda x: np.minimum(np.maximum(ALPHA * x + BETA, 0), 1),
    "ELU": lambda x: np.where(x >= 0, x, ALPHA * (np.exp(x) - 1)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.log(1 + np.exp(x)),
}


@pytest.mark.parametrize("kind", list(ACTIVATIONS))
def test_activations(kind: str) -> None:
    known = [field.name for field in getattr(layer("activation").params, kind).DESCRIPTOR.fields]
    values = {"alpha": ALPHA, "beta": BETA}
    fields: dict[str, object] = {kind: None, **{f"{kind}.{n}": values[n] for n in known}}
    x = numbers(2, 3, 4, 5)
    np.testing.assert_allclose(
        only(layer("activation", fields), x), ACTIVATIONS[kind](x), atol=1e-6
    )


def test_activations_by_channel() -> None:
    x, alpha, beta = numbers(1, 3, 4, 5), numbers(3, seed=4), numbers(3, seed=5)
    a, b = alpha[:, None, None], beta[:, None, None]
    found = only(layer("activation", {"PReLU.alpha": alpha}), x)
    np.testing.assert_allclose(found, np.where(x >= 0, x, a * x), atol=1e-6)
    soft = {"parametricSoftplus.alpha": alpha, "parametricSoftplus.beta": beta}
    found = only(layer("activation", dict(soft)), x)
    np.testing.assert_allclose(found, a * np.log(1 + np.exp(b * x)), atol=1e-6)


def positive(*shape: int) -> Array:
    return (np.abs(numbers(*shape)) + 0.1).astype(np.float32)


UNARY: tuple[Callable[[Array], NDArray[Any]], ...] = (
    np.sqrt,
    lambda x: 1 / np.sqrt(x + 1e-6),
    lambda x: 1 / (x + 1e-6),
    lambda x: x**1.5,
    np.exp,
    np.log,
    np.abs,
    lambda x: np.maximum(1.5, x),
)


@pytest.mark.parametrize("kind", range(8))
def test_unary_functions(kind: int) -> None:
    x = positive(2, 3)
    for scale, shift in ((0.0, 0.0), (2.0, 0.5)):
        fields: dict[str, object] = {"type": kind, "alpha": 1.5, "scale": scale, "shift": shift}
        expected = UNARY[kind](((scale or 1) * x + shift).astype(np.float32))
        np.testing.assert_allclose(only(layer("unary", fields), x), expected, rtol=1e-5)


def test_arithmetic_of_blobs_broadcasts() -> None:
    a, b, c = numbers(2, 3, 4, 5), numbers(2, 3, 1, 1, seed=2), numbers(2, 1, 4, 5, seed=3)
    cases = {
        "add": a + b + c,
        "multiply": a * b * c,
        "max": np.maximum(np.maximum(a, b), c),
        "min": np.minimum(np.minimum(a, b), c),
        "average": (a + b + c) / 3,
    }
    for kind, expected in cases.items():
        np.testing.assert_allclose(only(layer(kind, inputs=3), a, b, c), expected, atol=1e-6)
    np.testing.assert_allclose(only(layer("add", {"alpha": 2.5}), a), a + 2.5)
    np.testing.assert_allclose(only(layer("multiply", {"alpha": 2.5}), a), a * 2.5)
    for kind, function in (
        ("subtractBroadcastable", np.subtract),
        ("divideBroadcastable", np.divide),
    ):
        np.testing.assert_allclose(only(layer(kind, inputs=2), a, b), function(a, b), rtol=1e-5)


def test_dot_and_cosine() -> None:
    a, b = numbers(1, 4, 1, 1), numbers(1, 4, 1, 1, seed=2)
    plain = float((a * b).sum())
    assert np.isclose(only(layer("dot", inputs=2), a, b).item(), plain)
    cosine = plain / float(np.linalg.norm(a) * np.linalg.norm(b))
    assert np.isclose(only(layer("dot", {"cosineSimilarity": True}, inputs=2), a, b).item(), cosine)


@pytest.mark.parametrize("shape", [(1,), (3,), (1, 4, 5), (3, 4, 5)])
def test_scale_and_bias(shape: tuple[int, ...]) -> None:
    x, factor, shift = numbers(2, 3, 4, 5), numbers(*shape, seed=2), numbers(*shape, seed=3)
    wide = shape if len(shape) == 3 else (*shape, 1, 1)
    fields: dict[str, object] = {
        "shapeScale": shape,
        "scale": factor,
        "hasBias": True,
        "shapeBias": shape,
        "bias": shift,
    }
    expected = x * factor.reshape(wide) + shift.reshape(wide)
    np.testing.assert_allclose(only(layer("scale", fields), x), expected, atol=1e-6)
    found = only(layer("bias", {"shape": shape, "bias": shift}), x)
    np.testing.assert_allclose(found, x + shift.reshape(wide), atol=1e-6)


@pytest.mark.parametrize("how", ["stored", "image", "batch"])
def test_batchnorm(how: str) -> None:
    x = (numbers(2, 3, 4, 5) * 2 + 1).astype(np.float32)
    values = {
        name: np.abs(numbers(3, seed=s)) + 0.5
        for s, name in enumerate(("gamma", "beta", "mean", "variance"), 2)
    }
    fields: dict[str, object] = {"channels": 3, "epsilon": 1e-3, **values}
    mean, variance = (values[k].reshape(1, 3, 1, 1) for k in ("mean", "variance"))
    if how != "stored":
        fields |= {"computeMeanVar": True, "instanceNormalization": how == "image"}
        axes = (2, 3) if how == "image" else (0, 2, 3)
        mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    gamma, beta = (values[k].reshape(1, 3, 1, 1) for k in ("gamma", "beta"))
    expected = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
    np.testing.assert_allclose(only(layer("batchnorm", fields), x), expected, atol=1e-5)


def test_normalisations() -> None:
    x = numbers(2, 5, 4, 3)
    root = np.sqrt(np.square(x).sum((1, 2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(only(layer("l2normalize"), x), x / root, atol=1e-6)
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(only(layer("softmax"), x), e / e.sum(1, keepdims=True), atol=1e-6)
    for across in (False, True):
        axes = (1, 2, 3) if across else (2, 3)
        centred = x - x.mean(axes, keepdims=True)
        made = layer("mvn", {"acrossChannels": across})
        np.testing.assert_allclose(only(made, x), centred, atol=1e-6)
        made = layer("mvn", {"acrossChannels": across, "normalizeVariance": True})
        np.testing.assert_allclose(
            only(made, x), centred / (x.std(axes, keepdims=True) + 1e-6), atol=1e-5
        )
    squares = np.pad(np.square(x), ((0, 0), (1, 1), (0, 0), (0, 0)))
    near = sum(squares[:, shift : shift + 5] for shift in range(3))
    made = layer("lrn", {"alpha": 0.3, "beta": 0.75, "localSize": 3, "k": 2.0})
    np.testing.assert_allclose(only(made, x), x / (2 + 0.3 / 3 * near) ** 0.75, atol=1e-5)


@pytest.mark.parametrize("rank", range(1, 6))
def test_inner_product_takes_every_rank(rank: int) -> None:
    matrix, bias = numbers(4, 6), numbers(4, seed=2)
    fields: dict[str, object] = {
        "inputChannels": 6,
        "outputChannels": 4,
        "weights": matrix,
        "hasBias": True,
        "bias": bias,
    }
    shape = {1: (6,), 2: (2, 6), 3: (2, 3, 6), 4: (2, 3, 2, 1), 5: (2, 1, 6, 1, 1)}[rank]
    x = numbers(*shape, seed=3)
    flat = x.reshape(*shape[: max(0, rank - (3 if rank > 3 else 1))], 6)
    expected = flat @ matrix.T + bias
    found = only(layer("innerProduct", fields), x)
    assert found.shape == (*expected.shape, 1, 1) if rank > 3 else expected.shape
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)


def test_flatten_and_reshape_in_both_orders() -> None:
    x = numbers(1, 1, 2, 3, 4)
    last = x.transpose(0, 1, 3, 4, 2)
    assert np.array_equal(only(layer("flatten"), x), x.reshape(1, 1, 24, 1, 1))
    assert np.array_equal(only(layer("flatten", {"mode": 1}), x), last.reshape(1, 1, 24, 1, 1))
    found = only(layer("reshape", {"targetShape": [4, 3, 2]}), x)
    assert np.array_equal(found, x.reshape(1, 1, 4, 3, 2))
    found = only(layer("reshape", {"targetShape": [4, 3, 2], "mode": 1}), x)
    assert np.array_equal(found, last.reshape(1, 1, 3, 2, 4).transpose(0, 1, 4, 2, 3))
    found = only(layer("reshape", {"targetShape": [2, 4, 3, 1]}), x)
    assert found.shape == (2, 1, 4, 3, 1)


@pytest.mark.parametrize(
    ("order", "axes"),
    [
        ((0, 3, 1, 2), (0, 1, 4, 2, 3)),
        ((3, 1, 2, 0), (4, 1, 2, 3, 0)),
        ((0, 3, 2, 1), (0, 1, 4, 3, 2)),
    ],
)
def test_permute_as_in_its_examples(order: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = numbers(2, 3, 4, 5, 6)
    assert np.array_equal(only(layer("permute", {"axis": order}), x), x.transpose(axes))


def test_blocks_and_channels_as_in_their_example() -> None:
    x = np.arange(1, 17, dtype=np.float32).reshape(1, 8, 1, 2)
    space = [[[1, 5, 2, 6], [9, 13, 10, 14]], [[3, 7, 4, 8], [11, 15, 12, 16]]]
    shuffled = [[[1, 3, 2, 4], [5, 7, 6, 8]], [[9, 11, 10, 12], [13, 15, 14, 16]]]
    found = only(layer("reorganizeData", {"mode": 1, "blockSize": 2}), x)
    assert found[0].tolist() == space
    assert np.array_equal(only(layer("reorganizeData", {"mode": 0, "blockSize": 2}), found), x)
    found = only(layer("reorganizeData", {"mode": 2, "blockSize": 2}), x)
    assert found[0].tolist() == shuffled


def test_padding_as_in_its_examples() -> None:
    x = np.arange(1, 13, dtype=np.float32).reshape(1, 1, 3, 4)
    for kind, first in (
        ("constant", [0, 0, 0, 0, 0, 0]),
        ("reflection", [11, 10, 9, 10, 11, 12]),
        ("replication", [1, 1, 1, 2, 3, 4]),
    ):
        made = layer("padding", {kind: None}, lambda p: borders(p.paddingAmounts, 2, 0, 2, 0))
        found = only(made, x)
        assert found.shape == (1, 1, 5, 6)
        assert found[0, 0, 0].tolist() == first
        assert np.array_equal(found[0, 0, 2:, 2:], x[0, 0])


def test_pieces() -> None:
    x, y = numbers(1, 1, 4, 3, 2), numbers(1, 1, 2, 3, 2, seed=2)
    assert np.array_equal(only(layer("concat", inputs=2), x, y), np.concatenate((x, y), 2))
    halves = run(layer("split", {"nOutputs": 2}, outputs=2), x)
    assert [h.shape[2] for h in halves] == [2, 2]
    assert np.array_equal(np.concatenate(halves, 2), x)
    parts = run(layer("splitND", {"axis": 2, "splitSizes": [1, 3]}, outputs=2), x)
    assert np.array_equal(parts[1], x[:, :, 1:])
    for axis, taken in enumerate((x[:, :, 1:3:2], x[..., 1:2, :], x[..., 1:-1])):
        fields: dict[str, object] = {"axis": axis, "startIndex": 1, "endIndex": (3, 2, -1)[axis]}
        fields["stride"] = 2 if axis == 0 else 1
        if taken.size:
            assert np.array_equal(only(layer("slice", fields), x), taken)
        else:
            with pytest.raises(InvalidInput, match="damaged"):
                only(layer("slice", fields), x)
    made = layer("crop", fill=lambda p: borders(p.cropAmounts, 1, 0, 0, 1))
    assert np.array_equal(only(made, x), x[..., 1:, :-1])
    window = layer("crop", {"offset": [1, 0]}, inputs=2)
    assert np.array_equal(only(window, x, np.zeros((1, 1, 1, 2, 1), np.float32)), x[..., 1:3, :1])
    with pytest.raises(InvalidInput, match="damaged"):
        only(window, x, np.zeros((1, 1, 1, 3, 2), np.float32))


def test_newer_shapes() -> None:
    x = numbers(2, 3, 4)
    assert np.array_equal(only(layer("transpose", {"axes": [2, 0, 1]}), x), x.transpose(2, 0, 1))
    assert only(layer("reshapeStatic", {"targetShape": [4, -1]}), x).shape == (4, 6)
    assert only(layer("expandDims", {"axes": [0, -1]}), x).shape == (1, 2, 3, 4, 1)
    assert only(layer("squeeze", {"axes": [1]}), numbers(2, 1, 3)).shape == (2, 3)
    assert only(layer("rankPreservingReshape", {"targetShape": [0, 2, -1]}), x).shape == (2, 2, 6)
    assert only(layer("flattenTo2D", {"axis": -1}), x).shape == (6, 4)
    fields: dict[str, object] = {
        "beginIds": [1, -1, 0],
        "endIds": [2, 0, 3],
        "strides": [1, 1, 2],
        "beginMasks": [False, False, True],
        "endMasks": [False, False, True],
        "squeezeMasks": [True, True, False],
    }
    assert np.array_equal(only(layer("sliceStatic", fields), x), x[1, -1, ::2])
    made = layer("concatND", {"axis": 1}, inputs=2)
    assert np.array_equal(only(made, x, x), np.concatenate((x, x), 1))
    data = numbers(2, 3, seed=9)
    made = layer("loadConstantND", {"shape": [2, 3], "data": data}, inputs=0)
    assert np.array_equal(only(made), data)


def test_reductions() -> None:
    x = positive(1, 2, 3, 4, 5)
    axes = ((2, 3, 4), (3, 4), (2,), (3,), (4,))
    for number, axis in enumerate(axes):
        expected = (
            x.sum(axis, keepdims=True),
            x.mean(axis, keepdims=True),
            x.prod(axis, keepdims=True),
            np.log(x + 1e-6).sum(axis, keepdims=True),
            np.square(x).sum(axis, keepdims=True),
            x.sum(axis, keepdims=True),
            np.sqrt(np.square(x).sum(axis, keepdims=True)),
            x.max(axis, keepdims=True),
            x.min(axis, keepdims=True),
        )
        for mode, wanted in enumerate(expected):
            found = only(layer("reduce", {"mode": mode, "axis": number}), x)
            np.testing.assert_allclose(found, wanted, rtol=1e-4)
    found = only(layer("reduce", {"mode": 9, "axis": 2}), x)
    assert np.array_equal(found, x.argmax(2, keepdims=True).astype(np.float32))
    made = layer("reduceSum", {"axes": [1, -1], "keepDims": False})
    np.testing.assert_allclose(only(made, x), x.sum((1, -1)), rtol=1e-5)
    made = layer("reduceMax", {"reduceAll": True, "keepDims": False})
    assert only(made, x) == x.max()


def test_layers_that_are_not_interpreted_say_how() -> None:
    cases = (
        layer("convolution", {"outputChannels": 2, "kernelChannels": 2}, inputs=2),
        layer(
            "innerProduct", {"inputChannels": 2, "outputChannels": 2, "int8DynamicQuantize": True}
        ),
        layer("concatND", {"interleave": True}, inputs=2),
        layer("activation"),
        layer("upsample", {"mode": 7}),
    )
    for case in cases:
        with pytest.raises(Unsupported) as caught:
            LAYERS[case.kind](case)
        assert case.kind in caught.value.found
        assert "'it' of test.mlmodel" in caught.value.failed


ABSURD = 1 << 40


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("convolution", {"outputChannels": ABSURD, "kernelChannels": ABSURD}),
        ("convolution", {"outputChannels": 2, "kernelChannels": 1, "kernelSize": [ABSURD, 3]}),
        ("convolution", {"outputChannels": 3, "kernelChannels": 1, "nGroups": 2}),
        ("innerProduct", {"inputChannels": ABSURD, "outputChannels": ABSURD}),
        ("upsample", {"scalingFactor": [1 << 20, 1 << 20]}),
        ("upsample", {"scalingFactor": [1, 2, 3]}),
        ("resizeBilinear", {"targetSize": [1 << 16, 1 << 16]}),
        ("pooling", {"kernelSize": [0, 3], "valid": None}),
        ("pooling", {"kernelSize": [9, 9], "valid": None}),
        ("pooling", {"includeLastPixel.paddingAmounts": [ABSURD, 0]}),
        ("loadConstant", {"shape": [ABSURD, ABSURD, 1]}),
        ("sequenceRepeat", {"nRepetitions": ABSURD}),
        ("batchnorm", {"channels": ABSURD}),
        ("broadcastToStatic", {"targetShape": [1 << 30, 1, 3, 4, 4]}),
        ("permute", {"axis": [0, 0, 1, 2]}),
        ("reshape", {"targetShape": [-5, 1, 2]}),
        ("reshapeStatic", {"targetShape": [7, 11]}),
        ("lrn", {"localSize": 0}),
    ],
    ids=str,
)
def test_absurd_sizes_are_refused_before_memory_is_asked_for(
    kind: str, fields: dict[str, object]
) -> None:
    made = layer(kind, fields)
    with pytest.raises((InvalidInput, RuntimeError)) as caught:
        only(made, numbers(1, 1, 3, 4, 4))
    assert isinstance(caught.value, InvalidInput) or "memory" not in str(caught.value)


def test_every_layer_of_the_table_is_one_of_the_specification() -> None:
    message = model().neuralNetwork.layers.add()
    known = {field.name for field in message.DESCRIPTOR.oneofs_by_name["layer"].fields}
    assert set(LAYERS) <= known
