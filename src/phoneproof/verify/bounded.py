"""Bounded checks: every image within a tolerance, no statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core import tolerances
from phoneproof.core.check import Check, Worst
from phoneproof.core.errors import VerificationFailed
from phoneproof.core.tensors import identifiers
from phoneproof.verify import final_rows
from phoneproof.verify.evidence import ImageValue, Setting, bounded_check, worst_images
from phoneproof.verify.limits import Limits

IDENTICAL_SNR_DB: Final = 300.0
"""Stands for "no noise at all": twice the 53 bits of a double is 319 dB, and JSON knows no inf."""

PROBABILITY_ROLES: Final = frozenset({"probabilities", "scores", "objectness"})
"""Roles whose values are in 0..1, so that an absolute difference means something."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleRow:
    """One output of one image. peak: the baseline's largest magnitude.

    signal, noise: sums of squares of the baseline and of the difference. equal: share of values
    that are the same (1 of none).
    """

    name: str
    sha256: str
    role: str
    max_abs: float
    peak: float
    signal: float
    noise: float
    equal: float = 1.0


def compare_roles(
    name: str,
    sha256: str,
    baseline: Mapping[str, NDArray[Any]],
    candidate: Mapping[str, NDArray[Any]],
    *,
    floor: float = 0.0,
) -> tuple[RoleRow, ...]:
    """Differences of every output of one image.

    Final detections (those with a role ``classes``) are matched first: rows above `floor`. Names
    that a format had to spell as identifiers count as the same.

    Raises:
        VerificationFailed: the candidate's outputs have other names or shapes.
    """
    candidate = _named_alike(baseline, candidate)
    if final_rows.CLASSES in baseline and list(baseline) == list(candidate):
        baseline, candidate = final_rows.in_step(baseline, candidate, floor)
    expected = {role: array.shape for role, array in baseline.items()}
    found = {role: array.shape for role, array in candidate.items()}
    if expected != found:
        raise VerificationFailed(
            "the artifact's outputs are not those of the baseline",
            found=f"baseline {_shapes(expected)}; artifact {_shapes(found)}",
            next_step="check the artifact's binding: output names, order, axes and slices",
        )
    return tuple(
        _role_row(name, sha256, role, baseline[role], candidate[role]) for role in baseline
    )


def _named_alike(
    baseline: Mapping[str, NDArray[Any]], candidate: Mapping[str, NDArray[Any]]
) -> Mapping[str, NDArray[Any]]:
    """The candidate under the baseline's names, where both are the same as identifiers."""
    names = tuple(baseline), tuple(candidate)
    if set(names[0]) == set(names[1]):
        return candidate
    plain, found = (identifiers(one) for one in names)
    by_plain = {name: candidate[key] for key, name in found.items()}
    if set(plain.values()) != set(by_plain):
        return candidate
    return {key: by_plain[name] for key, name in plain.items()}


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{role} {list(shape)}" for role, shape in shapes.items())


def _role_row(
    name: str, sha256: str, role: str, baseline: NDArray[Any], candidate: NDArray[Any]
) -> RoleRow:
    b = np.asarray(baseline, np.float64)
    c = np.asarray(candidate, np.float64)
    with np.errstate(invalid="ignore"):
        # Equal infinities (a masked logit) differ by nothing; a NaN differs by infinity.
        difference = np.where(b == c, 0.0, np.abs(b - c))
    difference = np.where(np.isnan(difference), np.inf, difference)
    peak = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
    return RoleRow(
        name=name,
        sha256=sha256,
        role=role,
        max_abs=float(difference.max(initial=0.0)),
        peak=peak,
        signal=float(np.square(b[np.isfinite(b)]).sum()),
        noise=float(np.square(difference).sum()),
        equal=1.0 - int(np.count_nonzero(difference)) / max(1, difference.size),
    )


def _snr_db(signal: float, noise: float) -> float:
    """10 log10 of signal power over noise power, within +-300."""
    if noise == 0.0:
        return IDENTICAL_SNR_DB
    if signal == 0.0 or not math.isfinite(noise):
        return -IDENTICAL_SNR_DB
    decibels = 10.0 * (math.log10(signal) - math.log10(noise))
    return max(-IDENTICAL_SNR_DB, min(IDENTICAL_SNR_DB, decibels))


def role_checks(
    setting: Setting,
    rows: Sequence[RoleRow],
    limits: Limits,
    class_maps: frozenset[str] = frozenset(),
) -> list[Check]:
    """max_abs and snr_db of every output; none where outputs were not kept.

    class_maps: outputs of class numbers, of which the share of equal ones is told: class 15 in
    place of class 3 is no larger fault than class 4.
    """
    checks: list[Check] = []
    for role in dict.fromkeys(row.role for row in rows):
        of_role = [row for row in rows if row.role == role]
        if role in class_maps:
            checks.append(_class_map_check(setting, role, of_role, limits))
            continue
        checks.append(_max_abs_check(setting, role, of_role, limits))
        checks.append(_snr_check(setting, role, of_role, limits))
    return checks


def without_faint_noise(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks of a dequantised hub; the noise of scores that are all rounding does not gate."""
    faint = {
        check.slice
        for check in checks
        if check.name == "max_abs"
        and check.slice in PROBABILITY_ROLES
        and check.value is not None
        and check.value <= tolerances.DEQUANTISED_FAINT
    }
    return tuple(
        msgspec.structs.replace(check, gating=False)
        if check.name == "snr_db" and check.slice in faint and check.verdict == "fail"
        else check
        for check in checks
    )


def _max_abs_check(setting: Setting, role: str, rows: list[RoleRow], limits: Limits) -> Check:
    absolute = role in PROBABILITY_ROLES
    scale = 1.0 if absolute else max((row.peak for row in rows), default=0.0) or 1.0
    method = "largest absolute difference over all values and images"
    return bounded_check(
        setting,
        "max_abs",
        max(row.max_abs for row in rows) / scale,
        _max_abs_limit(role, limits),
        n=len(rows),
        slice_=role,
        method=method if absolute else f"{method}, relative to the largest magnitude {scale:.6g}",
        worst=_worst_roles(rows, scale),
    )


def _max_abs_limit(role: str, limits: Limits) -> float | None:
    if role == "probabilities":
        return limits.max_abs
    return limits.max_abs_hidden if role in PROBABILITY_ROLES else limits.max_abs_relative


def _worst_roles(rows: Sequence[RoleRow], scale: float) -> tuple[Worst, ...]:
    return worst_images(
        ImageValue(name=row.name, sha256=row.sha256, value=row.max_abs / scale) for row in rows
    )


def _snr_check(setting: Setting, role: str, rows: list[RoleRow], limits: Limits) -> Check:
    # Over all images: where an image shows nothing there is no signal, and the quotient of two
    # noises would judge the model.
    signal, noise = sum(row.signal for row in rows), sum(row.noise for row in rows)
    mean = signal / len(rows)
    return bounded_check(
        setting,
        "snr_db",
        _snr_db(signal, noise),
        limits.snr_db,
        n=len(rows),
        direction="min",
        unit="dB",
        slice_=role,
        method="10 log10(signal power / noise power), summed over all images; an image's own "
        "noise against their mean signal; 300 dB: identical",
        worst=worst_images(
            (
                ImageValue(name=row.name, sha256=row.sha256, value=_snr_db(mean, row.noise))
                for row in rows
            ),
            lowest=True,
        ),
    )


def _class_map_check(setting: Setting, role: str, rows: list[RoleRow], limits: Limits) -> Check:
    # Of the worst image: one map that is wrong throughout is no matter of ties, however many
    # other images there are.
    return bounded_check(
        setting,
        "class_map_agreement",
        min(row.equal for row in rows),
        limits.class_map_agreement,
        n=len(rows),
        direction="min",
        slice_=role,
        method="positions with the same class number, as a share of an image's; the worst image",
        worst=worst_images(
            (ImageValue(name=row.name, sha256=row.sha256, value=row.equal) for row in rows),
            lowest=True,
        ),
    )


def hub_checks(
    setting: Setting,
    rows: Sequence[RoleRow],
    limits: Limits,
    class_maps: frozenset[str] = frozenset(),
) -> list[Check]:
    """The capture gate: one hub_equivalence check per output; of class maps as `role_checks`."""
    checks: list[Check] = []
    for role in dict.fromkeys(row.role for row in rows):
        of_role = [row for row in rows if row.role == role]
        if role in class_maps:
            checks.append(_class_map_check(setting, role, of_role, limits))
            continue
        scale = max(row.peak for row in of_role) or 1.0
        checks.append(
            bounded_check(
                setting,
                "hub_equivalence",
                max(row.max_abs for row in of_role) / scale,
                limits.hub_equivalence,
                n=len(of_role),
                slice_=role,
                method=f"largest difference relative to the largest magnitude {scale:.6g}",
                worst=_worst_roles(of_role, scale),
            )
        )
    return checks
