"""Programs that torch loads from a file: how they are inspected and run, whatever their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import torch
from torch.export import ExportedProgram

from phoneproof.capture.backends.flat_export import Call, probe
from phoneproof.capture.backends.live_module import last_operators
from phoneproof.capture.fixed_session import FixedSession
from phoneproof.capture.heads import HeadGuess, Leaf, ModelFacts, OutputFacts, recognise_head
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Tensor

OPEN: Final = -1


def outputs_of(call: Call, image: torch.Tensor, *, name: str) -> tuple[torch.Tensor, ...]:
    """Run once; the float32 tensors it returns, in order.

    Raises:
        Unsupported: it does not run on such an image, or returns something else.
    """
    try:
        with torch.inference_mode():
            result = call(image)
    except Exception as error:  # TorchScript and torch.export raise many kinds
        raise Unsupported(
            f"{name} does not run on a float32 tensor {list(image.shape)}",
            found=first_line(error),
            next_step="use the size, channels and batch that it was exported for",
        ) from error
    values = tuple(result) if isinstance(result, tuple | list) else (result,)
    tensors = tuple(value for value in values if isinstance(value, torch.Tensor))
    if not values or len(tensors) != len(values) or any(t.dtype != torch.float32 for t in tensors):
        raise Unsupported(
            f"{name} does not return float32 tensors",
            found=", ".join(_kind(value) for value in values) or "nothing",
            next_step="export it again with a forward() that returns the tensors the app needs",
        )
    return tensors


def output_names(count: int) -> tuple[str, ...]:
    """Torch names no outputs: output, output_1, ... in the order they are returned."""
    return ("output", *(f"output_{k}" for k in range(1, count)))


def open_session(call: Call, image: TensorSpec, *, name: str) -> FixedSession:
    """A session of the program for one static shape."""
    noise = probe(image.shape)
    names = output_names(len(outputs_of(call, noise, name=name)))

    def run(tensor: Tensor) -> tuple[Tensor, ...]:
        # A copy: torch refuses read-only arrays with a warning, and NumPy may hold a view.
        values = outputs_of(call, torch.from_numpy(np.array(tensor, order="C")), name=name)
        return tuple(value.numpy().copy() for value in values)

    return FixedSession(image=image, names=names, call=run, probe=noise.numpy())


def guess_head(
    program: ExportedProgram, outputs: tuple[torch.Tensor, ...], size: Size
) -> HeadGuess:
    """What the outputs mean, from their shapes and the last operators."""
    operators = last_operators(program)
    facts = tuple(
        OutputFacts(
            spec=TensorSpec(name=name, shape=tuple(value.shape), dtype="float32"),
            leaves=(Leaf(op=op),),
        )
        for name, value, op in zip(output_names(len(outputs)), outputs, operators, strict=True)
    )
    return recognise_head(ModelFacts(outputs=facts, size=size))


def with_open_shapes(
    inspection: Inspection, other: Callable[[], tuple[torch.Tensor, ...]]
) -> Inspection:
    """Axes that differ on an image of another size are open (-1), in outputs and head."""
    shapes = {
        spec.name: _merged(spec.shape, tuple(value.shape))
        for spec, value in zip(inspection.outputs, other(), strict=True)
    }
    outputs = tuple(
        msgspec.structs.replace(spec, shape=shapes[spec.name]) for spec in inspection.outputs
    )
    head = inspection.head and msgspec.structs.replace(
        inspection.head,
        outputs=tuple(
            msgspec.structs.replace(output, shape=shapes[output.tensor])
            for output in inspection.head.outputs
        ),
    )
    image = inspection.inputs[0]
    open_shape = tuple(
        OPEN if axis in _spatial(inspection) else n for axis, n in enumerate(image.shape)
    )
    inputs = (msgspec.structs.replace(image, shape=open_shape),)
    return msgspec.structs.replace(inspection, inputs=inputs, outputs=outputs, head=head, size=None)


def image_shape(layout: str, channels: int, size: Size, batch: int) -> tuple[int, ...]:
    """The full static shape of the image input."""
    return (batch, channels, *size) if layout == "NCHW" else (batch, *size, channels)


def _spatial(inspection: Inspection) -> tuple[int, int]:
    return (2, 3) if inspection.layout == "NCHW" else (1, 2)


def _merged(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    if len(one) != len(other):
        return one
    return tuple(a if a == b else OPEN for a, b in zip(one, other, strict=True))


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__
