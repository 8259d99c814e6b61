"""Core ML weights as integers or palettes, and int8 activations. What is not integer stays as it is
in the package: made from a float16 package, the rest computes in float16."""

from __future__ import annotations

from typing import Final

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import InvalidInput, OptimizationFailed, Unsupported
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Io, Palette, Recipe, Static, WeightOnly
from phoneproof.optimize.backends.coreml_activations import quantize_activations
from phoneproof.optimize.backends.coreml_program import OpenProgram, open_program, write_program
from phoneproof.optimize.backends.coreml_weights import BLOCK, GROUP, Coding, compress
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.input_bounds import input_bounds
from phoneproof.optimize.read_bounds import read_bounds

_FLOATS: Final = ("float32", "float16", "mixed")


class CoreMlQuantized:
    """Weights in 8, 6 or 4 bits; activations in 8 bits too where the recipe is static."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an mlprogram of float weights; ranges of another file.
            Unsupported: an older system than the recipe needs, integer borders, int16 layers.
            OptimizationFailed: a layer that is not there, an activation without a range, weights
                that would not get smaller, or the library broke.
        """
        recipe = _coding(request.recipe)
        opened = open_program(request.artifact)
        require_float(opened)
        ios = _needed(recipe)
        opened.require_ios(ios, _words(recipe))
        opened.require_layers(recipe.float_layers)
        options = [
            ("float_layers", canonical_bytes(recipe.float_layers).decode()),
            ("minimum_ios", str(ios)),
            ("weights", _weights(recipe, opened)),
        ]
        if isinstance(recipe, Static):
            options += _static(opened, recipe, request)
        coded = compress(opened, recipe, recipe.float_layers)
        options.append(("coded", str(coded)))
        return write_program(opened, request, options)


def require_float(opened: OpenProgram) -> None:
    """Refuse a package whose weights are coded already.

    Raises:
        InvalidInput: names its precision.
    """
    coded = [op.op_type for op in opened.block.operations if op.op_type.startswith("constexpr_")]
    if opened.precision not in _FLOATS or coded:
        raise InvalidInput(
            f"{opened.file.name} is compressed already and cannot be compressed again",
            found=f"its precision is {opened.precision}" + (f"; {coded[0]}" if coded else ""),
            next_step="start from the float32 or the float16 package",
        )


def _coding(recipe: Recipe) -> Coding:
    if isinstance(recipe, WeightOnly | Palette):
        return recipe
    if not isinstance(recipe, Static):
        raise OptimizationFailed(
            "this optimizer writes integers and palettes alone",
            found=repr(recipe),
            next_step="Core ML has no integers whose ranges are found while the model runs",
        )
    if recipe.io != Io() or recipe.int16_layers:
        raise Unsupported(
            "Core ML packages keep float inputs and outputs, and have no int16 layers",
            found=f"input {recipe.io.input}, output {recipe.io.output}, "
            f"{len(recipe.int16_layers)} int16 layers",
            next_step="leave io and int16 out for Core ML",
        )
    return recipe


def _needed(recipe: Coding) -> int:
    """The first iOS that reads what a recipe writes."""
    if isinstance(recipe, Static):
        return 17
    return 18 if isinstance(recipe, WeightOnly) and recipe.bits == 4 else 16


def _words(recipe: Coding) -> str:
    if isinstance(recipe, Static):
        return "int8 activations"
    return f"{recipe.bits}-bit {'palettes' if isinstance(recipe, Palette) else 'weights'}"


def _weights(recipe: Coding, opened: OpenProgram) -> str:
    if isinstance(recipe, Palette):
        by = f"groups of {GROUP} channels" if opened.reads(18) else "layer"
        return f"palettes of {1 << recipe.bits} by {by}"
    if isinstance(recipe, WeightOnly) and recipe.bits == 4:
        return f"int4 by blocks of {BLOCK} input channels"
    return "int8 by channel"


def _static(opened: OpenProgram, recipe: Static, request: OptimizeRequest) -> list[tuple[str, str]]:
    bounds = dict(read_bounds(request.ranges, request.artifact, recipe.ranges))
    image = request.binding.image
    if not image.normalise_in_file:
        bounds[image.tensor] = input_bounds(request.contract)
    layers = quantize_activations(opened, recipe.float_layers, bounds)
    return [
        ("activations", "int8"),
        ("integer_layers", str(len(layers))),
        ("ranges", recipe.ranges),
    ]
