"""TFLite float32 with the smallest weights at zero: as large, but smaller once compressed."""

from __future__ import annotations

import msgspec
import numpy as np

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import InvalidInput
from phoneproof.formats.tflite import TfliteGraph, inventory, read_tflite
from phoneproof.formats.tflite_constants import with_constants
from phoneproof.formats.tflite_read_back import float_weights, zero_share
from phoneproof.optimize.backends.tflite_candidate import write_candidate
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
        changed = zeroed(_layers(source), share)
        data = with_constants(request.artifact.read_bytes(), changed, request.output.name)
        binding = msgspec.structs.replace(request.binding, artifact=None, precision="sparse")
        write_candidate(request, source, binding, data)
        return WrittenModel(
            binding=binding,
            options=(
                ("share", f"{share:g}"),
                ("zeros", f"{zero_share(read_tflite(request.output)) or 0.0:.4f}"),
            ),
            tools=(("numpy", np.__version__),),
        )


def _layers(graph: TfliteGraph) -> dict[str, Weights]:
    return {
        tensor.name: tensor.data.view("<f4").reshape(tensor.shape)
        for tensor in float_weights(graph)
    }
