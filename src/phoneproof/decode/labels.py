"""Label texts for results."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phoneproof.core.contract import Contract
from phoneproof.decode.results import Classification, Index


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranked:
    """One class of a classification: label index, text and probability."""

    index: int
    label: str
    probability: float


def label_text(contract: Contract, index: int) -> str:
    """The label of a class, or ``class 7`` where the contract has no labels."""
    label = contract.labels[index] if index < len(contract.labels) else None
    return label if label is not None else f"class {index}"


def ranking(result: Classification, contract: Contract) -> Index:
    """Label indices int64, most probable first, equal ones by index; null labels left out."""
    order = np.argsort(-result.probabilities, kind="stable")
    if None not in contract.labels:
        return order
    named = np.array([label is not None for label in contract.labels], np.bool_)
    return order[named[order]]


def top_k(result: Classification, contract: Contract, k: int = 5) -> tuple[Ranked, ...]:
    """The `k` most probable classes that have a label."""
    return tuple(
        Ranked(
            index=int(index),
            label=label_text(contract, int(index)),
            probability=float(result.probabilities[index]),
        )
        for index in ranking(result, contract)[:k]
    )
