"""Writing a TFLite file's quantization with one list of zeros for all channels of equal number.

Weights by channel are symmetric: each channel stores eight bytes that say zero. In MobileNetV2
that is 7 % of the int8 file. A flatbuffer may refer to one list from many tables."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema


class SharedZeroPoints:
    """The quantization parameters of tensors, packed with shared lists of zero points.

    One instance serves one builder.
    """

    def __init__(self) -> None:
        self._written: dict[bytes, int] = {}

    def wrap(self, model: Any) -> None:
        """Replace the quantization of every tensor that has several zero points, in place."""
        for subgraph in model.subgraphs:
            for tensor in subgraph.tensors:
                found = tensor.quantization
                if found is not None and found.zeroPoint is not None and len(found.zeroPoint) > 1:
                    tensor.quantization = _Quantization(found, self._written)


class _Quantization:
    def __init__(self, found: Any, written: dict[bytes, int]) -> None:
        self._found = found
        self._written = written

    def Pack(self, builder: Any) -> int:  # noqa: N802 - the generated code calls this name
        found = self._found
        numbers = {
            name: builder.CreateNumpyVector(np.asarray(values, np.float32))
            for name, values in (("Min", found.min), ("Max", found.max), ("Scale", found.scale))
            if values is not None
        }
        zeros = self._zeros(builder)
        details = found.details.Pack(builder) if found.details is not None else None
        schema.QuantizationParametersStart(builder)
        for name, offset in numbers.items():
            getattr(schema, f"QuantizationParametersAdd{name}")(builder, offset)
        schema.QuantizationParametersAddZeroPoint(builder, zeros)
        schema.QuantizationParametersAddDetailsType(builder, found.detailsType)
        if details is not None:
            schema.QuantizationParametersAddDetails(builder, details)
        schema.QuantizationParametersAddQuantizedDimension(builder, found.quantizedDimension)
        return int(schema.QuantizationParametersEnd(builder))

    def _zeros(self, builder: Any) -> int:
        values = np.asarray(self._found.zeroPoint, np.int64)
        key = values.tobytes()
        if key not in self._written:
            self._written[key] = int(builder.CreateNumpyVector(values))
        return self._written[key]
