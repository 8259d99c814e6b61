"""Top-1 over multiply-accumulates: a classifier pruned and taught on unlabelled images.

    python -m benchmarks.pruning --seconds 300 --shares 0.75 0.5

Writes ``benchmarks/results/pruning.json``. cifar10_resnet20 and cifar10_test500: 250 of the 500
images teach (their labels are not looked at), the other 250 judge. Which is which follows from the
content of the files, so that no choice was made.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.factories.cifar_resnet import resnet20
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.recipe import Prune
from phoneproof.core.tensors import TensorSpec
from phoneproof.optimize.base import PRUNERS, PruneRequest
from phoneproof.pipeline.step import tool_versions
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.hub import save_hub
from phoneproof.runtimes.base import RUNTIMES

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT.parent / "shared" / "assets"
WEIGHTS = ASSETS / "models" / "classify" / "cifar10_resnet20-12fca82f.th"
IMAGES = ASSETS / "images" / "cifar10_test500"
RESULTS = ROOT / "benchmarks" / "results" / "pruning.json"
SHAPE = (1, 3, 32, 32)
TEACHING = 250
DRAWS = 2000
"""Of the bootstrap that gives the interval of a drop."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One target. top1 and drop (with its 95 % interval) on the images that did not teach."""

    share: float
    seconds_allowed: float
    seconds: float
    macs_left: float
    size_left: float
    steps: int
    top1: float
    top1_drop: float
    interval: tuple[float, float]
    agreement: float
    bytes: int


def main() -> int:
    """Measure every share, and keep the rows."""
    options = _options()
    images = sorted(IMAGES.rglob("*.jpg"), key=file_sha256)
    teaching, judging = images[:TEACHING], images[TEACHING:]
    names = sorted({path.parent.name for path in images})
    labels = np.array([names.index(path.parent.name) for path in judging])
    contract = contract_of(names)
    with tempfile.TemporaryDirectory() as folder:
        hub = Path(folder) / "hub.pt2"
        binding = captured(hub, contract)
        base = answers(hub, contract, binding, judging)
        rows = []
        for share in options.shares:
            output = Path(folder) / f"{share:g}.pt2"
            started = time.monotonic()
            model = PRUNERS.load("hub-prune").prune(
                PruneRequest(
                    hub=hub,
                    contract=contract,
                    binding=binding,
                    recipe=Prune(share=share, seconds=options.seconds),
                    images=tuple(teaching),
                    output=output,
                ),
                lambda _done, _all: None,
            )
            seconds = time.monotonic() - started
            found = answers(output, contract, binding, judging)
            said = {name: json.loads(text) for name, text in model.options}
            wins = (base == labels).astype(float) - (found == labels).astype(float)
            rows.append(
                Row(
                    share=share,
                    seconds_allowed=options.seconds,
                    seconds=round(seconds, 1),
                    macs_left=said["macs_left"],
                    size_left=said["size_left"],
                    steps=said.get("steps", 0),
                    top1=round(float((found == labels).mean()), 4),
                    top1_drop=round(float(wins.mean()), 4),
                    interval=interval(wins),
                    agreement=round(float((found == base).mean()), 4),
                    bytes=output.stat().st_size,
                )
            )
            print(rows[-1], flush=True)
            _keep(rows, float((base == labels).mean()), len(teaching), len(judging))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.9, 0.75, 0.6, 0.5])
    return parser.parse_args()


def contract_of(names: list[str]) -> Contract:
    image = ImageInput(
        size=(32, 32),
        geometry=(Resize(to="stretch", size=(32, 32), filter="pillow.bilinear"),),
        channels="rgb",
        scale=1 / 255,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
    )
    return Contract(name="resnet20", task="classify", inputs=(image,), labels=tuple(names))


def captured(hub: Path, contract: Contract) -> Binding:
    network = resnet20()
    saved = torch.load(WEIGHTS, map_location="cpu", weights_only=True)["state_dict"]
    weights = {name.removeprefix("module."): value for name, value in saved.items()}
    network.load_state_dict(weights, strict=True)
    program = torch.export.export(network.eval(), (torch.zeros(SHAPE),), strict=False)
    image = TensorSpec(name="image", shape=SHAPE, dtype="float32")
    logits = TensorSpec(name="logits", shape=(1, len(contract.labels)), dtype="float32")
    save_hub(program, hub, (image,), (logits,))
    return Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(InputBinding(tensor="image", shape=SHAPE, layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="logits",
                role="scores",
                shape=logits.shape,
                axes=("class",),
                activation="softmax",
            ),
        ),
    )


def answers(
    hub: Path, contract: Contract, binding: Binding, images: list[Path]
) -> NDArray[np.int64]:
    session = RUNTIMES.load(binding.format).open(hub)
    preprocessor = Preprocessor(contract.image, binding.image)
    found = []
    for path in images:
        tensor = preprocessor.prepare(read_image(path, contract.image)).tensor
        outputs = session.run({binding.image.tensor: np.asarray(tensor, np.float32)})
        found.append(int(outputs[binding.outputs[0].tensor].argmax()))
    return np.array(found)


def interval(wins: NDArray[np.float64]) -> tuple[float, float]:
    random = np.random.default_rng(0)
    means = random.choice(wins, (DRAWS, len(wins))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def _keep(rows: list[Row], top1: float, teaching: int, judging: int) -> None:
    record = {
        "model": WEIGHTS.name,
        "images_teaching": teaching,
        "images_judging": judging,
        "top1_before": round(top1, 4),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "tools": dict(tool_versions(("torch", "numpy"))),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
