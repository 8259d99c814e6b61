"""TFLite's operators in PyTorch: one table, operator name -> function."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from phoneproof.capture.backends.tflite_ops.call import Operator
from phoneproof.capture.backends.tflite_ops.convolutions import CONVOLUTIONS
from phoneproof.capture.backends.tflite_ops.elementwise import ELEMENTWISE
from phoneproof.capture.backends.tflite_ops.pools import POOLS
from phoneproof.capture.backends.tflite_ops.reductions import REDUCTIONS
from phoneproof.capture.backends.tflite_ops.resizes import RESIZES
from phoneproof.capture.backends.tflite_ops.shapes import SHAPES
from phoneproof.capture.backends.tflite_ops.slices import SLICES

OPERATORS: Mapping[str, Operator] = MappingProxyType(
    {**CONVOLUTIONS, **POOLS, **ELEMENTWISE, **REDUCTIONS, **RESIZES, **SHAPES, **SLICES}
)
