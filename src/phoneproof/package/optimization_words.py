"""What is said of optimisation: how a file was found, what it holds, what phones make of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from phoneproof.core.check import Verdict, margin_loss
from phoneproof.core.optimization import (
    CalibrationReport,
    LayerDamage,
    PhoneCost,
    ReadBack,
)
from phoneproof.core.report import ArtifactReport, Attempt, Report
from phoneproof.package.wording import (
    check_title,
    duration,
    joined,
    limit_text,
    number,
    open_checks,
    sentence,
    size,
    with_unit,
)

SHOWN_LAYERS: Final = 20
DELEGATE_NAMES: Final = {
    "xnnpack": "XNNPACK (CPU)",
    "gpu": "the GPU delegate",
    "nnapi": "NNAPI",
}
TARGET_NAMES: Final = {"android": "Android", "ios": "iOS", "server": "a server"}
HOST_NOTE: Final = "of the machine that built this, one thread: not a phone's"
_MANY_ZEROS: Final = 0.05
"""Fewer are those that any training leaves, and nobody's intention."""
_UNMEASURED: Final = ("not tried", "not written")
"""How the reasons of attempts begin that no file was measured of."""
_AT_LEAST: Final = ("top1_agreement", "class_map_agreement", "box_agreement", "snr_db")
"""Checks whose value must reach the limit; every other one's must not exceed it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """One loss of an attempt. strain: how much of its limit it uses up (1 is the limit)."""

    name: str
    value: float | None
    limit: float | None
    kept: bool
    strain: float | None

    @property
    def verdict(self) -> Verdict:
        """Undecided where the value keeps the limit and its check did not pass all the same."""
        if self.kept:
            return "pass"
        return "undecided" if self.strain is not None and self.strain <= 1.0 else "fail"

    @property
    def words(self) -> str:
        """Name, value and limit in a line."""
        if self.limit is None:
            return f"{self.name} {number(self.value)}"
        word = "at least" if self.name.startswith(_AT_LEAST) else "at most"
        return f"{self.name} {number(self.value)}, {word} {number(self.limit)}"

    @property
    def short(self) -> str:
        """The same with a sign for the direction."""
        if self.limit is None:
            return self.words
        sign = "≥" if self.name.startswith(_AT_LEAST) else "≤"
        return f"{self.name} {number(self.value)} ({sign} {number(self.limit)})"


def percent(share: float) -> str:
    """A share as whole percent; one decimal below 10, and never a false 0 or 100."""
    value = share * 100
    if 0 < value < 0.1:
        return "under 0.1 %"
    if 99.9 < value < 100:
        return "over 99.9 %"
    exact = value == round(value)
    return f"{value:.0f} %" if exact or 10 <= value <= 99 else f"{value:.1f} %"


def losses_of(attempt: Attempt) -> tuple[Loss, ...]:
    """What was measured of an attempt, its failed checks first; failed ones that have no limit
    recorded among the losses are there too.
    """
    failed = {name for name, _ in attempt.failed}
    found = [_loss(name, value, limit, failed) for name, value, limit in attempt.losses]
    named = {name for name, _, _ in attempt.losses}
    rest = [
        Loss(name=name, value=value, limit=None, kept=False, strain=None)
        for name, value in attempt.failed
        if name not in named
    ]
    order = ("fail", "undecided", "pass")
    return tuple(sorted([*rest, *found], key=lambda loss: order.index(loss.verdict)))


def _loss(name: str, value: float | None, limit: float | None, failed: set[str]) -> Loss:
    strain = _strain(name, value, limit)
    kept = name not in failed and (strain is None or strain <= 1.0)
    return Loss(name=name, value=value, limit=limit, kept=kept, strain=strain)


def _strain(name: str, value: float | None, limit: float | None) -> float | None:
    """Used part of what the limit allows: losses over the limit, disagreement over the allowed."""
    if value is None or limit is None:
        return None
    if name.startswith("snr_db"):
        return limit / value if value > 0 else None
    if name.startswith(_AT_LEAST):
        value, limit = 1.0 - value, 1.0 - limit
    used = max(margin_loss(name, value), 0.0)
    if limit <= 0:
        return 0.0 if used == 0 else None
    return used / limit


def worst_strain(attempt: Attempt) -> float | None:
    """The largest part of a limit that an attempt uses; None where nothing was measured."""
    found = [loss.strain for loss in losses_of(attempt) if loss.strain is not None]
    return max(found, default=None)


def outcome(attempt: Attempt) -> str:
    """Accepted, or why not."""
    if attempt.broke:
        return f"no file: {attempt.broke}"
    return "accepted" if attempt.accepted else "refused"


def closest(artifact: ArtifactReport) -> Attempt | None:
    """The refused attempt that was nearest to its limits; None where none was measured."""
    tried = [(worst_strain(a), a) for a in artifact.attempts if not a.accepted and not a.broke]
    known = [(strain, attempt) for strain, attempt in tried if strain is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def chosen(artifact: ArtifactReport) -> Attempt | None:
    """The try that the ladder took: the last accepted one; None where there is none."""
    return next((a for a in reversed(artifact.attempts) if a.accepted), None)


def closest_words(artifact: ArtifactReport, report: Report) -> str:
    """How close a refused artifact came, in a sentence; empty where nobody can say.

    A file that was accepted on the images it was chosen on came all the way there: the words are
    of the other images, on which it was refused.
    """
    if chosen(artifact) is not None:
        return _refused_elsewhere(artifact, report)
    attempt = closest(artifact)
    if attempt is None:
        return ""
    measured = [loss for loss in losses_of(attempt) if loss.strain is not None]
    worst = max(measured, key=lambda loss: loss.strain or 0.0)
    return f"“{attempt.what}” ({size(attempt.bytes)}) came closest: {worst.words}."


def _refused_elsewhere(artifact: ArtifactReport, report: Report) -> str:
    counts = {
        split.split: f"{split.n} images"
        for dataset in report.datasets
        for split in dataset.splits
        if split.n
    }
    here = counts.get("selection", "the selection images")
    there = counts.get("confirmation", "the confirmation images")
    why = [
        f"{check_title(check)} {with_unit(check.value, check.unit)}, {limit_text(check)}"
        for check in open_checks(artifact)
    ]
    others = there.replace(" images", " others") if there[:1].isdigit() else there
    return f"Chosen on {here}, refused on {others}: {'; '.join(why)}."


ATTEMPT_HEADER: Final = ("try", "outcome", "size", "MACs above int8", "losses", "time")


def attempt_row(attempt: Attempt) -> tuple[str, ...]:
    """One try as the cells of a table in text, by `ATTEMPT_HEADER`."""
    wide = attempt.macs_above_int8
    return (
        attempt.what,
        outcome(attempt),
        size(attempt.bytes) if attempt.bytes else "",
        percent(wide) if wide is not None else "",
        "; ".join(loss.words for loss in losses_of(attempt)),
        duration(attempt.seconds) if attempt.seconds else "",
    )


def advice_lines(report: Report) -> tuple[str, ...]:
    """What to ship where, a line a target."""
    return tuple(
        sentence(f"for {target_name(one.target)}: {one.artifact}, {one.reason}")
        for one in report.recommended
    )


def optimization_lines(report: Report) -> tuple[str, ...]:
    """How each file was found, what it holds, and what the calibration images are worth."""
    lines = []
    for artifact in report.artifacts:
        found = []
        if artifact.attempts:
            found.append(found_words(artifact))
        if artifact.read_back is not None:
            found.append(f"{_held(artifact.read_back)} {read_back_words(artifact.read_back)}")
        if found:
            lines.append(f"{artifact.id}: {' '.join(found)}")
    if report.calibration is not None:
        words = calibration_words(report.calibration), stability_words(report.calibration)
        lines.append(f"Calibration images: {' '.join(text for text in words if text)}")
    return tuple(lines)


def phone_lines(report: Report) -> tuple[str, ...]:
    """What the delegates take of each file, by their published rules."""
    return tuple(
        f"{artifact.id}: {phone_words(cost)}"
        for artifact in report.artifacts
        for cost in artifact.phone
    )


def _held(read: ReadBack) -> str:
    shares = [f"{percent(share.macs)} {share.dtype}" for share in read.shares if share.macs]
    return f"Its MACs are {joined(shares)}." if shares else ""


def found_words(artifact: ArtifactReport) -> str:
    """How many tries it took, and what won; where that was refused on other images, no find."""
    count = sum(not attempt.broke.startswith(_UNMEASURED) for attempt in artifact.attempts)
    if not count:
        return sentence(artifact.attempts[0].broke)
    seconds = sum(attempt.seconds for attempt in artifact.attempts)
    tries = "one try" if count == 1 else f"{count} tries"
    took = f" in {duration(seconds)}" if seconds else ""
    winner = chosen(artifact)
    if winner is None and artifact.accepted:
        return f"Measured and refused before this one: {tries}{took}."
    if winner is None:
        return f"{tries}{took}; none was accepted.".capitalize()
    wide = winner.macs_above_int8
    share = f", {percent(wide)} of its MACs wider than int8" if wide is not None else ""
    file = f"“{winner.what}”, {size(winner.bytes)}{share}"
    if not artifact.accepted:
        return f"Chosen after {tries}{took}, and refused on other images: {file}."
    kept_apart = any(
        check.dataset is not None and check.dataset.split == "confirmation"
        for check in artifact.checks
    )
    images = (
        "The tries were looked at on the selection images; the checks are of other images."
        if kept_apart
        else "The checks are of the images that the tries were chosen on: there were too few to "
        "keep some apart, so the figures may flatter."
    )
    return f"Found after {tries}{took}: {file}. {images}"


def sensitivity_words(layers: tuple[LayerDamage, ...]) -> str:
    """How to read the ranking, and what it says."""
    total = sum(layer.damage for layer in layers)
    text = (
        "A bar is the noise that quantizing this layer alone puts on the outputs, relative to "
        "their signal (to first order these add up)."
    )
    if total <= 0:
        return text
    seen, count, macs = 0.0, 0, 0.0
    for layer in layers:
        if seen >= total / 2:
            break
        seen, count, macs = seen + layer.damage, count + 1, macs + layer.macs
    layers_word = "The first layer causes" if count == 1 else f"The first {count} layers cause"
    return (
        f"{text} {layers_word} {percent(seen / total)} of the damage of all {len(layers)}, with "
        f"{percent(macs)} of the multiply-accumulates: that is what keeping "
        f"{'it' if count == 1 else 'them'} in a wider type would cost."
    )


def calibration_words(report: CalibrationReport) -> str:
    """How many images, how they were picked, and what they cover."""
    reasons = [image.reason for image in report.images]
    counts = {
        "class": "for their class",
        "extreme": "for their extreme activations",
        "spread": "to spread over the rest",
    }
    picked = [f"{reasons.count(key)} {text}" for key, text in counts.items() if key in reasons]
    text = f"{len(report.images)} images of {report.pool}"
    if picked:
        text += f": {joined(picked)}"
    if report.classes is not None:
        covered, labelled = report.classes
        text += f". They show {covered} of the {labelled} labelled classes"
    return sentence(text)


def stability_words(report: CalibrationReport) -> str:
    """What two halves of the images say of each other; empty where it was not tested."""
    found = report.stability
    if found is None:
        return ""
    text = (
        f"The ranges of two disjoint halves differ by {percent(found.spread)} in the median, most "
        f"at {found.worst_tensor} ({percent(found.worst)})"
    )
    if found.enough:
        return f"{text}; up to {percent(found.limit)} is enough alike."
    return (
        f"Your calibration set is too small: {text[:1].lower()}{text[1:]}; more than "
        f"{percent(found.limit)} means that other images would give another model. Give more "
        "images, as different as those of the app."
    )


def read_back_words(read: ReadBack) -> str:
    """What the file holds, in a line."""
    text = f"{_giga(read.macs)} of one inference"
    if read.gzip_bytes is not None:
        text += f"; {size(read.gzip_bytes)} when compressed for download (gzip)"
    if read.zeros is not None and read.zeros >= _MANY_ZEROS:
        text += f"; {percent(read.zeros)} of its float weights are zero"
    fused = [f"{count} {what}" for what, count in read.fused]
    if fused:
        text += f"; fused: {joined(fused)}"
    return sentence(text)


def _giga(macs: int) -> str:
    for factor, unit in ((1e9, "billion"), (1e6, "million")):
        if macs >= factor:
            return f"{macs / factor:.3g} {unit} multiply-accumulates"
    return f"{macs} multiply-accumulates"


def macs_text(macs: int | None) -> str:
    """Multiply-accumulates for a table: 4.37 G."""
    if macs is None:
        return number(None)
    factor, unit = next(((f, u) for f, u in ((1e9, " G"), (1e6, " M")) if macs >= f), (1.0, ""))
    return f"{macs / factor:.3g}{unit}"


def phone_words(cost: PhoneCost) -> str:
    """What one delegate takes, in a sentence."""
    name = DELEGATE_NAMES[cost.delegate]
    if cost.taken >= 1.0:
        return sentence(f"{name} takes every operator, in one piece")
    left = sum(op.count for op in cost.left)
    pieces = "one piece" if cost.partitions == 1 else f"{cost.partitions} pieces"
    return sentence(
        f"{name} takes {percent(cost.taken)} of the operators and leaves {left} to TFLite's own "
        f"kernels; the graph falls into {pieces}, and every border is a copy"
    )


def target_name(target: Literal["android", "ios", "server"]) -> str:
    """Android, iOS, a server."""
    return TARGET_NAMES[target]
