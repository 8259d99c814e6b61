"""Judging what a device recorded of the golden vectors: every distance is computed here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.artifact import Artifact
from phoneproof.core.check import Check, DatasetRef
from phoneproof.core.contract import Contract
from phoneproof.core.device_results import Accelerator, RecordedOutput, RecordedVector
from phoneproof.core.errors import InvalidInput
from phoneproof.core.golden import GoldenBox, GoldenCase, GoldenIndex, GoldenOutputs, GoldenTensor
from phoneproof.core.json_format import content_hash
from phoneproof.decode.decode import decode
from phoneproof.decode.results import Classification, Detections, Results
from phoneproof.package.device_tally import DeviceLimits, Tally, checks_of
from phoneproof.package.golden_results import Same, results_again, shown_from
from phoneproof.package.golden_steps import Steps, score_tolerance
from phoneproof.package.golden_tensors import read_tensor
from phoneproof.pixels.geometry import plan_geometry
from phoneproof.pixels.inverse import to_original

Tensor = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What a bundle holds for judging one artifact on a device.

    folder: the golden vectors. steps: what is free in the outputs of integers.
    """

    folder: Path
    index: GoldenIndex
    contract: Contract
    artifact: Artifact
    limits: DeviceLimits
    steps: Steps

    @property
    def cases(self) -> dict[str, tuple[GoldenCase, GoldenOutputs]]:
        """Every case that speaks of the artifact, by its id."""
        return {
            case.id: (case, outputs)
            for case in self.index.cases
            for outputs in case.expected.artifacts
            if outputs.artifact == self.artifact.id
        }

    @property
    def required(self) -> frozenset[str]:
        """The lossless cases: their input is the same on every platform."""
        return frozenset(name for name, (case, _) in self.cases.items() if "lossless" in case.flags)


def accelerator_checks(
    recorded: Recorded, accelerator: Accelerator, *, engine: str, device: str
) -> tuple[Check, ...]:
    """The checks of one accelerator that ran.

    golden_pixels: the input tensors' hashes, where recorded and exact (lossless cases of ``uint8``
    values; left out where there are none). golden_outputs: largest difference relative to the
    output's largest magnitude. snr_db: of each output over all cases.
    golden_results: decoded here from outputs that were recorded whole, and those that the app's
    own decode gave. All lossless cases must be there.

    Raises:
        InvalidInput: cases or outputs that the bundle does not know, or values that are not what
            they are said to be.
    """
    cases = recorded.cases
    tally = Tally(missing=recorded.required - {one.case for one in accelerator.vectors})
    for vector in accelerator.vectors:
        if vector.case not in cases:
            raise _unfit(f"a golden case {vector.case!r} that the bundle does not have")
        if vector.case in tally.seen:
            raise _unfit(f"golden case {vector.case} twice")
        case, expected = cases[vector.case]
        _measure(recorded, tally, vector, case, expected)
    hashes = content_hash([cases[name][0].sha256 for name in sorted(tally.seen)])
    dataset = DatasetRef(hash=hashes, split="golden")
    return checks_of(tally, recorded.limits, dataset, runtime=engine, device=device)


def _measure(
    recorded: Recorded,
    tally: Tally,
    vector: RecordedVector,
    case: GoldenCase,
    expected: GoldenOutputs,
) -> None:
    outputs = {one.name: one for one in vector.outputs}
    if sorted(one.name for one in vector.outputs) != sorted(o.name for o in expected.outputs):
        names = ", ".join(one.name for one in vector.outputs) or "none"
        raise _unfit(f"case {case.id}: outputs {names}")
    seen = tally.begin(case)
    # A distance in the last bit of a decoder or of float pixels is not a wrong input: a hash
    # says nothing there, and nothing is claimed of it.
    exact = recorded.contract.image.values == "uint8" and "lossless" in case.flags
    if exact and vector.input_sha256 is not None:
        tally.inputs[case.id] = vector.input_sha256 == expected.input.sha256
    whole: dict[str, Tensor] = {}
    free: dict[str, float] = {}
    for golden in expected.outputs:
        values = _values(outputs[golden.name], golden, case)
        stored = read_tensor(recorded.folder, golden)
        free[golden.name] = recorded.steps.free_of(golden, stored)
        seen.add(golden.name, stored, values, free[golden.name])
        if golden.every == 1:
            whole[golden.name] = values.reshape(golden.shape)
    same = Same(
        score=max(score_tolerance(recorded.artifact, free), recorded.limits.score),
        by_overlap=recorded.steps.integers,
    )
    for results in _results(recorded, case, vector, expected, whole):
        threshold = shown_from(recorded.contract, recorded.artifact)
        seen.add_results(*results_again(expected, results, threshold, same))


def _values(output: RecordedOutput, golden: GoldenTensor, case: GoldenCase) -> Tensor:
    """The recorded elements, flat.

    Raises:
        InvalidInput: another type, step or number than the golden index speaks of.
    """
    where = f"case {case.id}, output {golden.name!r}"
    if (output.dtype, output.every) != (golden.dtype, golden.every):
        raise _unfit(f"{where}: {output.dtype}, every {output.every}; "
                     f"recorded at build: {golden.dtype}, every {golden.every}")  # fmt: skip
    dtype = np.dtype(golden.dtype).newbyteorder("<")
    try:
        data = base64.b64decode(output.values, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unfit(f"{where}: values are not base64") from error
    count = int(np.prod(golden.shape, dtype=np.int64))
    expected = -(-count // golden.every) * dtype.itemsize
    if len(data) != expected:
        raise _unfit(f"{where}: {len(data)} bytes instead of {expected}")
    return np.frombuffer(data, dtype)


def _results(
    recorded: Recorded,
    case: GoldenCase,
    vector: RecordedVector,
    expected: GoldenOutputs,
    whole: Mapping[str, Tensor],
) -> list[Results]:
    """Results to compare: ours from whole outputs, and the app's own where it wrote them."""
    found: list[Results] = []
    if len(whole) == len(expected.outputs):
        plan = plan_geometry(recorded.contract.image, case.height, case.width)
        back = partial(to_original, plan=plan)
        found.append(decode(whole, recorded.contract, recorded.artifact.binding, to_original=back))
    if vector.boxes is not None and expected.boxes is not None:
        found.append(_detections(vector.boxes))
    if vector.classes is not None and expected.classes is not None:
        size = 1 + max((one.label for one in expected.classes), default=0)
        # What the app does not name has no probability: it is not found.
        probabilities = np.full(size, np.nan, np.float32)
        for one in vector.classes:
            if 0 <= one.label < size:
                probabilities[one.label] = one.probability
        found.append(Classification(probabilities=probabilities))
    return found


def _detections(boxes: tuple[GoldenBox, ...]) -> Detections:
    return Detections(
        boxes=np.asarray([one.box for one in boxes], np.float32).reshape(-1, 4),
        scores=np.asarray([one.score for one in boxes], np.float32),
        classes=np.asarray([one.label for one in boxes], np.int64),
    )


def _unfit(found: str) -> InvalidInput:
    return InvalidInput(
        "the device results do not fit the bundle's golden vectors",
        found=found,
        next_step="run the kit that lies in this very bundle again",
    )
