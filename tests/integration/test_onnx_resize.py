"""Resize nodes at positions PyTorch does not sample: the hub equals ONNX Runtime all the same."""

from __future__ import annotations

import warnings

import numpy as np
import onnx2torch
import onnxruntime
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnx.shape_inference import infer_shapes

from phoneproof.capture.backends.onnx_resize import axis_weights
from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx

SHAPE = (1, 3, 9, 7)
SIZES = {"sizes": [1, 4, 18, 14], "odd_sizes": [1, 4, 20, 15], "smaller": [1, 4, 4, 5]}
SCALES = {"scales": [1, 1, 2, 2], "odd_scales": [1, 1, 1.7, 2.3], "shrinking": [1, 1, 0.6, 0.45]}
POSITIONS = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
WAYS = [("linear", position, "floor") for position in POSITIONS]
WAYS += [("nearest", position, rounding) for position in POSITIONS for rounding in ROUNDINGS]


def _model(mode: str, position: str, rounding: str, target: str) -> ModelProto:
    """A convolution, the resize, a product: nothing that folds away."""
    weight = np.random.default_rng(3).normal(size=(4, 3, 1, 1)).astype(np.float32)
    constants = [numpy_helper.from_array(weight, "w")]
    if target in SIZES:
        constants.append(numpy_helper.from_array(np.array(SIZES[target], np.int64), "target"))
        inputs = ["a", "", "", "target"]
    else:
        constants.append(numpy_helper.from_array(np.array(SCALES[target], np.float32), "target"))
        inputs = ["a", "", "target"]
    resize = helper.make_node(
        "Resize",
        inputs,
        ["b"],
        name="resize",
        mode=mode,
        coordinate_transformation_mode=position,
        nearest_mode=rounding,
    )
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["image", "w"], ["a"], name="conv"),
            resize,
            helper.make_node("Mul", ["b", "b"], ["y"], name="square"),
        ],
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _expected(model: ModelProto, image: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {"image": image})[0])


def _image() -> np.ndarray:
    return np.random.default_rng(5).random(SHAPE, dtype=np.float32)


@pytest.mark.parametrize("target", ["odd_sizes", "odd_scales", "shrinking"])
@pytest.mark.parametrize(("mode", "position", "rounding"), WAYS)
def test_the_hub_resizes_as_onnx_runtime_does(
    mode: str, position: str, rounding: str, target: str
) -> None:
    model = _model(mode, position, rounding, target)
    expected = _expected(model, _image())
    result = hub_from_onnx(model, "image", SHAPE).module()(torch.from_numpy(_image()))
    value = result[0] if isinstance(result, (tuple, list)) else result
    assert value.shape == expected.shape
    assert np.abs(value.numpy() - expected).max() <= 2e-6 * np.abs(expected).max()


def test_onnx2torch_alone_samples_elsewhere() -> None:
    """The control: without the replacement the values are wrong, of the right size."""
    model = _model("linear", "asymmetric", "floor", "sizes")
    expected = _expected(model, _image())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = onnx2torch.convert(infer_shapes(model))
    value = module(torch.from_numpy(_image())).detach().numpy()
    assert value.shape == expected.shape
    assert np.abs(value - expected).max() > 0.05 * np.abs(expected).max()


@pytest.mark.parametrize("position", POSITIONS)
def test_weights_of_an_axis_sum_to_one(position: str) -> None:
    weights = axis_weights(7, 16, 16 / 7, mode="linear", position=position, rounding="floor")
    assert np.abs(weights.sum(1) - 1).max() < 1e-6
    constant = weights @ np.full((7, 1), 3.0, np.float32)
    assert np.abs(constant - 3).max() < 1e-6
