"""hub -> hub with the smallest weights at zero: a mask of bits, and the numbers that are left."""

from __future__ import annotations

import numpy as np

from phoneproof.core.artifact import WrittenModel
from phoneproof.optimize.backends.hub_quantized import FLOATS, opened, write_hub
from phoneproof.optimize.backends.hub_weights import masked, weighted, write_code
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.magnitude import sparse_share, zeroed


class HubSparse:
    """Smaller by the share of zeros less one bit a weight; what computes stays as it is."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the hub.

        Raises:
            InvalidInput: not a hub program of floats.
            OptimizationFailed: no weight may be set to zero, or one is not finite.

        Weights that a mask would not make smaller keep their numbers.
        """
        share = sparse_share(request, starts=FLOATS)
        module, tensors = opened(request)
        found = {one.layers[0]: one for one in weighted(module)}
        layers = {name: one.values.astype(np.float32) for name, one in found.items()}
        count, zeros = 0, 0
        for number, (name, values) in enumerate(zeroed(layers, share).items()):
            code = masked(values.astype(found[name].values.dtype))
            if code is not None:
                write_code(module, found[name], code, number)
                count, zeros = count + 1, zeros + int(np.count_nonzero(values == 0))
        options = (("share", f"{share:g}"), ("sparse_weights", str(count)), ("zeros", str(zeros)))
        return write_hub(request, module, tensors, "sparse", options)
