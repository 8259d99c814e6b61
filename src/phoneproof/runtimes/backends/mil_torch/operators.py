"""MIL's operations in PyTorch: one table, operation type -> function."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phoneproof.runtimes.backends.mil_torch.activations import ACTIVATIONS
from phoneproof.runtimes.backends.mil_torch.call import Operator
from phoneproof.runtimes.backends.mil_torch.compression import COMPRESSION
from phoneproof.runtimes.backends.mil_torch.convolutions import CONVOLUTIONS
from phoneproof.runtimes.backends.mil_torch.creation import CREATION
from phoneproof.runtimes.backends.mil_torch.detection import DETECTION
from phoneproof.runtimes.backends.mil_torch.elementwise import ELEMENTWISE
from phoneproof.runtimes.backends.mil_torch.gathers import GATHERS
from phoneproof.runtimes.backends.mil_torch.normalizations import NORMALIZATIONS
from phoneproof.runtimes.backends.mil_torch.pools import POOLS
from phoneproof.runtimes.backends.mil_torch.products import PRODUCTS
from phoneproof.runtimes.backends.mil_torch.reductions import REDUCTIONS
from phoneproof.runtimes.backends.mil_torch.resizes import RESIZES
from phoneproof.runtimes.backends.mil_torch.sampling import SAMPLING
from phoneproof.runtimes.backends.mil_torch.shapes import SHAPES
from phoneproof.runtimes.backends.mil_torch.slices import SLICES

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {
        **ACTIVATIONS,
        **COMPRESSION,
        **CONVOLUTIONS,
        **CREATION,
        **DETECTION,
        **ELEMENTWISE,
        **GATHERS,
        **NORMALIZATIONS,
        **POOLS,
        **PRODUCTS,
        **REDUCTIONS,
        **RESIZES,
        **SAMPLING,
        **SHAPES,
        **SLICES,
    }
)
"""``const`` is no entry: constants are read from the file as they are."""
