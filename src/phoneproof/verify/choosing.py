"""Choosing among accepted artifacts: which are worth having, and which to ship where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from phoneproof.core.binding import Format
from phoneproof.core.check import Check, CheckName
from phoneproof.core.optimization import ParetoPoint, Recommendation
from phoneproof.core.report import ArtifactReport

Target = Literal["android", "ios", "server"]

RUNS_ON: Final[dict[Target, tuple[Format, ...]]] = {
    "android": ("tflite",),
    "ios": ("coreml", "coreai"),
    "server": ("onnx", "saved_model"),
}
COVERAGE_SLACK: Final = 0.05
"""Share of the operators by which XNNPACK may take less of a file before a larger one is better:
a few operators on TFLite's own kernels cost less than megabytes."""
LATENCY_TIE: Final = 0.1
"""Latencies of one host closer than this (relative to the fastest) are called equal: medians of
repeated measurements on a shared machine differ by as much."""

_ACCURACY: Final[tuple[CheckName, ...]] = ("top1", "map50_95")
_LOSS: Final[tuple[CheckName, ...]] = ("top1_drop", "map50_95_drop")
_AGREEMENT: Final[tuple[CheckName, ...]] = ("top1_agreement", "box_agreement")


def pareto(
    artifacts: Sequence[ArtifactReport], latencies: Mapping[str, float] | None = None
) -> tuple[ParetoPoint, ...]:
    """The accepted artifacts as points, smallest first.

    latencies: artifact id -> milliseconds, where measured. A point is best where no other has at
    most its loss and at most its bytes, and less of one of them. Loss is the drop of top-1 or
    mAP50-95 against the baseline as measured, a gain counted as no loss (it is chance: a smaller
    file knows nothing that its source does not); without labels, the share of images or boxes
    that disagree. Of equal points all are best; an artifact of which
    neither was measured never is.

    The bounds are those of the loss, seen from the baseline's accuracy on the same images: they
    say how far artifacts differ, not how well the model does on other images.
    """
    points = [_point(one, (latencies or {}).get(one.id)) for one in artifacts if one.accepted]
    best = [_with_best(point, points) for point in points]
    return tuple(sorted(best, key=lambda point: (point.bytes, point.artifact)))


def _point(artifact: ArtifactReport, latency: float | None) -> ParetoPoint:
    accuracy, loss, agreement = (
        _check(artifact, names) for names in (_ACCURACY, _LOSS, _AGREEMENT)
    )
    value = accuracy.value if accuracy is not None else None
    drop = loss.value if loss is not None else None
    bounds = None
    if value is not None and drop is not None and loss is not None and loss.bounds is not None:
        bounds = (value + drop - loss.bounds[1], value + drop - loss.bounds[0])
    read = artifact.read_back
    return ParetoPoint(
        artifact=artifact.id,
        format=artifact.format,
        precision=artifact.precision,
        accuracy=value,
        bounds=bounds,
        loss=drop,
        agreement=agreement.value if agreement is not None else None,
        images=next((one.n for one in (loss, agreement) if one is not None), None),
        bytes=artifact.bytes,
        gzip_bytes=read.gzip_bytes if read is not None else None,
        macs=read.macs if read is not None else None,
        latency_ms=latency,
    )


def _check(artifact: ArtifactReport, names: tuple[CheckName, ...]) -> Check | None:
    """The check of the whole set, not of a slice of it, and not against the parent."""
    fitting = (
        check
        for check in artifact.checks
        if check.name in names and check.against != "parent" and not check.slice
    )
    return next(fitting, None)


def _with_best(point: ParetoPoint, points: Sequence[ParetoPoint]) -> ParetoPoint:
    mine = _damage(point)
    beaten = mine is None or any(_beats(other, point) for other in points)
    return msgspec.structs.replace(point, best=not beaten)


def _damage(point: ParetoPoint) -> float | None:
    if point.loss is not None:
        return max(point.loss, 0.0)
    return None if point.agreement is None else 1.0 - point.agreement


def _beats(one: ParetoPoint, other: ParetoPoint) -> bool:
    a, b = _damage(one), _damage(other)
    if a is None or b is None or a > b or one.bytes > other.bytes:
        return False
    return a < b or one.bytes < other.bytes


def recommend(
    artifacts: Sequence[ArtifactReport], points: Sequence[ParetoPoint], target: Target
) -> Recommendation | None:
    """What to ship on a target; None where no accepted artifact runs there.

    Only accepted artifacts of the target's formats are looked at; whether the winner is proved to
    keep its limits is said, and decides nothing: few sets of images can prove that of int8.

    - android, ios: of the files of which XNNPACK takes at most `COVERAGE_SLACK` fewer of the
      operators than of the best one (a file that nobody looked at counts as taken whole), the
      smallest.
    - server: the fastest on this host; files within `LATENCY_TIE` of the fastest are equal.
      Where nothing was timed, all are.

    Of equals, the smaller, then the less damaged, then the first by name.
    """
    mine = [one for one in artifacts if one.accepted and one.format in RUNS_ON[target]]
    if not mine:
        return None
    known = {point.artifact: point for point in points}
    chosen, why = _fastest(mine, known) if target == "server" else _smallest_covered(mine)
    winner = min(chosen, key=_by_size(known))
    return Recommendation(
        target=target,
        artifact=winner.id,
        reason=_reason(winner, why, len(mine), known.get(winner.id)),
    )


def _by_size(
    known: Mapping[str, ParetoPoint],
) -> Callable[[ArtifactReport], tuple[int, float, str]]:
    def key(one: ArtifactReport) -> tuple[int, float, str]:
        point = known.get(one.id)
        damage = _damage(point) if point is not None else None
        return one.bytes, damage if damage is not None else float("inf"), one.id

    return key


def _coverage(artifact: ArtifactReport) -> float | None:
    return next((cost.taken for cost in artifact.phone if cost.delegate == "xnnpack"), None)


def _smallest_covered(pool: Sequence[ArtifactReport]) -> tuple[list[ArtifactReport], str]:
    known = {one.id: _coverage(one) for one in pool}
    shares = {name: 1.0 if share is None else share for name, share in known.items()}
    least = max(shares.values()) - COVERAGE_SLACK
    kept = [one for one in pool if shares[one.id] >= least]
    return kept, "the smallest" if len(kept) == len(pool) else "the smallest that XNNPACK runs well"


def _fastest(
    pool: Sequence[ArtifactReport], known: Mapping[str, ParetoPoint]
) -> tuple[list[ArtifactReport], str]:
    times = {
        one.id: point.latency_ms
        for one in pool
        if (point := known.get(one.id)) is not None and point.latency_ms is not None
    }
    if not times:
        return list(pool), "the smallest (none was timed)"
    limit = min(times.values()) * (1 + LATENCY_TIE)
    kept = [one for one in pool if times.get(one.id, float("inf")) <= limit]
    return kept, "the fastest on this host" if len(kept) == 1 else "the smallest of the fastest"


def _reason(winner: ArtifactReport, why: str, count: int, point: ParetoPoint | None) -> str:
    among = "the only accepted file" if count == 1 else f"{why} of {count} accepted files"
    keeps = (
        "shown to keep its limits"
        if winner.verdict == "pass"
        else "too few images to prove that it keeps its limits"
    )
    parts = [f"{among} for this target", keeps]
    if point is not None and point.loss is not None:
        lost = f"{abs(point.loss) * 100:.1f}"
        word = "lost" if point.loss >= 0 else "gained"
        said = "nothing lost" if lost == "0.0" else f"{lost} points {word}"
        parts.append(f"{said} against the baseline")
    share = _coverage(winner)
    if share is not None:
        most = "all" if share == 1 else f"{min(share * 100, 99.9):.1f} %"
        parts.append(f"XNNPACK takes {most} of its operators")
    return "; ".join(parts)
