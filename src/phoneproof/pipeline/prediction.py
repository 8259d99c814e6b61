"""Running a session over the evaluation images and keeping what verification needs."""

from __future__ import annotations

from math import prod
from pathlib import Path

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.events import Progress
from phoneproof.core.json_format import pretty_bytes
from phoneproof.runtimes.base import Session

PREDICTIONS = "predictions"
RUNTIME_FILE = "runtime.json"
RAW_BUDGET_BYTES = 64 << 20
"""Raw outputs are compared on as many images as fit here: every detection head of one image is
megabytes, and a wrong float step shows on the first few."""

_RAW_IMAGES = (4, 64)


class RuntimeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which runtime made predictions."""

    name: str
    version: str
    device: str


def raw_image_count(binding: Binding) -> int:
    """How many images keep their raw outputs (4..64, within the budget)."""
    shapes = {output.tensor: output.shape for output in binding.outputs}
    bytes_per_image = 4 * sum(prod(shape) for shape in shapes.values())
    least, most = _RAW_IMAGES
    return max(least, min(most, RAW_BUDGET_BYTES // max(1, bytes_per_image)))


def write_run(
    output: Path,
    session: Session,
    *,
    runtime: tuple[str, str, str],
    contract: Contract,
    binding: Binding,
    images: ImageSet,
    raw_count: int,
    progress: Progress,
) -> None:
    """Predict every image, streaming, into ``predictions/``; name the runtime beside it.

    A file that gives what the app shows alone has no raw outputs to keep, and no detections below
    the app's threshold for metrics.
    """
    from phoneproof.runtimes.predict import Predictor
    from phoneproof.runtimes.prediction_store import write_predictions

    predictor = Predictor(session, contract, binding)
    predictions = predictor.predict_items(
        images.items,
        keep_roles=0 if binding.rows_vary else raw_count,
        with_metric=contract.task == "detect" and not binding.rows_vary,
        progress=progress,
    )
    write_predictions(output / PREDICTIONS, predictions)
    name, version, device = runtime
    info = RuntimeInfo(name=name, version=version, device=device)
    (output / RUNTIME_FILE).write_bytes(pretty_bytes(info))
