"""The proposal as lines of phoneproof.toml."""

from __future__ import annotations

from phoneproof.core.contract import Contract
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.init_config import geometry_lines
from phoneproof.pipeline.toml_text import assignment, comment


def proposal_lines(given: Contract, found: ContractSearch) -> list[str]:
    """What to write into ``[contract]`` so that it is the proposed one; empty without one.

    Every value is stated, so that no earlier line and no earlier preset is left in force; the
    decode stays what it is.
    """
    proposal = found.proposal
    if proposal is None:
        return []
    image = proposal.image
    lines = ["[contract]"]
    if found.preset:
        lines += comment(f'the input of preset = "{found.preset}", written out:')
    lines += assignment("size", image.size)
    if proposal.labels != given.labels:
        lines += assignment("labels", [label or "" for label in proposal.labels])
    for field in ("channels", "gray", "values", "scale", "mean", "std"):
        value = getattr(image, field)
        if value is not None:
            lines += assignment(field, value)
    return [*lines, *geometry_lines(image.geometry)]
