"""hub -> hub whose weights are integers or palettes, expanded where they are read.

What computes stays as it is: made from a float16 hub, the rest computes in float16. Only
converters that keep such weights small can use it: Core AI's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import torch
from torch.fx import GraphModule

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Precision
from phoneproof.core.errors import InvalidInput, OptimizationFailed, nearest
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Palette, Recipe, WeightOnly
from phoneproof.formats.inventory import dominant
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.optimize.backends.hub_fold import fold_batch_norms
from phoneproof.optimize.backends.hub_graph import exported, graph_of, output_nodes
from phoneproof.optimize.backends.hub_weights import (
    BLOCK,
    GROUP,
    Weighted,
    coded,
    weighted,
    write_code,
)
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.runtimes.backends.hub import HubTensors, load_hub, save_hub

FLOATS: Final[tuple[Precision, ...]] = ("float32", "float16")
_INTEGERS: Final[dict[int, Precision]] = {8: "weight_only_wi8", 4: "weight_only_wi4"}
_PALETTES: Final[dict[int, Precision]] = {6: "palette6", 4: "palette4"}


class HubQuantized:
    """Weights in 8, 6 or 4 bits, but for the layers that the recipe leaves in float."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the hub. Layers are nodes, as ``weighted`` finds them in the folded program.

        Raises:
            InvalidInput: not a hub program of floats.
            OptimizationFailed: another recipe, a layer that is not there, or weights that would
                not get smaller.
        """
        recipe = _coding(request.recipe)
        module, tensors = opened(request)
        found = weighted(module)
        require_layers(found, recipe.float_layers)
        numbers: list[tuple[Precision, int]] = []
        for number, one in enumerate(found):
            wide = any(layer in recipe.float_layers for layer in one.layers)
            code = None if wide else coded(one, recipe)
            if code is not None:
                write_code(module, one, code, number)
            numbers.append((_kind(recipe) if code else request.binding.precision, one.values.size))
        count = sum(kind == _kind(recipe) for kind, _ in numbers)
        if not count:
            raise OptimizationFailed(
                "no weights of the model get smaller by this",
                found=f"{len(found)} tensors of weights, {len(recipe.float_layers)} left in float",
            )
        options = (
            ("coded", str(count)),
            ("float_layers", canonical_bytes(recipe.float_layers).decode()),
            ("weights", _words(recipe)),
        )
        return write_hub(request, module, tensors, dominant(numbers) or "mixed", options)


def opened(request: OptimizeRequest) -> tuple[GraphModule, HubTensors]:
    """A float hub as a graph without batch normalisations.

    Raises:
        InvalidInput: not a hub program, or one whose weights are small already.
    """
    if request.binding.precision not in FLOATS:
        raise InvalidInput(
            f"{request.artifact.name} is compressed already and cannot be compressed again",
            found=f"its precision is {request.binding.precision}",
            next_step="start from the float32 or the float16 program",
        )
    program, tensors = load_hub(request.artifact)
    module = graph_of(program)
    fold_batch_norms(module)
    return module, tensors


def require_layers(found: Iterable[Weighted], names: Iterable[str]) -> None:
    """Refuse layers that the program does not have.

    Raises:
        OptimizationFailed: names the first one, and the nearest that there is.
    """
    known = {layer for one in found for layer in one.layers}
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise OptimizationFailed(
                "the hub program has no such layer with weights",
                found=name,
                next_step=f"did you mean {near!r}?" if near else "",
            )


def write_hub(
    request: OptimizeRequest,
    module: GraphModule,
    tensors: HubTensors,
    precision: Precision,
    options: tuple[tuple[str, str], ...],
) -> WrittenModel:
    """Export a changed graph and write it with contract and binding."""
    result = exported(module, output_nodes(module), tensors.inputs[0].shape)
    binding = msgspec.structs.replace(request.binding, artifact=None, precision=precision)
    documents = embedding(Embedded(contract=request.contract, binding=binding))
    save_hub(result, request.output, tensors.inputs, tensors.outputs, documents)
    tools = (("torch", str(torch.__version__)),)
    return WrittenModel(binding=binding, options=options, tools=tools)


def _coding(recipe: Recipe) -> WeightOnly | Palette:
    if not isinstance(recipe, WeightOnly | Palette):
        raise OptimizationFailed(
            "this optimizer writes small weights alone",
            found=repr(recipe),
            next_step="ask for weight_only_wi8, weight_only_wi4, palette6 or palette4",
        )
    return recipe


def _kind(recipe: WeightOnly | Palette) -> Precision:
    return (_PALETTES if isinstance(recipe, Palette) else _INTEGERS)[recipe.bits]


def _words(recipe: WeightOnly | Palette) -> str:
    if isinstance(recipe, Palette):
        return f"palettes of {1 << recipe.bits} by groups of {GROUP} channels"
    blocks = f"int4 by blocks of {BLOCK} input channels"
    return blocks if recipe.bits == 4 else "int8 by channel"
