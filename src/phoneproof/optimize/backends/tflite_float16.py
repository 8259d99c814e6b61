"""TFLite float32 -> float16 weights with ai-edge-quantizer's float casting. Inputs and outputs
stay float32; each weight is stored as float16 behind a DEQUANTIZE."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding
from phoneproof.core.errors import InvalidInput, OptimizationFailed, first_line
from phoneproof.core.json_format import canonical_bytes
from phoneproof.formats.quiet import quiet
from phoneproof.formats.tflite import (
    TfliteGraph,
    TfliteTensor,
    inventory,
    parse_tflite,
    read_tflite,
)
from phoneproof.optimize.backends.tflite_candidate import write_candidate
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.float32_share import WeightedLayer, float32_share, kept_float32

_LARGEST_FLOAT16: Final = 65504.0


class TfliteFloat16:
    """Half the size; float16 arithmetic only where the phone's accelerator chooses it."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not a TFLite file of float32 weights.
            OptimizationFailed: the library broke, or a weight does not fit float16.
        """
        source = read_tflite(request.artifact)
        _require_float32(source, request.artifact)
        require_float16_range(source)
        share = float32_share(request.recipe)
        kept = float32_layers(source, share)
        data = _cast(request.artifact, kept)
        binding = _binding(request, data)
        write_candidate(request, source, binding, data)
        return WrittenModel(
            binding=binding,
            options=(
                ("algorithm", "float_casting"),
                ("float32_layers", canonical_bytes(kept).decode()),
                ("float32_share", str(share)),
                ("weights", "float16"),
            ),
            tools=(("ai-edge-quantizer", version("ai-edge-quantizer")),),
        )


def require_float16_range(graph: TfliteGraph) -> None:
    """Refuse weights that float16 would turn into infinity.

    Raises:
        OptimizationFailed: names the tensor and its largest magnitude.
    """
    for tensor in graph.tensors:
        if not _is_weight(tensor):
            continue
        largest = float(np.abs(tensor.data.view(np.float32)).max())
        if not largest <= _LARGEST_FLOAT16:
            raise OptimizationFailed(
                "a weight does not fit float16",
                found=f"{tensor.name} reaches {largest:g}; float16 ends at {_LARGEST_FLOAT16:g}",
                next_step="leave float16 out of the precisions of this target",
            )


def float32_layers(graph: TfliteGraph, share: float) -> tuple[str, ...]:
    """Output names of the layers that keep float32 (`kept_float32`), in the file's order."""
    return kept_float32(_layers(graph), share)


def _layers(graph: TfliteGraph) -> tuple[WeightedLayer, ...]:
    found = []
    for op in graph.ops:
        size = sum(
            graph.tensors[i].data.size for i in op.inputs if i >= 0 and _is_weight(graph.tensors[i])
        )
        if size:
            found.append(WeightedLayer(name=graph.tensors[op.outputs[0]].name, bytes=size))
    return tuple(found)


def _is_weight(tensor: TfliteTensor) -> bool:
    return tensor.dtype == "float32" and bool(tensor.data.size) and len(tensor.shape) > 1


def _require_float32(graph: TfliteGraph, path: Path) -> None:
    found = inventory(graph).precision
    if found != "float32":
        raise InvalidInput(
            f"{path.name} cannot be cast to float16", found=f"its weights are {found}, not float32"
        )


def _binding(request: OptimizeRequest, data: bytes) -> Binding:
    precision = inventory(parse_tflite(data, request.output.name)).precision
    if precision not in ("float16", "mixed"):
        raise OptimizationFailed(
            "ai-edge-quantizer left the weights as they were",
            found=precision,
            next_step="the model has no weights that float16 would make smaller",
        )
    return msgspec.structs.replace(request.binding, artifact=None, precision=precision)


def _cast(path: Path, kept: tuple[str, ...]) -> bytes:
    recipe = recipe_manager.RecipeManager()
    recipe.add_quantization_config(
        regex=".*",
        operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
        op_config=qtyping.OpQuantizationConfig(
            weight_tensor_config=qtyping.TensorQuantizationConfig(
                num_bits=16, dtype=qtyping.TensorDataType.FLOAT
            ),
            compute_precision=qtyping.ComputePrecision.FLOAT,
            explicit_dequantize=True,
        ),
        algorithm_key=AlgorithmName.FLOAT_CASTING,
    )
    for layer in kept:
        # Fused operators carry several names joined by ';'.
        recipe.add_quantization_config(
            regex=f"(^|;){re.escape(layer)}($|;)",
            operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
            algorithm_key=AlgorithmName.NO_QUANTIZE,
        )
    try:
        with quiet():
            # The content, not the path: the library maps files into memory and keeps them open.
            work = quantizer.Quantizer(path.read_bytes())
            work.load_quantization_recipe(recipe.get_quantization_recipe())
            return bytes(work.quantize().quantized_model)
    except Exception as error:  # the library raises whatever its passes met
        raise OptimizationFailed("ai-edge-quantizer broke", found=first_line(error)) from error
