"""Outputs of a Keras description: their shapes as far as they follow, and what they end in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from phoneproof.capture.backends.keras_config import KerasConfig, Layer, nested
from phoneproof.capture.backends.keras_layers import FILTERED, RANK_2
from phoneproof.capture.heads import Leaf, OutputFacts
from phoneproof.core.tensors import TensorSpec

Shape = tuple[int, ...]
_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "hard_sigmoid": "HardSigmoid"}
_MAX_DEPTH = 32
"""Bounds the walk over a description that goes in circles."""
_PASSING = ("Reshape", "Flatten", "Dropout", "Permute", "SpatialDropout2D", "InputLayer")


def input_shape(config: KerasConfig) -> Shape:
    """The first input's declared shape, batch first; -1 where open; () where none is declared."""
    if not config.inputs:
        return ()
    layer = config.layers[config.inputs[0]]
    declared = layer.config.get("batch_input_shape") or layer.config.get("batch_shape")
    if isinstance(declared, list):
        return tuple(side if isinstance(side, int) else -1 for side in declared)
    inner = nested(layer)
    found = input_shape(inner) if inner is not None else ()
    return found or config.built_shape


def output_facts(config: KerasConfig, name: str) -> OutputFacts:
    """One output: the layer `name`."""
    known: dict[str, Shape] = {}
    for layer in config.layers.values():  # files list layers after what they read
        known[layer.name] = _shape(config, layer, known)
    spec = TensorSpec(name=name, shape=known[name], dtype="float32")
    return OutputFacts(spec=spec, leaves=tuple(_leaves(config, name)))


def _shape(config: KerasConfig, layer: Layer, known: Mapping[str, Shape]) -> Shape:
    inner = nested(layer)
    if inner is not None:
        return output_facts(inner, inner.outputs[0]).spec.shape
    if not layer.inbound:
        declared = input_shape(config)
        return _apply(layer, declared) if layer.kind != "InputLayer" else declared
    return _apply(layer, known.get(layer.inbound[0], ()))


def _apply(layer: Layer, before: Shape) -> Shape:
    """What follows from the configuration; spatial sizes behind windows stay open."""
    kind, config = layer.kind, layer.config
    if kind == "Dense":
        return (*(before[:-1] or (-1,)), _int(config.get("units")))
    if kind == "Flatten":
        return (-1, -1)
    if kind == "Reshape":
        target = config.get("target_shape")
        return (-1, *(_int(side) for side in target)) if isinstance(target, list) else before
    if kind in RANK_2:
        channels = before[-1] if before else -1
        return (-1, 1, 1, channels) if config.get("keepdims") else (-1, channels)
    if kind in FILTERED:
        return (-1, -1, -1, _int(config.get("filters")))
    if kind == "Concatenate":
        return (*before[:-1], -1)
    if kind.endswith("2D") and "Dropout" not in kind:
        return (-1, -1, -1, before[-1] if before else -1)
    return before


def _leaves(config: KerasConfig, name: str, depth: int = 0) -> Iterator[Leaf]:
    """What computes the output, behind layers that only move values."""
    layer = config.layers[name]
    inner = nested(layer)
    if inner is not None:
        yield from _leaves(inner, inner.outputs[0], depth + 1)
        return
    activation = _activation(layer)
    is_passing = layer.kind in _PASSING or (layer.kind == "Activation" and activation == "linear")
    if (is_passing or layer.kind == "Concatenate") and layer.inbound and depth < _MAX_DEPTH:
        for before in layer.inbound:
            yield from _leaves(config, before, depth + 1)
    else:
        yield Leaf(op=_operator(layer, activation))


def _activation(layer: Layer) -> str:
    if layer.kind == "Softmax":
        return "softmax"
    value = layer.config.get("activation", "linear")
    return value if isinstance(value, str) else "other"


def _operator(layer: Layer, activation: str) -> str:
    if activation in _OPERATORS:
        return _OPERATORS[activation]
    if activation != "linear":
        return activation
    if layer.kind == "Dense":
        return "Gemm"
    if layer.kind in FILTERED:
        return "Conv"
    return "GlobalAveragePool" if layer.kind == "GlobalAveragePooling2D" else layer.kind


def _int(value: object) -> int:
    return value if isinstance(value, int) else -1
