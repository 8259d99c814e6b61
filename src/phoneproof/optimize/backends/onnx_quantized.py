"""ONNX float32 -> integers: static (QDQ), dynamic range, weights alone. Inputs and outputs stay
float32."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import onnx

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import OptimizationFailed, Unsupported
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Dynamic, Io, Static, WeightOnly
from phoneproof.formats.onnx_file import opset
from phoneproof.formats.onnx_raise import with_opset
from phoneproof.optimize.backends import onnx_static
from phoneproof.optimize.backends.onnx_source import (
    open_float32,
    own_weights,
    require_layers,
    write_candidate,
)
from phoneproof.optimize.backends.onnx_weights import expand_before_use, multiply_integers
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.read_bounds import read_bounds

_OPSET_BY_CHANNEL: Final = 13
"""QuantizeLinear and DequantizeLinear by channel."""
_OPSET_INT16: Final = 21
"""The same with 16 bits."""

Options = dict[str, str]


class OnnxQuantized:
    """A quarter of the size, by one of three recipes."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an ONNX file of float32 weights.
            Unsupported: an integer border, 4-bit weights, or a file of 2 GB and more.
            OptimizationFailed: a layer that is not there, an activation without a range, or the
                library broke.
        """
        recipe = request.recipe
        model = open_float32(request.artifact)
        before = opset(model)
        if isinstance(recipe, Static):
            model, options = _static(model, recipe, request)
        elif isinstance(recipe, Dynamic | WeightOnly):
            model, options = _weights(model, recipe)
        else:
            raise OptimizationFailed("this optimizer writes integers alone", found=repr(recipe))
        options["opset"] = str(opset(model))
        options["opset_before"] = str(before)
        binding = write_candidate(model, request)
        return WrittenModel(
            binding=binding,
            options=tuple(sorted(options.items())),
            tools=(("onnx", version("onnx")), ("onnxruntime", version("onnxruntime"))),
        )


def _static(
    model: onnx.ModelProto, recipe: Static, request: OptimizeRequest
) -> tuple[onnx.ModelProto, Options]:
    if recipe.io != Io():
        raise Unsupported(
            "ONNX files keep float32 inputs and outputs",
            found=f"input {recipe.io.input}, output {recipe.io.output}",
            next_step="set io to float32 for ONNX: the first node quantizes, at no cost",
        )
    require_layers(model, (*recipe.float_layers, *recipe.int16_layers))
    bounds = read_bounds(request.ranges, request.artifact, recipe.ranges)
    raised = with_opset(model, _OPSET_INT16 if recipe.int16_layers else _OPSET_BY_CHANNEL)
    options = {
        "activations": "uint8",
        "float_layers": _json(recipe.float_layers),
        "float_ops": _json(onnx_static.kept_float(raised)),
        "int16_layers": _json(recipe.int16_layers),
        "ranges": recipe.ranges,
        "weights": "int8 by channel",
    }
    return onnx_static.quantize(raised, recipe, bounds), options


def _weights(
    model: onnx.ModelProto, recipe: Dynamic | WeightOnly
) -> tuple[onnx.ModelProto, Options]:
    if isinstance(recipe, WeightOnly) and recipe.bits != 8:
        raise Unsupported(
            f"ONNX files are not written with {recipe.bits}-bit weights",
            next_step="ask for weight_only_wi8, or for TFLite",
        )
    require_layers(model, recipe.float_layers)
    raised = with_opset(model, _OPSET_BY_CHANNEL)
    own_weights(raised, recipe.float_layers)
    changed = multiply_integers(raised, recipe.float_layers) if isinstance(recipe, Dynamic) else 0
    changed += expand_before_use(raised, recipe.float_layers)
    if not changed:
        raise OptimizationFailed(
            "the model has no weights that integers would make smaller",
            next_step="leave this precision out of the precisions of this target",
        )
    return raised, {"float_layers": _json(recipe.float_layers), "weights": "int8 by channel"}


def _json(names: tuple[str, ...]) -> str:
    return canonical_bytes(names).decode()
