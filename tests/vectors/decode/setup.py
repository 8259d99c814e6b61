"""What a decode case is made of, and the results the reference gives for it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.binding import (
    Activation,
    Anchors,
    Axis,
    Binding,
    Box,
    OutputBinding,
    Quant,
    Role,
)
from phoneproof.core.contract import Contract, Decode, Nms, Size
from phoneproof.core.errors import PhoneproofError
from phoneproof.decode.decode import decode
from phoneproof.decode.labels import ranking
from phoneproof.decode.results import Classification, Detections, Float, Results
from phoneproof.pixels.geometry import plan_geometry
from phoneproof.pixels.inverse import to_original
from tests.vectors.inputs import bound, letterbox, spec
from tests.vectors.pictures import noise
from tests.vectors.types import (
    ClassRow,
    DecodeCase,
    DetectionRow,
    Flag,
    OutputTensor,
    RawTensor,
    dtype_of,
    little_endian,
)

Tensors = Mapping[str, NDArray[Any]]

SIZE: Final[Size] = (64, 96)
"""Of the detectors' input: no square, so that swapped sides show."""
ORIGINAL: Final[Size] = (75, 100)
LABELS: Final = ("cat", "dog", "cow")
CONTRACT_DECODE: Final = Decode(confidence=0.9, nms=Nms(iou=0.5, max_detections=40))


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """One case before it is decoded. tensors: the outputs by name, batch first."""

    name: str
    comment: str
    contract: Contract
    binding: Binding
    tensors: Tensors
    flags: tuple[Flag, ...] = ()
    original: Size = ORIGINAL
    index: int = 0


def values(seed: int, shape: tuple[int, ...], low: float, step: float) -> Float:
    """float32 ``low + noise * step``; exact where both are short binary fractions."""
    count = int(np.prod(shape))
    numbers = noise(seed, count).astype(np.float32) * np.float32(step) + np.float32(low)
    return numbers.reshape(shape)


def part(
    tensors: Tensors,
    name: str,
    role: Role,
    axes: tuple[Axis, ...],
    *,
    level: int | None = None,
    cut: tuple[int, int] | None = None,
    packed: int = 1,
    box: Box | None = None,
    activation: Activation = "none",
    quant: Quant | None = None,
    class_offset: int = 0,
) -> OutputBinding:
    """One role, with shape and dtype of its tensor."""
    return OutputBinding(
        tensor=name,
        role=role,
        shape=tensors[name].shape,
        dtype=dtype_of(tensors[name]),
        axes=axes,
        level=level,
        slice=cut,
        packed=packed,
        class_offset=class_offset,
        quant=quant,
        activation=activation,
        box=box,
    )


def detector(labels: tuple[str | None, ...] = LABELS, policy: Decode = CONTRACT_DECODE) -> Contract:
    """A detector of a letterboxed input."""
    return Contract(
        name="vectors",
        task="detect",
        inputs=(spec(SIZE, *letterbox(SIZE)),),
        labels=labels,
        decode=policy,
    )


def bind(
    contract: Contract,
    *outputs: OutputBinding,
    anchors: Anchors | None = None,
    nms_in_file: bool = False,
    override: Decode | None = None,
    batch: int = 1,
) -> Binding:
    """The binding of a file of that contract."""
    image = bound(contract.image)
    return Binding(
        contract=contract.sha256,
        format="tflite",
        batch=batch,
        inputs=(msgspec.structs.replace(image, shape=(batch, *image.shape[1:])),),
        outputs=outputs,
        anchors=anchors,
        nms_in_file=nms_in_file,
        decode_override=override,
    )


def case(setup: Setup) -> DecodeCase:
    """The setup with the reference's results; refused exactly where its flags say error."""
    results: Results | None = None
    try:
        results = decoded(setup)
    except PhoneproofError:
        if "error" not in setup.flags:
            raise
    if ("error" in setup.flags) != (results is None):
        raise ValueError(f"{setup.name} is not refused")
    return DecodeCase(
        id=f"decode-{setup.name}",
        comment=setup.comment,
        flags=setup.flags,
        contract=setup.contract,
        binding=setup.binding,
        outputs=tuple(output_tensor(name, array) for name, array in setup.tensors.items()),
        height=setup.original[0],
        width=setup.original[1],
        index=setup.index,
        detections=detection_rows(results),
        classes=class_rows(results, setup.contract),
        raw=raw_rows(results),
        error=results is None,
    )


def decoded(setup: Setup) -> Results:
    """What the reference says.

    Raises:
        PhoneproofError: outputs, binding and contract do not fit each other.
    """
    plan = plan_geometry(setup.contract.image, *setup.original)
    return decode(
        setup.tensors,
        setup.contract,
        setup.binding,
        to_original=partial(to_original, plan=plan),
        index=setup.index,
    )


def output_tensor(name: str, array: NDArray[Any]) -> OutputTensor:
    """One output as the file gives it."""
    return OutputTensor(
        tensor=name,
        dtype=dtype_of(array),
        shape=array.shape,
        data=base64.b64encode(little_endian(array)).decode(),
    )


def detection_rows(results: Results | None) -> tuple[DetectionRow, ...] | None:
    """Best first; None where there are no detections by their nature."""
    if not isinstance(results, Detections):
        return None
    found = zip(results.classes, results.scores, results.boxes, strict=True)
    return tuple(
        DetectionRow(
            class_=int(label),
            score=float(score),
            box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        )
        for label, score, box in found
    )


def class_rows(results: Results | None, contract: Contract) -> tuple[ClassRow, ...] | None:
    """Every class with a label, most probable first."""
    if not isinstance(results, Classification):
        return None
    return tuple(
        ClassRow(class_=int(label), score=float(results.probabilities[label]))
        for label in ranking(results, contract)
    )


def raw_rows(results: Results | None) -> tuple[RawTensor, ...] | None:
    """Every output as it is; None where the task is not raw."""
    if results is None or isinstance(results, Classification | Detections):
        return None
    listed = []
    for name, array in results.tensors:
        made = output_tensor(name, array)
        listed.append(RawTensor(tensor=name, dtype="float32", shape=made.shape, data=made.data))
    return tuple(listed)
