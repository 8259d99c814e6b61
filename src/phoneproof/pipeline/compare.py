"""Two model files under one contract, on images: the first is the baseline."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.artifact import tree_bytes
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Event, Listener
from phoneproof.decode.heads import class_maps
from phoneproof.pipeline.loaded import LoadedArtifact
from phoneproof.pipeline.prediction import PREDICTIONS, raw_image_count, write_run
from phoneproof.runtimes.prediction_store import read_predictions
from phoneproof.verify.limits import Limits, limits_for
from phoneproof.verify.measure import measure


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The checks, and the limits they were held to (those of the second file's precision)."""

    checks: tuple[Check, ...]
    limits: Limits
    images: ImageSet


def compare(
    baseline: LoadedArtifact,
    candidate: LoadedArtifact,
    *,
    contract: Contract,
    images: Path,
    listener: Listener,
) -> Compared:
    """Run both on the same images and measure the second against the first.

    Raises:
        InvalidInput: no images, or a file whose tensors do not fit its binding.
    """
    from phoneproof.data.load import load_images

    found = load_images(
        images,
        contract_labels=contract.labels,
        task=contract.task,
        class_index=contract.class_index,
    )
    limits = limits_for(candidate.binding.precision, candidate.binding.format)
    runtime = candidate.runtime
    with tempfile.TemporaryDirectory(prefix="phoneproof-") as scratch:
        folders = [
            _run(loaded, Path(scratch, name), contract, found, listener)
            for name, loaded in (("baseline", baseline), ("candidate", candidate))
        ]
        checks = measure(
            baseline=read_predictions(folders[0] / PREDICTIONS),
            candidate=read_predictions(folders[1] / PREDICTIONS),
            images=found,
            contract=contract,
            precision=candidate.binding.precision,
            limits=limits,
            runtime=f"{runtime.name} ({runtime.version})",
            device=runtime.device,
            baseline_bytes=tree_bytes(baseline.path),
            candidate_bytes=tree_bytes(candidate.path),
            class_maps=class_maps(contract, baseline.binding),
            outputs_kept=not (baseline.binding.rows_vary or candidate.binding.rows_vary),
        ).checks
    return Compared(checks=checks, limits=limits, images=found)


def _run(
    loaded: LoadedArtifact, folder: Path, contract: Contract, images: ImageSet, listener: Listener
) -> Path:
    folder.mkdir()
    runtime = loaded.runtime
    step = f"run {folder.name} ({loaded.path.name})"
    listener(Event(step=step, state="started"))
    write_run(
        folder,
        runtime.open(loaded.path),
        runtime=(runtime.name, runtime.version, runtime.device),
        contract=contract,
        binding=loaded.binding,
        images=images,
        raw_count=raw_image_count(loaded.binding),
        progress=lambda done, total: listener(
            Event(step=step, state="progress", done=done, total=total)
        ),
    )
    listener(Event(step=step, state="finished"))
    return folder
