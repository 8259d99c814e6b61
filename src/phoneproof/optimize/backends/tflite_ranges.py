"""The numbers that a static TFLite recipe stands on: ranges of activations, and ranges of weights
that leave room for the bias."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.formats.tflite import WEIGHTS_AT, TfliteGraph, TfliteOp
from phoneproof.formats.tflite_values import constant_values
from phoneproof.optimize.backends.tflite_plan import Plan, float_activations, has_weights
from phoneproof.optimize.input_bounds import input_bounds
from phoneproof.optimize.read_bounds import Bounds, bound_of

Statistics = dict[str, dict[str, NDArray[np.float64]]]
"""Tensor -> min and max, as ai-edge-quantizer takes them: 0-d for activations."""

_LARGEST_BIAS: Final = float(1 << 30)
"""Half of int32, so that the accumulator has room for the products."""
_CHANNEL_AXIS: Final = {"DEPTHWISE_CONV_2D": 3}
"""Axis of the output channels in the weights; 0 for all others."""


def with_input_bounds(
    bounds: Bounds, graph: TfliteGraph, contract: Contract, binding: Binding
) -> Bounds:
    """The ranges with the image's own (`input_bounds`) in place of what was measured of it; as
    they are where the file takes pixels."""
    if binding.image.normalise_in_file:
        return bounds
    return {**bounds, graph.tensors[graph.inputs[0]].name: input_bounds(contract)}


def statistics(
    graph: TfliteGraph, plan: Plan, bounds: Bounds, border: tuple[int, ...]
) -> Statistics:
    """What ai-edge-quantizer shall take for calibration.

    border: inputs and outputs that are wanted as integers, whatever computes them.

    Raises:
        OptimizationFailed: a tensor of the plan has no range (named, with a near name).
    """
    found: Statistics = {}
    indices = [i for position, _ in plan.ops for i in float_activations(graph, graph.ops[position])]
    indices += [index for index in border if graph.tensors[index].dtype == "float32"]
    for name in dict.fromkeys(graph.tensors[index].name for index in indices):
        low, high = bound_of(name, bounds)
        found[name] = {"min": np.array(low), "max": np.array(high)}
    found.update(_weight_statistics(graph, plan, bounds))
    return found


def _weight_statistics(graph: TfliteGraph, plan: Plan, bounds: Bounds) -> Statistics:
    """Ranges by channel of weights whose bias would overflow int32, widened until it fits.

    A bias is stored in steps of (input scale * weight scale). A channel whose weights are all but
    zero has a tiny scale, the bias then needs more than 32 bits, is clipped, and the channel's
    constant is lost. The TensorFlow converter widens the weights' scale in the same way
    (tensorflow/lite/tools/optimize/quantization_utils.cc, AdjustWeightsForBiasScale).
    """
    widest: dict[int, NDArray[np.float64]] = {}
    for position, arithmetic in plan.ops:
        op = graph.ops[position]
        if not has_weights(graph, op) or op.name == "BATCH_MATMUL":
            continue
        needed = _needed_by_bias(graph, op, bounds, 32767.0 if arithmetic == "int16" else 255.0)
        if needed is not None:
            index = op.inputs[WEIGHTS_AT[op.name]]
            widest[index] = np.maximum(widest.get(index, needed), needed)
    return {
        graph.tensors[index].name: {"min": -limit, "max": limit} for index, limit in widest.items()
    }


def _needed_by_bias(
    graph: TfliteGraph, op: TfliteOp, bounds: Bounds, steps: float
) -> NDArray[np.float64] | None:
    """Largest magnitude by channel (kept dimensions) the weights' range must have; null where
    the weights' own is enough."""
    at, bias_at = (2, 3) if op.name == "TRANSPOSE_CONV" else (0, 2)
    if bias_at >= len(op.inputs) or op.inputs[bias_at] < 0:
        return None
    bias_tensor = graph.tensors[op.inputs[bias_at]]
    if not bias_tensor.data.size:
        return None
    weights = constant_values(graph.tensors[op.inputs[WEIGHTS_AT[op.name]]])
    axis = _CHANNEL_AXIS.get(op.name, 0)
    others = tuple(side for side in range(weights.ndim) if side != axis)
    own = np.abs(weights).max(axis=others, keepdims=True).astype(np.float64)
    low, high = bound_of(graph.tensors[op.inputs[at]].name, bounds)
    span = max(abs(low), abs(high)) if steps > 255 else max(high, 0.0) - min(low, 0.0)
    bias = np.abs(constant_values(bias_tensor).astype(np.float64)).reshape(-1)
    if bias.size != own.size:
        return None
    bias = bias.reshape(own.shape)
    needed = bias * 127.0 / (max(span, 1e-9) / steps * _LARGEST_BIAS)
    return np.maximum(own, needed) if (needed > own).any() else None
