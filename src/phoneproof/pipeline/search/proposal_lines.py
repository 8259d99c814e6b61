"""The proposal as lines of phoneproof.toml."""

from __future__ import annotations

from phoneproof.core.contract import Contract
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.init_config import geometry_lines
from phoneproof.pipeline.toml_text import assignment


def proposal_lines(given: Contract, found: ContractSearch) -> list[str]:
    """What to write into ``[contract]`` so that it is the proposed one; empty without one.

    Every line states its value, so that nothing of an earlier preset is left.
    """
    proposal = found.proposal
    if proposal is None:
        return []
    image = proposal.image
    lines = ["[contract]"]
    if found.preset:
        lines += assignment("preset", found.preset)
    lines += assignment("size", image.size)
    if proposal.labels != given.labels:
        lines += assignment("labels", [label or "" for label in proposal.labels])
    if found.preset:
        return lines
    for field in ("channels", "gray", "values", "scale", "mean", "std"):
        value = getattr(image, field)
        if value is not None:
            lines += assignment(field, value)
    return [*lines, *geometry_lines(image.geometry)]
