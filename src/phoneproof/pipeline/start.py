"""The beginning of a project: look at a model, look at images, write phoneproof.toml."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from phoneproof.capture.base import Factory
from phoneproof.capture.infer import Inference, infer_contract
from phoneproof.core.capture import Hazard, Inspection
from phoneproof.core.contract import Task
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Event, Listener
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.capture_steps import FileSource
from phoneproof.pipeline.data_facts import (
    DataFacts,
    data_facts,
    find_labels,
    small_pictures_size,
)
from phoneproof.pipeline.init_config import require_free, write_config
from phoneproof.pipeline.prepare import inspect_source, load_labelled, locate
from phoneproof.pipeline.search.from_config import search_or_warn
from phoneproof.pipeline.search.measured import holds_assumptions, measured_inference
from phoneproof.pipeline.workshop import open_workshop

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True)
class Started:
    """What `init` found out and wrote. search: null where nothing was assumed, or not searched."""

    inspection: Inspection
    inference: Inference
    data: DataFacts
    config: Path
    search: ContractSearch | None = None


def inspect_model(source: Path, listener: Listener, factory: Factory | None = None) -> Inspection:
    """What a model file says of itself; nothing stays on the disk.

    Args:
        factory: the user's code, for bare weights; it is run in a worker process.

    Raises:
        InvalidInput: truncated, hostile, empty or a Git-LFS pointer.
        Unsupported: a kind that is not read; the message says what to type instead.
    """
    found = locate(source, factory)
    with (
        tempfile.TemporaryDirectory(prefix="phoneproof-") as scratch,
        open_workshop(Path(scratch), listener) as workshop,
    ):
        return inspect_source(workshop, found)


def picture_hazards(images: Path, listener: Listener) -> tuple[Hazard, ...]:
    """What among the pictures comes out differently on phones."""
    from phoneproof.pipeline.image_hazards import image_hazards

    return image_hazards(_plain_images(images, listener))


def start_project(
    source: Path,
    images: Path,
    *,
    config: Path,
    labels: Path | None,
    preset: str | None,
    task: Task | None,
    factory: str | None = None,
    overwrite: bool,
    search: bool = True,
    listener: Listener,
) -> Started:
    """Infer everything that can be inferred, and write it with its reasons.

    Args:
        factory: ``module:function`` for bare weights, looked for beside `config` first.
        search: where the images are labelled, measure what would otherwise be assumed.

    Raises:
        ConfigError: `config` exists and `overwrite` is false; an unknown preset; labels that do
            not fit the model.
        InvalidInput, Unsupported: of the model or the images.
    """
    require_free(config, overwrite=overwrite)
    code = Factory(target=factory, folder=config.absolute().parent) if factory else None
    inspection = inspect_model(source, listener, code)
    found = find_labels(images, labels, task or inspection.task)
    inference = infer_contract(
        inspection,
        name=contract_name(source),
        labels_found=found.class_names,
        preset=preset,
        task=task or inspection.task or found.suggests,
        pictures_size=small_pictures_size(images) if inspection.size is None else None,
    )
    loaded, _ = load_labelled(images, labels, inference.contract, listener)
    data = data_facts(found, loaded)
    searched = None
    if search and loaded.labelled:
        searched = _searched(locate(source, code), inspection, inference, loaded, listener)
    if searched is not None:
        inference = measured_inference(inference, searched)
    write_config(
        config,
        source=source,
        images=images,
        labels=labels,
        inspection=inspection,
        inference=inference,
        data=data,
        factory=factory,
        overwrite=overwrite,
    )
    return Started(
        inspection=inspection, inference=inference, data=data, config=config, search=searched
    )


def _searched(
    source: FileSource,
    inspection: Inspection,
    inference: Inference,
    images: ImageSet,
    listener: Listener,
) -> ContractSearch | None:
    """What the images say of everything that is only assumed; null where nothing is."""
    if not holds_assumptions(inference):
        return None
    with tempfile.TemporaryDirectory(prefix="phoneproof-") as scratch:
        return search_or_warn(
            Path(scratch),
            listener,
            source=source,
            inspection=inspection,
            contract=inference.contract,
            images=images,
        )


def class_names_of(images: Path, task: Task | None) -> tuple[str, ...]:
    """The class names that the images' own layout gives, in its order."""
    return find_labels(images, None, task).class_names


def contract_name(source: Path) -> str:
    """A name for the bundle, from the model's file name."""
    return _NOT_IN_NAMES.sub("-", source.stem).strip("-").lower() or "model"


def _plain_images(images: Path, listener: Listener) -> ImageSet:
    from phoneproof.data.load import load_images

    listener(Event(step="images", state="started"))
    found = load_images(images, contract_labels=(), task="raw", class_index=lambda index: index)
    listener(Event(step="images", state="finished", message=f"{len(found.items)} images"))
    return found
