"""Zeros among the weights: top-1 and bytes after gzip, by three ways to choose them.

    python -m benchmarks.sparsity

Writes ``benchmarks/results/sparsity.json``. cifar10_resnet20 as TFLite on all of cifar10_test500;
nothing is learned, so no image is spent. ``lamp`` is what `precisions = ["sparse"]` does; the
others are one threshold on magnitudes, and the same share of every layer.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pruning import IMAGES, ROOT, WEIGHTS, answers, captured, contract_of, interval
from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.formats.read_back import read_back
from phoneproof.formats.tflite import read_tflite
from phoneproof.formats.tflite_constants import with_constants
from phoneproof.formats.tflite_read_back import float_weights
from phoneproof.optimize.magnitude import smallest
from phoneproof.pipeline.step import tool_versions
from phoneproof.runtimes.embedded import read_embedded

RESULTS = ROOT / "benchmarks" / "results" / "sparsity.json"
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7)

Weights = NDArray[np.float32]
Masks = list[NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file. zeros: share of all float weights, read back. drop: with its 95 % interval."""

    way: str
    share: float
    zeros: float
    bytes: int
    gzip_bytes: int
    top1: float
    top1_drop: float
    interval: tuple[float, float]
    agreement: float


def everywhere(layers: list[Weights], share: float) -> Masks:
    """One threshold on magnitudes."""
    flat = np.concatenate([np.abs(one).ravel() for one in layers])
    limit = np.partition(flat, round(share * flat.size) - 1)[round(share * flat.size) - 1]
    return [np.abs(one) <= limit for one in layers]


def alike(layers: list[Weights], share: float) -> Masks:
    """The same share of every layer."""
    return [mask for one in layers for mask in everywhere([one], share)]


WAYS: dict[str, Callable[[list[Weights], float], Masks]] = {
    "lamp": smallest,
    "one threshold on magnitudes": everywhere,
    "the same share of every layer": alike,
}


def main() -> int:
    """Measure every way at every share."""
    images = sorted(IMAGES.rglob("*.jpg"))
    names = sorted({path.parent.name for path in images})
    labels = np.array([names.index(path.parent.name) for path in images])
    contract = contract_of(names)
    with tempfile.TemporaryDirectory() as folder:
        source = _converted(Path(folder), contract, captured(Path(folder) / "hub.pt2", contract))
        base = answers(source, contract, read_embedded(source, "tflite").binding, images)
        rows = [
            _row(source, way, share, contract, images, labels, base)
            for share in SHARES
            for way in WAYS
        ]
        record = {
            "model": WEIGHTS.name,
            "images": len(images),
            "top1_before": round(float((base == labels).mean()), 4),
            "bytes": source.stat().st_size,
            "gzip_bytes": _gzip(source),
            "tools": dict(tool_versions(("numpy", "ai-edge-litert"))),
            "rows": [asdict(row) for row in rows],
        }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")
    return 0


def _converted(folder: Path, contract: Contract, binding: Binding) -> Path:
    output = folder / "float32.tflite"
    CONVERTERS.load("hub-tflite").convert(
        ConvertRequest(
            source=folder / "hub.pt2",
            contract=contract,
            binding=binding,
            layout="NHWC",
            opset=12,
            output=output,
        )
    )
    return output


def _row(
    source: Path,
    way: str,
    share: float,
    contract: Contract,
    images: list[Path],
    labels: NDArray[np.int64],
    base: NDArray[np.int64],
) -> Row:
    weights = float_weights(read_tflite(source))[1:]
    layers = [one.data.view("<f4").reshape(one.shape) for one in weights]
    changed = {
        one.name: np.where(gone, np.float32(0), layer)
        for one, layer, gone in zip(weights, layers, WAYS[way](layers, share), strict=True)
    }
    path = source.with_name("sparse.tflite")
    path.write_bytes(with_constants(source.read_bytes(), changed, path.name))
    found = answers(path, contract, read_embedded(source, "tflite").binding, images)
    wins = (base == labels).astype(float) - (found == labels).astype(float)
    held = read_back(path, "tflite")
    row = Row(
        way=way,
        share=share,
        zeros=round((held.zeros if held else None) or 0.0, 4),
        bytes=path.stat().st_size,
        gzip_bytes=_gzip(path),
        top1=round(float((found == labels).mean()), 4),
        top1_drop=round(float(wins.mean()), 4),
        interval=interval(wins),
        agreement=round(float((found == base).mean()), 4),
    )
    print(row, flush=True)
    return row


def _gzip(path: Path) -> int:
    held = read_back(path, "tflite")
    return (held.gzip_bytes if held else None) or 0


if __name__ == "__main__":
    raise SystemExit(main())
