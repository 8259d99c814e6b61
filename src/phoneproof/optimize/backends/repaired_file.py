"""What the repairs of TFLite files share: reading the request, writing the changed file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.artifact import WrittenModel, file_sha256
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.json_format import canonical_bytes, parse, pretty_bytes
from phoneproof.core.recipe import MethodRanges, Ranges, TensorRange
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.tflite import TfliteGraph, inventory, read_tflite
from phoneproof.formats.tflite_constants import with_constants
from phoneproof.optimize.backends.tflite_ranges import with_input_bounds
from phoneproof.optimize.base import RepairedModel, RepairRequest
from phoneproof.optimize.read_bounds import RANGES, Bounds, read_bounds
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor

MODEL: Final = "model_float32.tflite"

Constants = Mapping[str, NDArray[np.float32]]


def read_float32(request: RepairRequest) -> TfliteGraph:
    """The graph of the request's file.

    Raises:
        InvalidInput: not a TFLite file of float32 weights.
        OptimizationFailed: a constant is not finite; it is named.
    """
    graph = read_tflite(request.artifact)
    found = inventory(graph).precision
    if found != "float32":
        raise InvalidInput(
            f"{request.artifact.name} cannot be repaired",
            found=f"its weights are {found}, not float32",
            next_step="start from the float32 artifact",
        )
    for tensor in graph.tensors:
        if tensor.dtype == "float32" and tensor.data.size:
            values = tensor.data.view(np.float32)
            if not np.isfinite(values).all():
                raise OptimizationFailed(
                    f"the constant {tensor.name!r} is not finite",
                    found=f"{np.count_nonzero(~np.isfinite(values))} of {values.size} numbers "
                    "are NaN or infinite",
                    next_step="look at the trained weights of that layer",
                )
    return graph


def start_bounds(request: RepairRequest, graph: TfliteGraph) -> Bounds:
    """The recipe's ranges, the image's own in place of what was measured of it.

    Raises:
        InvalidInput, OptimizationFailed: as `read_bounds`.
    """
    measured = read_bounds(request.ranges, request.artifact, request.recipe.ranges)
    return with_input_bounds(measured, graph, request.contract, request.binding)


def pictures(request: RepairRequest, most: int) -> list[NDArray[np.float32]]:
    """Input tensors of the first images, at most `most`.

    Raises:
        InvalidInput: an image that cannot be read. OptimizationFailed: no image.
    """
    if not request.images:
        raise OptimizationFailed(
            "there is no image to learn from",
            found="no calibration image",
            next_step="name a folder of images under calibration in [data]",
        )
    preprocessor = Preprocessor(request.contract.image, request.binding.image)
    spec = request.contract.image
    return [
        np.asarray(preprocessor.prepare(read_image(path, spec)).tensor, np.float32)
        for path in request.images[:most]
    ]


def written(
    request: RepairRequest,
    constants: Constants,
    options: Sequence[tuple[str, str]],
    *,
    learned: Bounds | None = None,
    libraries: Sequence[str] = (),
) -> RepairedModel:
    """Write the file with other constants, and its ranges where they were learned.

    Names, signatures, contract and binding inside stay: only numbers changed.
    """
    data = with_constants(request.artifact.read_bytes(), constants, request.artifact.name)
    write_bytes(request.output / MODEL, data)
    if learned is not None:
        ranges = _ranges(request, learned)
        write_bytes(request.output / RANGES, pretty_bytes(ranges))
    binding = msgspec.structs.replace(request.binding, artifact=None)
    return RepairedModel(
        model=WrittenModel(
            binding=binding,
            options=tuple(sorted(options)),
            tools=tuple((name, version(name)) for name in ("numpy", *libraries)),
        ),
        file=MODEL,
        ranges=RANGES if learned is not None else None,
    )


def _ranges(request: RepairRequest, learned: Bounds) -> Ranges:
    """The learned ranges, and what calibration measured of the file that learning started from.

    Learning moves activations by little: the measured ranges stay good to look at, for wider
    layers (int16) and for those that learning did not reach.
    """
    former = parse(request.ranges.read_bytes(), Ranges, what=request.ranges.name)
    found = MethodRanges(
        method="learned",
        ranges=tuple(
            TensorRange(tensor=name, low=low, high=high)
            for name, (low, high) in sorted(learned.items())
        ),
    )
    others = tuple(one for one in former.methods if one.method != "learned")
    return Ranges(artifact=file_sha256(request.output / MODEL), methods=(*others, found))


def text(value: object) -> str:
    """An option's value."""
    return canonical_bytes(value).decode()
