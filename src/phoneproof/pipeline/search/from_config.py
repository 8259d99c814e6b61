"""The search for a configuration, and for a project that begins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConfigError, PhoneproofError
from phoneproof.core.events import Event, Listener
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.capture_steps import FileSource
from phoneproof.pipeline.config_types import Config
from phoneproof.pipeline.search.search_step import STEP_NAME, run_search, searchable
from phoneproof.pipeline.workshop import open_workshop


@dataclass(frozen=True, kw_only=True)
class Searched:
    """The configured contract, and what was found."""

    given: Contract
    found: ContractSearch


def search_config(config: Config, *, workspace: Path, listener: Listener) -> Searched:
    """Search around the contract of a configuration.

    Raises:
        ConfigError: images without labels, or a contract that does not fit the source.
        PhoneproofError: bad input, or a source that cannot be run here.
    """
    from phoneproof.pipeline.prepare import prepare

    with open_workshop(workspace, listener) as workshop:
        request = prepare(config, workshop, listener)
        contract, images = request.contract, request.images
        if not searchable(images, contract):
            raise ConfigError(
                "a search needs labelled images",
                found=f"{config.data.evaluation}: {request.dataset_kind}, task {contract.task}",
                next_step="name the labels in [data] labels, or put the images in class folders",
            )
        assert isinstance(request.source, FileSource)  # a configuration names a file
        found = run_search(workshop, request.source, request.inspection, contract, images)
        return Searched(given=contract, found=found)


def search_or_warn(
    scratch: Path,
    listener: Listener,
    *,
    source: FileSource,
    inspection: Inspection,
    contract: Contract,
    images: ImageSet,
) -> ContractSearch | None:
    """The search of a project that begins; where the source cannot be run, a warning instead."""
    try:
        with open_workshop(scratch, listener) as workshop:
            return run_search(workshop, source, inspection, contract, images)
    except PhoneproofError as error:
        listener(Event(step=STEP_NAME, state="warning", message=error.failed))
        return None
