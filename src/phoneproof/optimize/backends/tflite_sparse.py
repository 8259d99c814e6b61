"""TFLite float32 with the smallest weights at zero: as large, but smaller once compressed."""

from __future__ import annotations

import msgspec
import numpy as np

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import InvalidInput
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.tflite import TfliteGraph, inventory, parse_tflite, read_tflite
from phoneproof.formats.tflite_constants import with_constants
from phoneproof.formats.tflite_read_back import float_weights, zero_share
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.magnitude import Weights, sparse_share, zeroed


class TfliteSparse:
    """The weights stay stored one by one: every runtime and delegate takes the file as before."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not a TFLite file of float32 weights, or one that is sparse already.
            OptimizationFailed: no weight may be set to zero, or one is not finite.
        """
        share = sparse_share(request)
        source = read_tflite(request.artifact)
        found = inventory(source).precision
        if found != "float32":
            raise InvalidInput(
                f"{request.artifact.name} is no float32 model", found=f"its weights are {found}"
            )
        name = request.output.name
        changed = zeroed(_layers(source), share)
        data = with_constants(request.artifact.read_bytes(), changed, name)
        binding = msgspec.structs.replace(request.binding, artifact=None, precision="sparse")
        edit = TfliteEdit(
            inputs=tuple(item.tensor for item in binding.inputs),
            outputs=tuple(name for name, _ in source.signature_outputs),
            metadata=embedding(Embedded(contract=request.contract, binding=binding)),
        )
        data = edit_tflite(data, edit, name)
        write_bytes(request.output, data)
        return WrittenModel(
            binding=binding,
            options=(("share", f"{share:g}"), ("zeros", _zeros(data, name))),
            tools=(("numpy", np.__version__),),
        )


def _layers(graph: TfliteGraph) -> dict[str, Weights]:
    return {
        tensor.name: tensor.data.view("<f4").reshape(tensor.shape)
        for tensor in float_weights(graph)
    }


def _zeros(data: bytes, name: str) -> str:
    """Of all float weights of the file that was written."""
    return f"{zero_share(parse_tflite(data, name)) or 0.0:.4f}"
