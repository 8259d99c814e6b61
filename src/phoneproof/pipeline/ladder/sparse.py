"""Sparse files: as many weights at zero as the checks accept, for downloads that are compressed."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Final

import msgspec

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.recipe import Sparse
from phoneproof.formats.shares import gzip_size
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.ladder.tries import Tried, Trunk, untried_attempt
from phoneproof.pipeline.ladder.workbench import Workbench
from phoneproof.pipeline.request import ArtifactRequest

SHARES: Final = (0.7, 0.5, 0.4, 0.3, 0.2, 0.1)
"""Of the weights that may be zero, tried from the most to the least. Nothing is learned anew, so
more than that ruins any network; with less the file compresses hardly better than before."""


def sparse(chain: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact) -> JudgedArtifact:
    """The file of the most zeros that is accepted; else the closest one, refused.

    It is held to the losses that integer files are held to: zeros change every output, as rounding
    does. Without `wanted.repair` the first try stands or falls alone.

    Raises:
        OptimizationFailed: no try gave a file.
    """
    splits, budget = chain.request.splits, chain.request.budget
    assert splits is not None, "no images to select on"
    bench = Workbench(chain=chain, wanted=wanted, splits=splits)
    trunk, started = Trunk(made=parent), time.monotonic()
    tried: list[Tried] = []
    left = list(SHARES)
    while left and not (tried and (tried[-1].accepted or not wanted.repair)):
        if tried and time.monotonic() - started > budget:
            break
        tried.append(_tried(bench, trunk, left.pop(0)))
    attempts = [one.attempt for one in tried]
    best = min(tried, key=lambda one: (not one.accepted, one.excess))
    if left and wanted.repair and not best.accepted:
        attempts.append(untried_attempt("sparse", ", ".join(map(_words, left)), budget))
    if best.judged is None:
        raise OptimizationFailed(f"no try of {wanted.id} gave a file", found=best.attempt.broke)
    judged = best.judged
    if best.accepted and splits.judged_again:
        judged = bench.judge(judged.made, splits.confirmation)
    return replace(judged, attempts=tuple(attempts))


def _tried(bench: Workbench, trunk: Trunk, share: float) -> Tried:
    one = bench.attempt("sparse", _words(share), trunk, Sparse(share=share))
    if one.judged is None or one.judged.made.path.is_dir():  # a mask stores no zeros to compress
        return one
    words = f"{_words(share)}, {gzip_size(one.judged.made.path)} bytes gzip"
    return replace(one, attempt=msgspec.structs.replace(one.attempt, what=words))


def _words(share: float) -> str:
    return f"{share:.0%} of the weights zero"
