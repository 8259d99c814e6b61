"""Which layers stay float32 where the others become float16."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Float16, Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedLayer:
    """An operator with weights: the name of its output, and the float32 bytes of its weights."""

    name: str
    bytes: int


def float32_share(recipe: Recipe) -> float:
    """What a float16 recipe lets stay float32, for formats that only store float16.

    Raises:
        OptimizationFailed: another recipe, or one that names layers, as Core ML's do.
    """
    if not isinstance(recipe, Float16):
        raise OptimizationFailed("this optimizer writes float16 alone", found=repr(recipe))
    if recipe.float_layers:
        raise OptimizationFailed(
            "the layers that stay float32 are chosen by size here",
            found=f"float_layers {', '.join(recipe.float_layers)}",
            next_step="give a float32_share; named layers are for Core ML",
        )
    return recipe.float32_share


def kept_float32(layers: Sequence[WeightedLayer], share: float) -> tuple[str, ...]:
    """Output names of the layers that keep float32, in the file's order.

    Rounding costs every layer the same accuracy, but float32 costs bytes by the size of its
    weights. So the layer that first meets the picture comes first (every later one inherits its
    error, and inputs of 0..255 make it the largest), then the smallest layers, as many as stay
    under `share` of the weight bytes that result.
    """
    total = sum(layer.bytes for layer in layers)
    kept: set[str] = set()
    size = 0
    for layer in (*layers[:1], *sorted(layers[1:], key=lambda layer: layer.bytes)):
        grown = size + layer.bytes
        if grown > share * (grown + (total - grown) / 2):
            break
        kept.add(layer.name)
        size = grown
    return tuple(layer.name for layer in layers if layer.name in kept)
