"""What the scores of a third-party classifier are: probabilities already, or logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from phoneproof.core.binding import Activation, Binding

if TYPE_CHECKING:
    from phoneproof.runtimes.backends.coreml_network.layer import Layer

_PROBABILITIES: Final = frozenset({"softmax", "softmaxND"})
_BETWEEN_0_AND_1: Final = frozenset({"sigmoid", "sigmoidHard"})
"""Kinds of the layer ``activation`` that give the probability of each class alone."""
_LINEAR: Final = frozenset({"batchedMatmul", "bias", "convolution", "innerProduct"})
"""What a classifier ends with before its softmax or sigmoid: numbers without bounds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """activation: what is left to apply to the file's scores. note: why, where the file itself
    does not say so; empty where its last layers give probabilities."""

    activation: Activation
    note: str = ""


def scores_of(computers: tuple[Layer, ...], like: Binding | None) -> Scores:
    """What is left to apply to scores that `computers` give.

    Args:
        computers: the layers behind what only moves numbers.
        like: of the file it is compared with, whose activation is the best guess at this one's.
    """
    if computers and all(map(_gives_probabilities, computers)):
        return Scores(activation="none")
    kinds = ", ".join(sorted({_kind(layer) for layer in computers})) or "no layer"
    twin = _activation_of(like)
    is_linear = bool(computers) and all(layer.kind in _LINEAR for layer in computers)
    # Linear layers give no probabilities, so that a twin that does has its softmax inside.
    if twin is None or (is_linear and twin == "none"):
        return Scores(
            activation="softmax",
            note=f"its scores end with {kinds} and are taken for logits: softmax is applied",
        )
    applied = "nothing" if twin == "none" else twin
    return Scores(
        activation=twin,
        note=f"its scores end with {kinds}: {applied} is applied, as to the other file's",
    )


def _gives_probabilities(layer: Layer) -> bool:
    return layer.kind in _PROBABILITIES or _function(layer) in _BETWEEN_0_AND_1


def _kind(layer: Layer) -> str:
    return _function(layer) or layer.kind


def _function(layer: Layer) -> str | None:
    """Which function a layer ``activation`` applies."""
    if layer.kind != "activation":
        return None
    return str(layer.params.WhichOneof("NonlinearityType"))


def _activation_of(like: Binding | None) -> Activation | None:
    outputs = () if like is None else like.outputs
    return next((output.activation for output in outputs if output.role == "scores"), None)
