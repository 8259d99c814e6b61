"""Core ML with the smallest weights at zero: a mask of bits, and the numbers that are left."""

from __future__ import annotations

import numpy as np

from phoneproof.core.artifact import WrittenModel
from phoneproof.optimize.backends.coreml_program import open_program, write_program
from phoneproof.optimize.backends.coreml_quantized import require_float
from phoneproof.optimize.backends.coreml_weights import sparse_constants, weighted
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.magnitude import sparse_share, zeroed


class CoreMlSparse:
    """Smaller by the share of zeros less one bit a weight; made from float32 or float16."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an mlprogram of float weights, or one that is sparse already.
            Unsupported: a package for systems before iOS 16.
            OptimizationFailed: no weight may be set to zero, or one is not finite.
        """
        share = sparse_share(request, starts=("float32", "float16", "mixed"))
        opened = open_program(request.artifact)
        require_float(opened)
        opened.require_ios(16, "sparse weights")
        found = {one.layers[0]: one for one in weighted(opened)}
        layers = {name: one.values.astype(np.float32) for name, one in found.items()}
        changed = [
            (found[name], values.astype(found[name].values.dtype))
            for name, values in zeroed(layers, share).items()
        ]
        count = sparse_constants(opened, changed)
        return write_program(
            opened,
            request,
            (("minimum_ios", "16"), ("share", f"{share:g}"), ("sparse_weights", str(count))),
            label="sparse",
        )
