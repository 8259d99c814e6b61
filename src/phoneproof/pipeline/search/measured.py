"""What a search found, as the reasons behind a contract's values."""

from __future__ import annotations

from typing import Final

from phoneproof.capture.infer import Inference
from phoneproof.core.capture import Finding
from phoneproof.core.contract import Contract
from phoneproof.core.search import ContractSearch, Interval, Scored, SearchMetric
from phoneproof.pipeline.search.geometry_table import filter_of, geometry_name
from phoneproof.pipeline.search.values_table import formula_name

METRIC_NAMES: Final[dict[SearchMetric, str]] = {"top1": "top-1", "map50": "mAP50"}


def holds_assumptions(inference: Inference) -> bool:
    """Whether anything about the input is only likely, so that it is worth measuring."""
    return any(
        inference.reason(f"contract.{key}").startswith("assumed")
        for key in ("preset", "channels", "geometry", "scale")
    )


def measured_inference(inference: Inference, found: ContractSearch) -> Inference:
    """The inference with the contract the search confirmed or proposes, and its evidence.

    An inconclusive search changes nothing. What was read in the file or chosen by the user keeps
    its reason unless the search changed the value.
    """
    if found.verdict == "inconclusive" or found.current is None:
        return inference
    contract = found.proposal or inference.contract
    preset = found.preset if found.proposal else inference.preset
    values = input_values(contract, preset)
    if contract.labels != inference.contract.labels:
        values.append(("labels", f"{len(contract.labels)} labels"))
    main = "preset" if preset else "channels"
    new = {
        f"contract.{key}": Finding(
            key=f"contract.{key}", value=value, reason=_reason(key, main, found)
        )
        for key, value in values
        if found.proposal or inference.reason(f"contract.{key}").startswith("assumed")
    }
    kept = [new.pop(finding.key, finding) for finding in inference.findings]
    return Inference(contract=contract, preset=preset, findings=(*kept, *new.values()))


def _reason(key: str, main: str, found: ContractSearch) -> str:
    """The evidence in full once; the other values were measured together with that one."""
    full = key == main or key == "labels"
    return f"measured: {evidence(found)}" if full else f"measured: together with {main}"


def input_values(contract: Contract, preset: str) -> list[tuple[str, str]]:
    """(key, value in words) of everything that decides how a picture becomes the tensor."""
    image = contract.image
    values = [
        ("preset", preset or "none"),
        ("channels", image.channels),
        ("geometry", f"{geometry_name(contract.task, image)}, {filter_of(image)}"),
        ("scale", formula_name(image)),
        ("mean", formula_name(image)),
        ("std", formula_name(image)),
    ]
    return values if image.gray is None else [*values, ("gray", image.gray)]


def evidence(found: ContractSearch) -> str:
    """The winner's score with its bounds, and what came next."""
    winner = found.proposed or found.current
    if winner is None:
        return found.reason
    name = METRIC_NAMES[found.metric]
    text = f"{name} {bounded(winner.score)} of {winner.n} held-out images"
    if found.proposed is not None and found.current is not None:
        text += f", {found.current.score.value:.3f} as assumed before"
    if found.equal:
        text += f"; as good: {_others(winner, found.equal)}"
    if found.behind:
        worse = found.behind[0]
        text += f"; next best {worse.score.value:.3f} ({_others(winner, (worse,))})"
    return text


def bounded(score: Interval) -> str:
    """A figure with its bounds."""
    return f"{score.value:.3f} [{score.lower:.3f}, {score.upper:.3f}]"


def _others(winner: Scored, equal: tuple[Scored, ...]) -> str:
    own = winner.what.split(", ")
    parts = (
        " with ".join(part for part in one.what.split(", ") if part not in own) for one in equal
    )
    return " or ".join(dict.fromkeys(part for part in parts if part))
