"""ONNX float32 -> float16 weights: each weight is stored as float16 behind a Cast.

Runtimes compute the Casts once, when they load the file. onnxruntime.transformers.float16, which
turns the whole graph into float16, was tried instead: .4 to 2.7 dB less on three models
(MobileNetV2, ResNet-8, YOLOv8n), and nodes in an order that ONNX's checker refuses. It also rounds
activations, which may exceed 65504.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

import numpy as np
import onnx
from onnx import helper
from onnx.numpy_helper import from_array, to_array

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.json_format import canonical_bytes
from phoneproof.optimize.backends.onnx_source import (
    open_float32,
    own_weights,
    weighted,
    write_candidate,
)
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.float32_share import WeightedLayer, float32_share, kept_float32

_LARGEST_FLOAT16: Final = 65504.0


class OnnxFloat16:
    """Half the size; float32 arithmetic and tensors."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an ONNX file of float32 weights.
            OptimizationFailed: a weight does not fit float16, or there is none.
        """
        share = float32_share(request.recipe)
        model = open_float32(request.artifact)
        layers = [
            WeightedLayer(name=node.name, bytes=4 * int(np.prod(weights.dims)))
            for node, weights in weighted(model)
        ]
        kept = kept_float32(layers, share)
        own_weights(model, kept)
        _cast(model, kept)
        return WrittenModel(
            binding=write_candidate(model, request),
            options=(
                ("float32_layers", canonical_bytes(kept).decode()),
                ("float32_share", str(share)),
                ("weights", "float16"),
            ),
            tools=(("onnx", version("onnx")),),
        )


def _cast(model: onnx.ModelProto, kept: tuple[str, ...]) -> None:
    """Store the weights of all layers but `kept` as float16, in place."""
    tensors = {one.name: one for node, one in weighted(model) if node.name not in kept}
    if not tensors:
        raise OptimizationFailed(
            "the model has no weights that float16 would make smaller",
            next_step="leave float16 out of the precisions of this target",
        )
    casts = []
    for name, tensor in tensors.items():
        values = to_array(tensor)
        _require_range(name, values)
        stored = f"{name}/float16"
        tensor.CopyFrom(from_array(values.astype(np.float16), stored))
        casts.append(
            helper.make_node("Cast", [stored], [name], name=name, to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _require_range(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> None:
    largest = float(np.abs(values).max(initial=0.0))
    if not largest <= _LARGEST_FLOAT16:
        raise OptimizationFailed(
            "a weight does not fit float16",
            found=f"{name} reaches {largest:g}; float16 ends at {_LARGEST_FLOAT16:g}",
            next_step="leave float16 out of the precisions of this target",
        )
