"""Which layers of a TFLite file stay float32 in its float16 version: small ones, in order."""

from __future__ import annotations

import numpy as np
import pytest

from phoneproof.formats.tflite import TfliteGraph, TfliteOp, TfliteTensor


def _graph(first: int, second: int) -> TfliteGraph:
    """image -> pad -> conv with `first` weights -> conv with `second` weights."""

    def tensor(name: str, weights: int = 0) -> TfliteTensor:
        data = np.zeros(4 * weights, np.uint8)
        return TfliteTensor(name=name, dtype="float32", shape=(1, weights), quant=None, data=data)

    def op(name: str, inputs: tuple[int, ...], output: int) -> TfliteOp:
        return TfliteOp(name=name, custom=False, inputs=inputs, outputs=(output,))

    return TfliteGraph(
        tensors=(
            tensor("image"),
            tensor("padded"),
            tensor("w1", first),
            tensor("stem"),
            tensor("w2", second),
            tensor("out"),
        ),
        ops=(op("PAD", (0,), 1), op("CONV_2D", (1, 2), 3), op("CONV_2D", (3, 4), 5)),
        other_ops=(),
        inputs=(0,),
        outputs=(5,),
        signature_inputs=(),
        signature_outputs=(),
        description="",
        metadata={},
    )


@pytest.mark.parametrize(
    ("first", "second", "share", "kept"),
    [
        (10, 10_000, 0.01, ("stem",)),
        (49, 10_000, 0.01, ("stem",)),
        (100, 10_000, 0.01, ()),
        (100, 10_000, 0.1, ("stem",)),
        (10_000, 10, 0.1, ()),  # the layer that meets the picture comes first, or none
        (100, 10_000, 1.0, ("stem", "out")),
    ],
)
def test_small_layers_stay_float32(
    first: int, second: int, share: float, kept: tuple[str, ...]
) -> None:
    from phoneproof.optimize.backends.tflite_float16 import float32_layers

    assert float32_layers(_graph(first, second), share) == kept
