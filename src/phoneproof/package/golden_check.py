"""Re-running golden vectors: with LiteRT and ONNX Runtime alone, no source and no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from phoneproof.core.artifact import Artifact
from phoneproof.core.check import Check, DatasetRef, Worst
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput, VerificationFailed
from phoneproof.core.golden import Flag, GoldenCase, GoldenIndex, GoldenTensor
from phoneproof.core.json_format import content_hash, parse
from phoneproof.core.tolerances import (
    FLOAT32_RAW_RELATIVE,
    TENSORFLOW_RESIZE,
)
from phoneproof.package.golden import (
    INDEX,
    GoldenModel,
    OpenSession,
    is_recorded,
    open_models,
    recorded_tensors,
)
from phoneproof.package.golden_results import Same, results_again, shown_from
from phoneproof.package.golden_steps import FREE_STEPS, Steps, score_tolerance, steps_of
from phoneproof.package.golden_tensors import (
    Tensor,
    read_checked,
    read_tensor,
    tensor_sha256,
)
from phoneproof.pixels.image import read_image

WORST = 3
PIXEL_RANGE = 255.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """One case measured with one model. Distances: 0 where equal. found: expected results that
    came again, of `results`; `ties` lie too near the threshold to be judged."""

    case: GoldenCase
    artifact: str
    pixels: float
    outputs: float
    found: int
    results: int
    ties: int


def read_golden(folder: Path) -> GoldenIndex:
    """The golden index of a folder.

    Raises:
        InvalidInput: missing, damaged or of another schema.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InvalidInput("there are no golden vectors", found=f"no {INDEX} in {folder.name}")
    return parse(path.read_bytes(), GoldenIndex, what=f"{folder.name}/{INDEX}")


def check_golden(
    folder: Path,
    contract: Contract,
    artifacts: Sequence[tuple[Artifact, Path]],
    open_session: OpenSession,
    *,
    runtime: str = "",
    device: str = "",
) -> tuple[Check, ...]:
    """Run the golden vectors of `folder` again with `artifacts` (all of them, or some).

    golden_pixels is exact over the lossless pictures (and, not gating, over the JPEG ones, whose
    decoders differ between platforms); golden_outputs is bounded; golden_results is the share of
    recorded results that come again. `slice` names the artifact ("jpeg" for the JPEG pixels).

    Raises:
        VerificationFailed: a golden file is missing or altered, or belongs to another contract
            or artifact; it is named.
    """
    index = read_golden(folder)
    _check_belongs(index, contract, artifacts)
    for artifact, _ in artifacts:
        _check_complete(index, artifact)
    dataset = DatasetRef(hash=content_hash([c.sha256 for c in index.cases]), split="golden")
    models = open_models(contract, artifacts, open_session)
    steps = {artifact.id: steps_of(artifact, path) for artifact, path in artifacts}
    seen = [s for case in index.cases for s in _measure(folder, contract, case, models, steps)]
    checks = list(_pixel_checks(contract, seen, dataset))
    for model in models:
        own = [s for s in seen if s.artifact == model.artifact.id]
        checks += _model_checks(model, own, dataset, runtime, device)
    return tuple(checks)


def _check_belongs(
    index: GoldenIndex, contract: Contract, artifacts: Sequence[tuple[Artifact, Path]]
) -> None:
    if not artifacts:
        raise InvalidInput("golden vectors need an artifact", found="none that can be run here")
    faults = [] if index.contract == contract.sha256 else ["made with another contract"]
    known = dict(index.artifacts)
    faults += [
        f"made with another {artifact.id}"
        for artifact, _ in artifacts
        if known.get(artifact.id) != artifact.sha256
    ]
    if faults:
        raise VerificationFailed(
            "the golden vectors are not those of this bundle",
            found="; ".join(faults),
            next_step="build it again",
        )


def _check_complete(index: GoldenIndex, artifact: Artifact) -> None:
    """Every case that records such a file must speak of it, and of all its outputs."""
    seen: Counter[Flag] = Counter()
    for case in index.cases:
        kind: Flag = "lossless" if "lossless" in case.flags else "jpeg"
        number, seen[kind] = seen[kind], seen[kind] + 1
        if not is_recorded(artifact, number, kind):
            continue
        recorded = [o for o in case.expected.artifacts if o.artifact == artifact.id]
        names = [tensor.name for outputs in recorded for tensor in outputs.outputs]
        if sorted(names) != sorted(recorded_tensors(artifact)):
            raise InvalidInput(
                f"the golden index does not record {artifact.id} completely",
                found=f"case {case.id}: outputs {', '.join(names) or 'none'}",
                next_step="build the bundle again",
            )
    if not index.cases:
        raise InvalidInput("the golden index holds no case", next_step="build the bundle again")


def _measure(
    folder: Path,
    contract: Contract,
    case: GoldenCase,
    models: tuple[GoldenModel, ...],
    steps: Mapping[str, Steps],
) -> list[_Seen]:
    read_checked(folder, case.file, case.sha256)
    rgb = read_image(folder / case.file, contract.image)
    recorded = {outputs.artifact: outputs for outputs in case.expected.artifacts}
    exact = contract.image.values == "uint8"
    seen = []
    for model in models:
        expected = recorded.get(model.artifact.id)
        if expected is None:  # `_check_complete` allowed it
            continue
        pixels = _distance(
            folder, case.expected.pixels, model.preprocessor.pixels(rgb), exact=exact
        )
        fed = _distance(folder, expected.input, model.preprocessor.prepare(rgb).tensor, exact=exact)
        results, outputs = model.predictor.predict_rgb(rgb)
        own = steps[expected.artifact]
        free = {one.name: own.free_of(one, read_tensor(folder, one)) for one in expected.outputs}
        same = Same(
            score=score_tolerance(model.artifact, free),
            by_overlap=own.integers,
        )
        found, count, ties = results_again(
            expected, results, shown_from(contract, model.artifact), same
        )
        seen.append(
            _Seen(
                case=case,
                artifact=model.artifact.id,
                pixels=max(pixels, fed),
                outputs=max(
                    (
                        _relative(folder, one, outputs[one.name], free[one.name])
                        for one in expected.outputs
                    ),
                    default=0.0,
                ),
                found=found,
                results=count,
                ties=ties,
            )
        )
    return seen


def _distance(folder: Path, expected: GoldenTensor, tensor: Tensor, *, exact: bool) -> float:
    """Largest difference of the stored elements; where only the hash differs, the smallest step.

    The smallest step is one for whole numbers, one unit in the last place for floats.
    """
    stored = read_tensor(folder, expected)
    if tensor.shape != expected.shape or tensor.dtype.name != expected.dtype:
        return float("inf")
    kept = tensor.reshape(-1)[:: expected.every].astype(np.float64)
    distance = float(np.abs(kept - stored.astype(np.float64)).max(initial=0.0))
    if not np.isfinite(distance):
        return float("inf")
    if exact and distance == 0.0 and tensor_sha256(tensor) != expected.sha256:
        return 1.0 if tensor.dtype.kind in "iu" else float(np.spacing(np.float32(1)))
    return distance


def _relative(folder: Path, expected: GoldenTensor, tensor: Tensor, free: float) -> float:
    """Largest difference beyond what is `free`, relative to the largest magnitude."""
    if tensor_sha256(tensor) == expected.sha256 and tensor.shape == expected.shape:
        read_tensor(folder, expected)
        return 0.0
    distance = max(0.0, _distance(folder, expected, tensor, exact=False) - free)
    magnitude = np.abs(read_tensor(folder, expected).astype(np.float64)).max(initial=0.0)
    return distance / float(magnitude) if magnitude > 0 else distance


def _pixel_checks(contract: Contract, seen: list[_Seen], dataset: DatasetRef) -> list[Check]:
    limit = 0.0 if contract.image.values == "uint8" else TENSORFLOW_RESIZE * PIXEL_RANGE
    lossless = [s for s in seen if "lossless" in s.case.flags]
    jpeg = [s for s in seen if "jpeg" in s.case.flags]
    checks = [_pixel_check(lossless, limit, dataset, part="")]
    if jpeg:  # a file with a slow runtime has none
        checks.append(_pixel_check(jpeg, None, dataset, part="jpeg"))
    return checks


def _pixel_check(seen: list[_Seen], limit: float | None, dataset: DatasetRef, part: str) -> Check:
    value = max((s.pixels for s in seen), default=0.0)
    failed = limit is not None and value > limit
    return Check(
        name="golden_pixels",
        kind="exact" if limit == 0.0 else "bounded",
        value=value if np.isfinite(value) else None,
        limit=limit,
        gating=limit is not None,
        n=len({s.case.id for s in seen}),
        dataset=dataset,
        slice=part,
        method="Pixels after the geometry and the input tensor, against the recorded ones",
        verdict="fail" if failed else "pass",
        worst=_worst(seen, [s.pixels for s in seen]) if value > 0 else (),
        hint="run `phoneproof pixels PICTURE --against DUMP` to name the mistake" if failed else "",
    )


def _model_checks(
    model: GoldenModel, seen: list[_Seen], dataset: DatasetRef, runtime: str, device: str
) -> list[Check]:
    value = max(s.outputs for s in seen)
    failed = not value <= FLOAT32_RAW_RELATIVE
    outputs = Check(
        name="golden_outputs",
        kind="bounded",
        value=value if np.isfinite(value) else None,
        limit=FLOAT32_RAW_RELATIVE,
        n=len(seen),
        dataset=dataset,
        runtime=runtime,
        device=device,
        slice=model.artifact.id,
        method="Relative to the largest magnitude of the recorded output; of integers, beyond "
        f"{FREE_STEPS:g} steps",
        verdict="fail" if failed else "pass",
        worst=_worst(seen, [s.outputs for s in seen]) if failed else (),
        hint="the file or the runtime computes something else than at build time" if failed else "",
    )
    count = sum(s.results for s in seen)
    results = [_results_check(outputs, seen, count)] if count else []
    return results if model.artifact.binding.rows_vary else [outputs, *results]


def _results_check(outputs: Check, seen: list[_Seen], count: int) -> Check:
    share = sum(s.found for s in seen) / count
    missed = [float(s.results - s.found) for s in seen]
    verdict: Literal["pass", "fail"] = "pass" if share == 1.0 else "fail"
    return Check(
        name="golden_results",
        kind="bounded",
        value=share,
        limit=1.0,
        direction="min",
        n=len(seen),
        ties=sum(s.ties for s in seen),
        dataset=outputs.dataset,
        runtime=outputs.runtime,
        device=outputs.device,
        slice=outputs.slice,
        method=f"Share of {count} recorded results that came again",
        verdict=verdict,
        worst=_worst(seen, missed) if verdict == "fail" else (),
        hint="" if verdict == "pass" else "look at decode: thresholds, NMS, labels",
    )


def _worst(seen: list[_Seen], values: list[float]) -> tuple[Worst, ...]:
    order = sorted(range(len(seen)), key=lambda i: -values[i])[:WORST]
    return tuple(
        Worst(image=seen[i].case.file, sha256=seen[i].case.sha256, value=values[i])
        for i in order
        if values[i] > 0
    )
