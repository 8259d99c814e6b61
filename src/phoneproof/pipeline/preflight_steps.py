"""Steps that look at production pictures: their facts, predictions, surprises and contact sheet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.capture import Hazard
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput, PhoneproofError
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.preflight import Preflight, RecordedMetric
from phoneproof.pipeline.prediction import PREDICTIONS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from phoneproof.package.contact_sheet import Tile

FACTS = "facts.npy"
PREFLIGHT = "preflight.json"
RECORDED = "recorded.json"
TILES = "tiles"

_PIXEL_TOOLS = ("numpy", "opencv-python-headless", "pillow")
_READERS = 2
"""Threads: decoding a picture lets go of the interpreter lock, and there are other workers."""


@dataclass(frozen=True, kw_only=True)
class FactsStep:
    """The facts of every picture of a set -> ``facts.npy``, float64 [n, 6] in the set's order."""

    label: str
    contract: Contract
    images: ImageSet

    tools = _PIXEL_TOOLS

    @property
    def name(self) -> str:
        """Named by the set."""
        return f"look at the {self.label} images"

    def identity(self) -> object:
        """The pictures, and how they are read; no label and no model."""
        return self.contract.image, self.images.ref

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``facts.npy``."""
        import numpy as np

        rows = []
        with ThreadPoolExecutor(_READERS) as pool:
            for done, row in enumerate(pool.map(self._facts, self.images.items), start=1):
                rows.append(row)
                progress(done, len(self.images.items))
        np.save(output / FACTS, np.stack(rows), allow_pickle=False)

    def _facts(self, item: ImageItem) -> NDArray[np.float64]:
        from phoneproof.pixels.image import read_image
        from phoneproof.pixels.picture_facts import picture_facts

        try:
            return picture_facts(read_image(item.path, self.contract.image), self.contract.image)
        except PhoneproofError as error:
            raise InvalidInput(
                f"{self.label} image {item.name} cannot be used",
                found=f"{error.failed}: {error.found}" if error.found else error.failed,
                next_step=error.next_step or "restore or remove the image, then start again",
            ) from error


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What a PreflightStep found; `sizes`: [width, height] of each tile of the sheet."""

    preflight: Preflight
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class PreflightStep:
    """Hub on production pictures, compared with the evaluation -> ``preflight.json``, tiles."""

    hub: Path
    hub_sha256: str
    contract: Contract
    binding: Binding
    images: ImageSet
    facts: Path
    evaluation: ImageSet
    evaluation_facts: Path
    baseline: Path

    name = "production images"
    tools = (*_PIXEL_TOOLS, "torch", "scipy")

    def identity(self) -> object:
        """The hub, both sets of pictures, and the run on the evaluation images."""
        return (
            self.hub_sha256,
            self.contract,
            self.binding,
            [(item.name, item.sha256) for item in self.images.items],
            self.images.skipped,
            self.facts.name,
            self.evaluation.ref,
            self.evaluation_facts.name,
            self.baseline.name,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Predict, compare, choose, draw."""
        from phoneproof.package.contact_sheet import chosen_pictures
        from phoneproof.pipeline.preflight_findings import compare_sets
        from phoneproof.runtimes.base import RUNTIMES
        from phoneproof.runtimes.predict import Predictor
        from phoneproof.runtimes.prediction_store import read_predictions, write_predictions

        predictor = Predictor(RUNTIMES.load("hub").open(self.hub), self.contract, self.binding)
        write_predictions(
            output / PREDICTIONS,
            predictor.predict_items(
                self.images.items,
                with_metric=self.contract.task == "detect",
                progress=progress,
            ),
        )
        found, pictures = compare_sets(
            contract=self.contract,
            images=self.images,
            facts=_load(self.facts),
            predictions=read_predictions(output / PREDICTIONS),
            evaluation=self.evaluation,
            evaluation_facts=_load(self.evaluation_facts),
            evaluation_predictions=read_predictions(self.baseline / PREDICTIONS),
        )
        chosen = chosen_pictures(pictures)
        tiles = {tile.sha256: tile for tile in self._tiles(output, {p.sha256 for p in chosen})}
        (output / TILES).mkdir()
        for picture in chosen:
            (output / TILES / f"{picture.sha256}.jpg").write_bytes(tiles[picture.sha256].jpeg)
        ordered = [tiles[picture.sha256] for picture in chosen]
        findings = Findings(
            preflight=msgspec.structs.replace(found, shown=tuple(t.sha256 for t in ordered)),
            names=tuple(tile.image for tile in ordered),
            sizes=tuple((tile.width, tile.height) for tile in ordered),
        )
        (output / PREFLIGHT).write_bytes(pretty_bytes(findings))

    def _tiles(self, output: Path, wanted: set[str]) -> Iterator[Tile]:
        from phoneproof.core.preflight import PictureReport
        from phoneproof.package.contact_sheet import draw_tile
        from phoneproof.pixels.image import read_image
        from phoneproof.runtimes.prediction_store import read_predictions

        paths = {item.sha256: item.path for item in self.images.items}
        for one in read_predictions(output / PREDICTIONS):
            if one.sha256 in wanted:
                rgb = read_image(paths[one.sha256], self.contract.image)
                picture = PictureReport(image=one.name, sha256=one.sha256)
                yield draw_tile(picture, rgb, one.app, self.contract)


@dataclass(frozen=True, kw_only=True)
class RecordedStep:
    """Metrics recorded with the source, measured again on the baseline -> ``recorded.json``."""

    recorded: tuple[tuple[str, float], ...]
    baseline: Path
    images: ImageSet
    contract: Contract

    name = "recorded metrics"
    tools = ("numpy", "scipy", "faster-coco-eval")

    def identity(self) -> object:
        """What was recorded, the run, and the labels."""
        return (
            self.recorded,
            self.baseline.name,
            [(item.sha256, item.label, item.boxes) for item in self.images.items],
            self.contract,
        )

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``recorded.json``."""
        from phoneproof.runtimes.prediction_store import read_predictions
        from phoneproof.verify.recorded import recorded_hazards, recorded_metrics

        del progress
        metrics = recorded_metrics(
            self.recorded,
            read_predictions(self.baseline / PREDICTIONS),
            self.images,
            self.contract,
        )
        record = RecordedMetrics(metrics=metrics, hazards=recorded_hazards(metrics))
        (output / RECORDED).write_bytes(pretty_bytes(record))


class RecordedMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """What a RecordedStep found."""

    metrics: tuple[RecordedMetric, ...] = ()
    hazards: tuple[Hazard, ...] = ()


def findings(folder: Path) -> Findings:
    """What a PreflightStep left in `folder`."""
    return parse((folder / PREFLIGHT).read_bytes(), Findings, what="production findings")


def recorded(folder: Path) -> RecordedMetrics:
    """What a RecordedStep left in `folder`."""
    return parse((folder / RECORDED).read_bytes(), RecordedMetrics, what="recorded metrics")


def _load(folder: Path) -> NDArray[np.float64]:
    import numpy as np

    array: NDArray[np.float64] = np.load(folder / FACTS, allow_pickle=False)
    return array
