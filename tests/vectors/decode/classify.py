"""Classifiers and raw outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import Activation, Axis, Box, OutputBinding, Quant
from phoneproof.core.contract import Contract, Task
from tests.vectors.decode.setup import SIZE, Setup, Tensors, bind, part, values
from tests.vectors.inputs import spec, stretch
from tests.vectors.types import Flag

_LABELS: Final[tuple[str | None, ...]] = ("ant", "bee", "cat", "dog", "elk", "fox", "gnu")
_COUNT: Final = len(_LABELS)


def contract_of(task: Task, labels: tuple[str | None, ...] = _LABELS) -> Contract:
    """A contract without decode."""
    return Contract(name="vectors", task=task, inputs=(spec(SIZE, stretch(SIZE)),), labels=labels)


def setups() -> Iterator[Setup]:
    """Activations, shapes, quantised scores, null labels, ties, batches; then raw outputs."""
    row = values(5, (1, _COUNT), -6, 1 / 16)
    activations: tuple[Activation, ...] = ("none", "sigmoid", "softmax")
    for activation in activations:
        yield _one(f"classify-{activation}", "one row of scores", row, activation=activation)
    yield _one("classify-softmax-large", "no overflow", row * np.float32(50), activation="softmax")
    yield _one("classify-sigmoid-large", "no overflow", row * np.float32(50), activation="sigmoid")
    yield _one(
        "classify-ties",
        "equal ones by index",
        np.array([[0.25, 0.5, 0.25, 0.5, 0, 0.5, 0.25]], np.float32),
        flags=("ties",),
    )
    gaps = (None, "bee", "cat", None, "elk", "fox", "gnu")
    yield _one("classify-null-labels", "null labels are left out", row, labels=gaps)
    yield _one("classify-no-labels", "classes by their index", row, labels=())
    yield _one(
        "classify-nhwc",
        "1 x 1 x classes",
        row.reshape(1, 1, 1, -1),
        axes=("y", "x", "class"),
        activation="softmax",
    )
    yield _one(
        "classify-nchw",
        "classes x 1 x 1",
        row.reshape(1, -1, 1, 1),
        axes=("channel", "y", "x"),
        activation="softmax",
    )
    yield from _wholes(row)
    batch = values(8, (3, _COUNT), -6, 1 / 16)
    yield _one("classify-batch", "image 2 of 3", batch, activation="softmax", index=2)
    yield from _slices(row)
    yield from _raw()


def _wholes(row: NDArray[Any]) -> Iterator[Setup]:
    whole = (row * np.float32(16)).astype(np.int8)
    quant = Quant(scale=1 / 16, zero_point=3)
    yield _one("classify-int8", "logits", whole, quant=quant, activation="softmax")
    unsigned = values(6, (1, _COUNT), 0, 1).astype(np.uint8)
    yield _one(
        "classify-uint8", "probabilities", unsigned, quant=Quant(scale=1 / 256, zero_point=0)
    )


def _one(
    name: str,
    comment: str,
    scores: NDArray[Any],
    *,
    labels: tuple[str | None, ...] = _LABELS,
    axes: tuple[Axis, ...] = ("class",),
    activation: Activation = "none",
    quant: Quant | None = None,
    index: int = 0,
    flags: tuple[Flag, ...] = (),
) -> Setup:
    tensors: Tensors = {"scores": scores}
    contract = contract_of("classify", labels)
    probes: dict[Flag, bool] = {
        "exponentials": activation != "none",
        "null_label": None in labels,
        "quantised": quant is not None,
    }
    return Setup(
        name=name,
        comment=comment,
        contract=contract,
        binding=bind(
            contract,
            part(tensors, "scores", "scores", axes, activation=activation, quant=quant),
            batch=len(scores),
        ),
        tensors=tensors,
        flags=(*flags, *(flag for flag, holds in probes.items() if holds)),
        index=index,
    )


def _slices(row: NDArray[Any]) -> Iterator[Setup]:
    wide = np.hstack([np.full((1, 2), 9, np.float32), row])
    tensors: Tensors = {"out": wide}
    contract = contract_of("classify")
    yield Setup(
        name="classify-slice",
        comment="the softmax is over the slice",
        contract=contract,
        binding=bind(
            contract,
            part(tensors, "out", "scores", ("class",), cut=(2, 2 + _COUNT), activation="softmax"),
        ),
        tensors=tensors,
        flags=("exponentials",),
    )


def _raw() -> Iterator[Setup]:
    """Raw tensors are dequantised whole: slices and activations are for who reads them."""
    quant = Quant(scale=0.5, zero_point=-3)
    tensors: Tensors = {
        "map": values(9, (2, 2, 3, 4), -1, 1 / 128),
        "whole": values(10, (2, 5), 0, 1).astype(np.uint8).view(np.int8),
        "ids": np.array([[7, -1, 70000], [1, 2, 3]], np.int64),
    }
    contract = contract_of("raw", ())
    outputs: tuple[OutputBinding, ...] = (
        part(tensors, "whole", "raw", (), quant=quant),
        part(tensors, "map", "heatmap", ("channel", "y", "x"), cut=(0, 1), activation="sigmoid"),
        part(tensors, "map", "raw", ("channel", "y", "x"), cut=(1, 2)),
        part(tensors, "ids", "raw", ("anchor",)),
    )
    for index in (0, 1):
        yield Setup(
            name=f"raw-{index}",
            comment="each tensor once, in the order of the binding, as float32",
            contract=contract,
            binding=bind(contract, *outputs, batch=2),
            tensors=tensors,
            flags=("quantised",),
            index=index,
        )
    yield _mask()


def _mask() -> Setup:
    """A role that detectors do not decode is a plain tensor where the task is raw."""
    tensors: Tensors = {"mask": values(11, (1, 4, 6, 2), 0, 1 / 256)}
    contract = contract_of("raw", ())
    box = Box(format="xyxy")
    return Setup(
        name="raw-mask",
        comment="a mask, a role of the task raw",
        contract=contract,
        binding=bind(contract, part(tensors, "mask", "mask", ("y", "x", "channel"), box=box)),
        tensors=tensors,
    )
