"""TFLite's operators in PyTorch: one table, operator name -> function."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phoneproof.runtimes.backends.tflite_torch.call import Operator
from phoneproof.runtimes.backends.tflite_torch.convolutions import CONVOLUTIONS
from phoneproof.runtimes.backends.tflite_torch.elementwise import ELEMENTWISE
from phoneproof.runtimes.backends.tflite_torch.pools import POOLS
from phoneproof.runtimes.backends.tflite_torch.reductions import REDUCTIONS
from phoneproof.runtimes.backends.tflite_torch.resizes import RESIZES
from phoneproof.runtimes.backends.tflite_torch.shapes import SHAPES
from phoneproof.runtimes.backends.tflite_torch.slices import SLICES

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {**CONVOLUTIONS, **POOLS, **ELEMENTWISE, **REDUCTIONS, **RESIZES, **SHAPES, **SLICES}
)
