"""ONNX float32 with the smallest weights at zero: as large, but smaller once compressed."""

from __future__ import annotations

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array

from phoneproof.core.artifact import WrittenModel
from phoneproof.formats.onnx_file import read_onnx
from phoneproof.formats.onnx_read_back import zero_share
from phoneproof.optimize.backends.onnx_source import open_float32, weighted, write_candidate
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.magnitude import sparse_share, zeroed


class OnnxSparse:
    """The weights stay stored one by one: every runtime takes the file as before."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an ONNX file of float32 weights, or one that is sparse already.
            OptimizationFailed: no weight may be set to zero, or one is not finite.
        """
        share = sparse_share(request)
        model = open_float32(request.artifact)
        tensors = {tensor.name: tensor for _, tensor in weighted(model)}
        layers = {name: np.asarray(to_array(one), np.float32) for name, one in tensors.items()}
        for name, weights in zeroed(layers, share).items():
            tensors[name].CopyFrom(from_array(weights, name))
        return WrittenModel(
            binding=write_candidate(model, request, label="sparse"),
            options=(
                ("share", f"{share:g}"),
                ("zeros", f"{zero_share(read_onnx(request.output)) or 0.0:.4f}"),
            ),
            tools=(("numpy", np.__version__), ("onnx", onnx.__version__)),
        )
