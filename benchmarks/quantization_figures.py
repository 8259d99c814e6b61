"""What is measured of a quantized file: pooled over both halves, beside the float32 file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.core.binding import Binding, Format
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import RUNTIMES, Session
from phoneproof.runtimes.predict import Prediction, Predictor
from phoneproof.runtimes.tensors import fits
from phoneproof.verify.limits import limits_for
from phoneproof.verify.measure import measure
from phoneproof.verify.statistics import binomial
from phoneproof.verify.verdicts import accepted

SHOWN = (
    *("top1", "top1_drop", "top1_agreement"),
    *("map50_95", "map50_95_drop", "small_recall_drop"),
    *("score_shift", "lost_share"),
)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value with its one-sided 95 % bounds, over n images (or detections)."""

    name: str
    value: float | None
    lower: float | None = None
    upper: float | None = None
    n: int


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A quantized file of one half. macs_above_int8: share of its multiply-accumulates that are
    wider than int8 (null: nobody can tell). note: what its maker says of it, where it matters.
    shipped: false where its own build refused it.
    """

    path: Path
    format: Format
    binding: Binding
    contract: Contract
    seconds: float
    peak_bytes: int
    macs_above_int8: float | None
    note: str = ""
    shipped: bool = True


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one quantizer on one case. gate: whether phoneproof's own limits accept it."""

    figures: tuple[Figure, ...]
    gate: bool
    refused_by: tuple[str, ...]


def rebound(binding: Binding, session: Session, format_: Format) -> Binding:
    """The float file's binding with the types and scales that a quantized file really has.

    Where a model has one output its name does not matter: TFLiteConverter gives Keras models
    names of its own.

    Raises:
        InvalidInput: the quantizer gave a tensor another name or shape.
    """
    image = _found(session.inputs, binding.image.tensor, binding.image.shape)
    bound = msgspec.structs.replace(
        binding.image, tensor=image.name, dtype=image.dtype, quant=image.quant
    )
    outputs = []
    for one in binding.outputs:
        spec = _found(session.outputs, one.tensor, one.shape)
        outputs.append(
            msgspec.structs.replace(one, tensor=spec.name, dtype=spec.dtype, quant=spec.quant)
        )
    return msgspec.structs.replace(binding, format=format_, inputs=(bound,), outputs=tuple(outputs))


def _found(specs: Sequence[TensorSpec], name: str, shape: tuple[int, ...]) -> TensorSpec:
    same = [spec for spec in specs if spec.name == name]
    if not same and len(specs) == 1 and fits(shape, specs[0].shape):
        same = list(specs)
    if not same:
        found = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs)
        raise InvalidInput(f"no tensor {name!r} {list(shape)}", found=found)
    return same[0]


def predictions(candidate: Candidate, items: Sequence[ImageItem]) -> list[Prediction]:
    """What a file says of some images, on our own runtime of its format."""
    session = RUNTIMES.load(candidate.format).open(candidate.path)
    predictor = Predictor(session, candidate.contract, candidate.binding)
    metric = candidate.contract.task == "detect"
    return list(predictor.predict_items(items, with_metric=metric))


def pooled(images: ImageSet, halves: Iterable[Sequence[Prediction]]) -> list[Prediction]:
    """The predictions of both halves in the order of the images: each image exactly once.

    Raises:
        ValueError: an image that no half evaluated, or that two did.
    """
    by_hash: dict[str, Prediction] = {}
    for half in halves:
        for one in half:
            if one.sha256 in by_hash:
                raise ValueError(f"{one.name} was evaluated twice")
            by_hash[one.sha256] = one
    missing = [item.name for item in images.items if item.sha256 not in by_hash]
    if missing or len(by_hash) != len(images.items):
        raise ValueError(f"not evaluated: {', '.join(missing[:3]) or 'images of another set'}")
    return [by_hash[item.sha256] for item in images.items]


def figures(
    baseline: Sequence[Prediction],
    candidate: Sequence[Prediction],
    *,
    images: ImageSet,
    contract: Contract,
    runtime: str,
) -> Measured:
    """Compare a quantized model with its float32 file, as a build does."""
    limits = limits_for("static_wi8_ai8")
    found = measure(
        baseline=baseline,
        candidate=candidate,
        images=images,
        contract=contract,
        precision="static_wi8_ai8",
        limits=limits,
        runtime=runtime,
        device="cpu",
        outputs_kept=False,
    )
    return Measured(
        figures=tuple(_figure(check) for check in found.checks if check.name in SHOWN),
        gate=accepted(found.checks, limits),
        refused_by=tuple(c.name for c in found.checks if c.gating and c.verdict == "fail"),
    )


def _figure(check: Check) -> Figure:
    lower, upper = check.bounds or (None, None)
    if check.name == "top1_agreement" and check.value is not None:
        rate = binomial(round(check.value * check.n), check.n)
        lower, upper = rate.lower, rate.upper
    return Figure(name=check.name, value=check.value, lower=lower, upper=upper, n=check.n)
