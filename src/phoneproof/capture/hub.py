"""The hub program's tensor names and shapes: named by the inspection, measured on the program."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from phoneproof.core.binding import Binding, OutputBinding
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.tensors import TensorSpec

HUB_INPUT = "image"
"""Every hub program and artifact names its image input so."""


def hub_tensors(
    inspection: Inspection, *, size: Size, batch: int, output_shapes: Sequence[tuple[int, ...]]
) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of the hub program for one size and batch, in the source's order.

    Raises:
        ConversionFailed: the program has another number of outputs than the source.
    """
    names = [output.name for output in inspection.outputs]
    if len(names) != len(output_shapes):
        raise ConversionFailed(
            "the hub program has another number of outputs than the source",
            found=f"{len(output_shapes)}, expected {len(names)}: {', '.join(names)}",
        )
    image = TensorSpec(name=HUB_INPUT, shape=_input_shape(inspection, size, batch), dtype="float32")
    outputs = tuple(
        TensorSpec(name=name, shape=shape, dtype="float32")
        for name, shape in zip(names, output_shapes, strict=True)
    )
    return (image,), outputs


def with_shapes(binding: Binding, outputs: Sequence[TensorSpec]) -> Binding:
    """The binding with the output shapes a program really has (anchors depend on the size).

    Raises:
        Unsupported: an output is missing or has another rank than the binding says.
    """
    shapes = {output.name: output.shape for output in outputs}
    return msgspec.structs.replace(
        binding, outputs=tuple(_reshaped(output, shapes) for output in binding.outputs)
    )


def fitted_to_source(
    binding: Binding, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> Binding:
    """The hub's binding as the source's own session carries it: its name, dtype and scale."""
    first = inputs[0]
    image = msgspec.structs.replace(
        binding.image,
        tensor=first.name,
        shape=first.shape,
        dtype=first.dtype,
        quant=first.quant,
    )
    shaped = with_shapes(binding, outputs)
    by_name = {output.name: output for output in outputs}
    return msgspec.structs.replace(
        shaped,
        inputs=(image,),
        outputs=tuple(_as_stored(output, by_name[output.tensor]) for output in shaped.outputs),
    )


def _as_stored(output: OutputBinding, spec: TensorSpec) -> OutputBinding:
    return msgspec.structs.replace(output, dtype=spec.dtype, quant=spec.quant)


def _reshaped(output: OutputBinding, shapes: dict[str, tuple[int, ...]]) -> OutputBinding:
    shape = shapes.get(output.tensor)
    if shape is None or len(shape) != len(output.shape):
        raise Unsupported(
            f"output {output.tensor!r} is not what the file describes",
            found=f"shape {shape}, described {output.shape}",
        )
    return msgspec.structs.replace(output, shape=shape)


def _input_shape(inspection: Inspection, size: Size, batch: int) -> tuple[int, ...]:
    height, width = size
    if inspection.layout == "NHWC":
        return (batch, height, width, inspection.channels)
    return (batch, inspection.channels, height, width)
