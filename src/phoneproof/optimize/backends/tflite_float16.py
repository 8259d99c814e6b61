"""TFLite float32 -> float16 weights with ai-edge-quantizer's float casting. Inputs and outputs
stay float32; each weight is stored as float16 behind a DEQUANTIZE."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from ai_edge_quantizer import qtyping, quantizer, recipe_manager
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from numpy.typing import NDArray

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding
from phoneproof.core.errors import InvalidInput, OptimizationFailed, first_line
from phoneproof.formats.inventory import PURE_SHARE
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.quiet import quiet
from phoneproof.formats.tflite import (
    TfliteGraph,
    TfliteTensor,
    inventory,
    parse_tflite,
    read_tflite,
)
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.base import OptimizeRequest

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
        kept = float32_layer(source)
        data = _cast(request.artifact, kept)
        binding = _binding(request, data)
        edit = TfliteEdit(
            inputs=tuple(item.tensor for item in binding.inputs),
            outputs=tuple(name for name, _ in source.signature_outputs),
            metadata=embedding(Embedded(contract=request.contract, binding=binding)),
        )
        write_bytes(request.output, edit_tflite(data, edit, request.output.name))
        return WrittenModel(
            binding=binding,
            options=(
                ("algorithm", "float_casting"),
                ("float32_layers", kept or "none"),
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


def float32_layer(graph: TfliteGraph) -> str | None:
    """Output name of the operator that first meets the picture with weights, where it is small.

    It keeps float32: every later layer inherits the error of its rounding, which inputs of 0..255
    make the largest of all. Null where that would cost more than a hundredth of the file, as the
    file would then be of mixed precision.
    """
    first = _first_layer(graph)
    if first is None:
        return None
    rest = sum(t.data.size for t in graph.tensors if _is_weight(t)) - first.data.size
    kept = first.data.size
    return first.layer if kept <= (1 - PURE_SHARE) * (kept + rest / 2) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weights:
    """The weights of one layer, and the name of the layer's output."""

    layer: str
    data: NDArray[np.uint8]


def _first_layer(graph: TfliteGraph) -> _Weights | None:
    seen = set(graph.inputs)
    for op in graph.ops:
        if not seen.intersection(op.inputs):
            continue
        for index in op.inputs:
            if index >= 0 and _is_weight(graph.tensors[index]):
                layer = graph.tensors[op.outputs[0]].name
                return _Weights(layer=layer, data=graph.tensors[index].data)
        seen.update(op.outputs)
    return None


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
    if precision != "float16":
        raise OptimizationFailed(
            "ai-edge-quantizer left the weights as they were",
            found=precision,
            next_step="the model has no weights that float16 would make smaller",
        )
    return msgspec.structs.replace(request.binding, artifact=None, precision=precision)


def _cast(path: Path, kept: str | None) -> bytes:
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
    if kept is not None:
        # Fused operators carry several names joined by ';'.
        recipe.add_quantization_config(
            regex=f"(^|;){re.escape(kept)}($|;)",
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
