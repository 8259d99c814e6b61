"""The search as a step of a build."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from phoneproof.capture.infer import hub_binding
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Size
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.capture_steps import CAPTURE_TOOLS, PIXEL_TOOLS, FileSource
from phoneproof.pipeline.search.search import FULL, Budget
from phoneproof.pipeline.workshop import Workshop

SEARCH: Final = "search.json"
STEP_NAME: Final = "search the preprocessing"


@dataclass(frozen=True, kw_only=True)
class SearchStep:
    """Score alternatives of a contract in the source's own runtime -> ``search.json``."""

    source: FileSource
    inspection: Inspection
    contract: Contract
    images: ImageSet
    budget: Budget = FULL

    name = STEP_NAME
    tools = (*CAPTURE_TOOLS, *PIXEL_TOOLS, "onnxruntime", "scipy")

    def identity(self) -> object:
        """The source, the contract, the images with their labels, and how many are looked at."""
        labels = [(item.sha256, item.label, item.boxes) for item in self.images.items]
        return (
            self.source.identity(),
            self.inspection,
            self.contract,
            msgspec.to_builtins(labels),
            dataclasses.astuple(self.budget),
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``search.json``: a ContractSearch."""
        from phoneproof.pipeline.search.outcome import too_few

        items = searchable(self.images, self.contract)
        result = too_few(self.contract.task, items) or self._searched(items, progress)
        (output / SEARCH).write_bytes(pretty_bytes(result))

    def _searched(self, items: tuple[ImageItem, ...], progress: Progress) -> ContractSearch:
        from phoneproof.capture.hub import fitted_to_source
        from phoneproof.pipeline.search.outcome import search_contract
        from phoneproof.pipeline.search.search_space import SearchSpace
        from phoneproof.verify.search.observe import Observer

        contract, inspection = self.contract, self.inspection
        size = contract.image.size
        session = self.source.reader().open(self.source.path, size=size, batch=1)
        binding = hub_binding(inspection, contract, size=size, batch=1)
        ready = have_the_size(items, size)
        space = SearchSpace.of(contract, inspection, used_labels(items), ready=ready)
        observer = Observer(
            session,
            contract,
            fitted_to_source(binding, session.inputs, session.outputs),
            items,
            space.orders,
            ran=_Counter(progress).step,
        )
        found = search_contract(space, observer, items, inspection=inspection, budget=self.budget)
        return msgspec.structs.replace(found, runs=observer.runs)


class _Counter:
    """Progress without a total: how many runs it takes depends on what is found."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def step(self) -> None:
        self._done += 1
        self._progress(self._done, 0)


def searchable(images: ImageSet, contract: Contract) -> tuple[ImageItem, ...]:
    """The images that carry the labels of the contract's task."""
    if contract.task == "classify":
        return tuple(item for item in images.items if item.label is not None)
    if contract.task == "detect":
        return tuple(item for item in images.items if item.boxes is not None)
    return ()


def have_the_size(items: tuple[ImageItem, ...], size: Size) -> bool:
    """Whether every picture has the input's size [height, width] as it is stored."""
    from phoneproof.pixels.image import image_traits

    sizes = (image_traits(item.path) for item in items)
    return all((one.height, one.width) == size for one in sizes)


def used_labels(items: tuple[ImageItem, ...]) -> frozenset[int]:
    """Label indices that the images have."""
    classes = {item.label for item in items if item.label is not None}
    boxes = {box.label for item in items for box in item.boxes or ()}
    return frozenset(classes | boxes)


def run_search(
    workshop: Workshop,
    source: FileSource,
    inspection: Inspection,
    contract: Contract,
    images: ImageSet,
    *,
    budget: Budget = FULL,
) -> ContractSearch:
    """Search in a worker, or take what the cache has."""
    result = workshop.cache.result(
        SearchStep(
            source=source,
            inspection=inspection,
            contract=contract,
            images=images,
            budget=budget,
        )
    )
    return parse((result.folder / SEARCH).read_bytes(), ContractSearch, what="search")
