"""The sentences and number formats that the page, the model card and the summary share."""

from __future__ import annotations

from dataclasses import dataclass

from phoneproof.core.check import Check, CheckName
from phoneproof.core.report import ArtifactReport, Report

CHECK_MEANING: dict[CheckName, str] = {
    "hub_equivalence": "The captured program gives the outputs of the source's own runtime",
    "max_abs": "Largest difference of any output value",
    "snr_db": "Signal-to-noise ratio of the outputs",
    "top1": "Share of images whose most probable class is the labelled one",
    "top5": "Share of images whose label is among the five most probable classes",
    "top1_drop": "Loss of top-1 accuracy",
    "top1_agreement": "Share of images with the same most probable class",
    "class_map_agreement": "Share of positions with the same class, on the worst image",
    "map50": "Mean average precision at IoU 0.50",
    "map50_95": "Mean average precision over IoU 0.50 to 0.95",
    "map50_95_drop": "Loss of mean average precision (IoU 0.50 to 0.95)",
    "box_agreement": "Share of boxes found again in the same place with the same class",
    "score_shift": "Systematic change of the scores of matched results",
    "lost_share": "Share of clear detections that an app would no longer show",
    "small_recall_drop": "Loss of recall on small objects",
    "golden_pixels": "Golden pictures become the same input pixels",
    "golden_outputs": "Golden pictures give the recorded outputs",
    "golden_results": "Golden pictures give the recorded results",
    "contract_match": "The contract inside the file is the bundle's contract",
    "contract_search": "Accuracy or mAP50 that another contract would win",
    "label_order": "Accuracy that would be won by moving every label one place",
    "size_ratio": "File size relative to the source's",
    "overflows": "Finite numbers that float16 turned into infinity inside the file",
    "denormals": "Numbers inside the file that float16 holds with fewer digits, or as zero",
}

NO_VALUE = "\N{EN DASH}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Headline:
    """The verdict as a word, one plain sentence, and what supports it."""

    word: str
    sentence: str
    support: tuple[str, ...]


def number(value: float | None) -> str:
    """Four significant digits; counts stay whole; an en dash where there is no value."""
    if value is None:
        return NO_VALUE
    if value == int(value) and abs(value) < 1e15:
        return str(int(value)).replace("-", "\N{MINUS SIGN}")
    if 1e-4 <= abs(value) < 1e5:
        text = f"{value:.4g}" if abs(value) < 1000 else f"{value:.1f}"
    else:
        text = f"{value:.3g}"
    return text.replace("-", "\N{MINUS SIGN}", 1) if value < 0 else text


def size(count: int) -> str:
    """Bytes in decimal units: 12.8 MB."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            return f"{int(amount)} {unit}" if unit == "bytes" else f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} GB"


def duration(seconds: float) -> str:
    """Seconds: 0.84 s, 12.4 s, 3 min 20 s."""
    if seconds < 100:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60} s"


def limit_text(check: Check) -> str:
    """The limit with its direction: at most 0.01, at least 45 dB."""
    if check.limit is None:
        return "none"
    word = "at most" if check.direction == "max" else "at least"
    return f"{word} {with_unit(check.limit, check.unit)}"


def with_unit(value: float | None, unit: str) -> str:
    """A number and its unit."""
    return (
        f"{number(value)}\N{NO-BREAK SPACE}{unit}" if value is not None and unit else number(value)
    )


def bounds_text(check: Check) -> str:
    """Lower to upper bound; a dash where statistics do not apply."""
    if check.bounds is None:
        return NO_VALUE
    return f"{number(check.bounds[0])} to {number(check.bounds[1])}"


def check_title(check: Check) -> str:
    """The check's name, with its slice where it speaks of a part only."""
    return f"{check.name} ({check.slice})" if check.slice else check.name


def joined(words: list[str]) -> str:
    """a; a and b; a, b and c."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def image_count(report: Report) -> int:
    """How many images the gating checks looked at: the size of the split they refer to.

    A check's own n may count boxes instead.
    """
    sizes = {split.hash: split.n for data in report.datasets for split in data.splits}
    checks = [c for a in report.artifacts for c in a.checks] or list(report.gate)
    seen = (c.dataset.hash for c in checks if c.gating and c.dataset is not None)
    return max((sizes.get(reference, 0) for reference in seen), default=0)


def open_checks(artifact: ArtifactReport) -> tuple[Check, ...]:
    """The gating checks that are not passed, failures first."""
    rest = [c for c in artifact.checks if c.gating and c.verdict != "pass"]
    return tuple(sorted(rest, key=lambda c: c.verdict != "fail"))


def breaking_artifact(report: Report) -> ArtifactReport | None:
    """The refused artifact nearest the source: the step that made it is the one that broke."""
    refused = [a for a in report.artifacts if not a.accepted]
    hashes = {a.sha256 for a in refused}
    return next((a for a in refused if a.parent not in hashes), None)


def headline(report: Report) -> Headline:
    """The verdict in one sentence, with the figures that carry it."""
    if any(check.verdict == "fail" and check.gating for check in report.gate):
        return _refused_at_gate(report)
    broken = breaking_artifact(report)
    if broken is not None:
        return _refused(report, broken)
    if not report.accepted:
        return Headline(word="Refused", sentence="Refused: the build did not finish.", support=())
    return _accepted(report)


def sentence(text: str) -> str:
    """The text with a capital letter in front and one full stop behind."""
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


def _refused_at_gate(report: Report) -> Headline:
    check = next(c for c in report.gate if c.verdict == "fail" and c.gating)
    source = report.capture.source_name
    found = f"the program read from {source} does not give the outputs of the source itself"
    if check.name == "contract_search":
        found = f"{source} itself explains the labels better under another contract"
    elif check.name == "label_order":
        found = f"the contract's labels are not in the order of the classes of {source}"
    return Headline(
        word="Refused",
        sentence=f"Refused at capture: {found}, so nothing was shipped.",
        support=(_why(check), *([sentence(check.hint)] if check.hint else ())),
    )


def _refused(report: Report, broken: ArtifactReport) -> Headline:
    checks = open_checks(broken)
    kind = "is not the model that was trained"
    if all(check.verdict == "undecided" for check in checks):
        kind = "could not be shown to be the model that was trained"
    others = [a.id for a in report.artifacts if a.accepted]
    support = [_why(check) for check in checks[:3]]
    if broken.divergence is not None:
        support.append(
            f"First diverging layer: {broken.divergence.layer}. {broken.divergence.explanation}"
        )
    if others:
        support.append(f"{joined(others)} {'was' if len(others) == 1 else 'were'} accepted.")
    claim = f"Refused: {broken.id} {kind}. The step that broke it is “{broken.step}”."
    if any(attempt.accepted for attempt in broken.attempts):
        claim = f"Refused: {broken.id} kept its limits only on the images that it was chosen on."
    elif len(broken.attempts) > 1:
        claim = f"Refused: none of {len(broken.attempts)} tries at {broken.id} kept its limits."
    return Headline(word="Refused", sentence=claim, support=tuple(support))


def _why(check: Check) -> str:
    value = with_unit(check.value, check.unit)
    if check.verdict == "undecided":
        return _undecided(check)
    return f"{check_title(check)} is {value}; the limit is {limit_text(check)} (n = {check.n})."


def _undecided(check: Check) -> str:
    bounds = f", 95 % bounds {bounds_text(check)}" if check.bounds else ""
    needed = f"; about {check.n_needed} images would decide it" if check.n_needed else ""
    return (
        f"{check_title(check)} is {with_unit(check.value, check.unit)}"
        f"{bounds}; {check.n} images cannot decide the limit "
        f"{limit_text(check)}{needed}."
    )


def _accepted(report: Report) -> Headline:
    count = len(report.artifacts)
    who = {1: f"{report.artifacts[0].id} is", 2: "both artifacts are"}.get(
        count, f"all {count} artifacts are"
    )
    n = image_count(report)
    left_open = [c for a in report.artifacts for c in open_checks(a)]
    claim = f"Accepted: {who} the model that was trained, measured on {n} images."
    if left_open:
        claim = (
            f"Accepted: {who} the model that was trained as far as {n} images can show; "
            f"{len(left_open)} figure{'s are' if len(left_open) > 1 else ' is'} not proved."
        )
    return Headline(word="Accepted", sentence=claim, support=_left_open(report))


def _left_open(report: Report) -> tuple[str, ...]:
    """What is not proved, one line for artifacts of which the very same is to be said."""
    who: dict[str, list[str]] = {}
    for artifact in report.artifacts:
        for check in open_checks(artifact):
            who.setdefault(_undecided(check), []).append(artifact.id)
    return tuple(f"{joined(ids)}: {text}" for text, ids in list(who.items())[:3])


def score_words(scores: tuple[tuple[float, float], ...], threshold: float | None) -> str:
    """What the plot of scores shows, in words: the mean change, and who crossed the threshold."""
    shift = sum(after - before for before, after in scores) / max(1, len(scores))
    text = f"{len(scores)} matched results; their scores change by {number(shift)} on average"
    if threshold is None:
        return f"{text}. Points below the diagonal lost confidence."
    fell = sum(after <= threshold < before for before, after in scores)
    rose = sum(before <= threshold < after for before, after in scores)
    return (
        f"{text}. Of those the app showed, {fell} fell to its threshold of {number(threshold)} "
        f"or below; {rose} rose above it. Points below the diagonal lost confidence."
    )
