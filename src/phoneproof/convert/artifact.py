"""What every converter does around its library: names in, binding out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from phoneproof.convert.base import ConvertRequest
from phoneproof.core.binding import Binding, Format, Layout, OutputBinding, Precision
from phoneproof.core.errors import ConversionFailed, InvalidInput
from phoneproof.core.tensors import TensorSpec

_SOURCE_WORDS: Final[dict[Format, str]] = {"hub": "hub program", "saved_model": "SavedModel"}

_PERMUTATIONS: dict[tuple[Layout, Layout], tuple[int, ...]] = {
    ("NCHW", "NCHW"): (0, 1, 2, 3),
    ("NHWC", "NHWC"): (0, 1, 2, 3),
    ("NCHW", "NHWC"): (0, 2, 3, 1),
    ("NHWC", "NCHW"): (0, 3, 1, 2),
}


def permutation(source: Layout, target: Layout) -> tuple[int, ...]:
    """The axes of `source` in the order of `target`: ``transpose(x, permutation)``."""
    return _PERMUTATIONS[source, target]


def permuted(shape: tuple[int, ...], source: Layout, target: Layout) -> tuple[int, ...]:
    """A shape of four axes in another layout.

    Raises:
        InvalidInput: not four axes.
    """
    if len(shape) != 4:
        raise InvalidInput("the image input needs four axes", found=str(shape))
    return tuple(shape[axis] for axis in permutation(source, target))


def wanted_tensors(
    request: ConvertRequest,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
) -> tuple[tuple[TensorSpec], tuple[TensorSpec, ...]]:
    """The artifact's input and outputs as they shall be: the source's order and names, `layout`.

    Args:
        inputs, outputs: what the source file really has.

    Raises:
        InvalidInput: the binding is of another file: an output or an input shape it lacks.
    """
    source = _SOURCE_WORDS.get(request.binding.format, request.binding.format)
    image = request.binding.image
    bound = (TensorSpec(name=image.tensor, shape=image.shape, dtype=image.dtype),)
    if bound != inputs:
        raise InvalidInput(
            f"the binding is not that of the {source}",
            found=f"input {_listed(bound)}; the {source} takes {_listed(inputs)}",
        )
    known = {spec.name for spec in outputs}
    unknown = [name for name in request.binding.tensors if name not in known]
    if unknown:
        raise InvalidInput(
            f"the binding names outputs that the {source} does not have",
            found=f"{', '.join(unknown)}; it has {', '.join(sorted(known))}",
        )
    shape = permuted(image.shape, image.layout, request.layout)
    return (TensorSpec(name=image.for_, shape=shape, dtype=image.dtype),), outputs


def require_tensors(
    wanted: tuple[TensorSpec, ...], found: tuple[TensorSpec, ...], converter: str
) -> None:
    """Compare the file's tensors with those that were asked for.

    Raises:
        ConversionFailed: another name, shape or dtype.
    """
    if wanted != found:
        raise ConversionFailed(
            f"{converter} changed the tensors of the model",
            found=f"{_listed(found)} instead of {_listed(wanted)}",
        )


def require_numbers(weights: Mapping[str, float], converter: str) -> None:
    """Refuse weights that are not numbers.

    Args:
        weights: tensor name -> a sum over its elements (NaN as soon as one is NaN).

    Raises:
        ConversionFailed: names the first tensors with NaN.
    """
    broken = [name for name, total in weights.items() if math.isnan(total)]
    if broken:
        raise ConversionFailed(
            f"the file that {converter} wrote has weights that are not numbers",
            found=f"NaN in {', '.join(broken[:3])}"
            + (f" and {len(broken) - 3} more" if len(broken) > 3 else ""),
            next_step="check the source model: were its weights already broken?",
        )


def artifact_binding(
    request: ConvertRequest,
    kind: Format,
    precision: Precision,
    inputs: tuple[TensorSpec],
    outputs: tuple[TensorSpec, ...],
) -> Binding:
    """The source's binding on the tensors of the file that was written."""
    image = msgspec.structs.replace(
        request.binding.image,
        tensor=inputs[0].name,
        shape=inputs[0].shape,
        layout=request.layout,
        dtype=inputs[0].dtype,
        quant=inputs[0].quant,
    )
    by_name = {spec.name: spec for spec in outputs}
    return msgspec.structs.replace(
        request.binding,
        artifact=None,
        contract=request.contract.sha256,
        format=kind,
        precision=precision,
        inputs=(image,),
        outputs=tuple(_on(role, by_name[role.tensor]) for role in request.binding.outputs),
    )


def _on(role: OutputBinding, spec: TensorSpec) -> OutputBinding:
    return msgspec.structs.replace(role, shape=spec.shape, dtype=spec.dtype, quant=spec.quant)


def _listed(specs: tuple[TensorSpec, ...]) -> str:
    return "; ".join(f"{spec.name} {spec.dtype}{list(spec.shape)}" for spec in specs)
