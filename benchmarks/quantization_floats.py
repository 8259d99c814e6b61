"""What every quantizer of a case starts from: the same float32 files, images and halves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.acceptance import ASSETS, write_config
from benchmarks.acceptance_cases import COCO, SINGLE
from benchmarks.quantization_cases import DIGITS, PICTURES, QuantizationCase
from phoneproof.core.artifact import Artifact, tree_sha256
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.data.load import load_images
from phoneproof.package.bundle import Bundle, read_bundle
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config

CALIBRATION_IMAGES = 100
"""The issue's default; a half with fewer gives all it has."""

_SERVER = '\n[targets.server]\nprecisions = ["float32"]\n'
_NO_SEARCH = '\n[checks]\ncontract_search = "off"\n'


@dataclass(frozen=True, kw_only=True)
class Half:
    """One fold. calibration: what ranges are taken from. evaluation: the other half, whole."""

    name: str
    calibration: tuple[ImageItem, ...]
    evaluation: tuple[ImageItem, ...]


@dataclass(frozen=True, kw_only=True)
class Floats:
    """The float32 files of one case, phoneproof's own, and the images they are measured on.

    hub: the captured program. folder: where everything of this case is kept. config: the
    configuration that made them.
    """

    case: QuantizationCase
    folder: Path
    config: Path
    contract: Contract
    tflite: Path
    onnx: Path
    artifacts: dict[str, Artifact]
    hub: Path
    images: ImageSet
    halves: tuple[Half, Half]


def float_files(case: QuantizationCase, work: Path) -> Floats:
    """Build the float32 files of a case, or take those of an earlier run."""
    folder = work / case.name.replace(" ", "_").replace(":", "-")
    source = _local_source(case, work)
    config = folder / "float" / "phoneproof.toml"
    if not (folder / "float" / "dist").exists():
        _build(source, config)
    bundle = read_bundle(next((folder / "float" / "dist").iterdir()))
    images = _images(source, bundle.contract, case.limit)
    by_format = {one.format: one for one in bundle.manifest.artifacts}
    return Floats(
        case=case,
        folder=folder,
        config=config,
        contract=bundle.contract,
        tflite=bundle.path_of(by_format["tflite"]),
        onnx=bundle.path_of(by_format["onnx"]),
        artifacts={str(kind): one for kind, one in by_format.items()},
        hub=_hub(config.parent, bundle),
        images=images,
        halves=halves_of(images.items),
    )


def halves_of(items: Sequence[ImageItem]) -> tuple[Half, Half]:
    """Every second image by content hash, and the rest: each calibrates for the other."""
    first, second = tuple(items[0::2]), tuple(items[1::2])
    return (
        Half(name="A", calibration=first[:CALIBRATION_IMAGES], evaluation=second),
        Half(name="B", calibration=second[:CALIBRATION_IMAGES], evaluation=first),
    )


def _build(source: QuantizationCase, config: Path) -> None:
    shutil.rmtree(config.parent, ignore_errors=True)
    config.parent.mkdir(parents=True)
    write_config(replace(source.source, precisions=("float32",)), config)
    config.write_text(config.read_text() + _SERVER + _NO_SEARCH)
    outcome = build(load_config(config), workspace=config.parent / ".phoneproof")
    if not outcome.report.accepted:
        raise SystemExit(f"{source.name}: the float32 build is refused, see {outcome.folder}")


def _hub(folder: Path, bundle: Bundle) -> Path:
    wanted = bundle.manifest.artifacts[0].lineage.parent
    found = (folder / ".phoneproof" / "steps").glob("*/hub.pt2")
    return next(path for path in found if tree_sha256(path) == wanted)


def _images(case: QuantizationCase, contract: Contract, limit: int) -> ImageSet:
    images = load_images(
        ASSETS / case.source.images,
        contract_labels=contract.labels,
        task=contract.task,
        class_index=contract.class_index,
    )
    return ImageSet(split="all", items=images.items[: limit or None], skipped=images.skipped)


def _local_source(case: QuantizationCase, work: Path) -> QuantizationCase:
    """The case with what is made here instead of lying in the assets."""
    source = case.source
    if source.images in _WRITERS:
        folder = work.absolute() / source.images
        if not folder.exists():
            _WRITERS[source.images](folder)
        source = replace(source, images=str(folder))
    if case.size_only:
        program = work.absolute() / "inception_v3.pt2"
        if not program.exists():
            _write_inception(program)
        source = replace(source, model=str(program))
    return replace(case, source=source)


def _write_digits(folder: Path) -> None:
    """White on black, 28 x 28, the digit in the middle 20 x 20, as MNIST has it."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (picture, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(np.rint(picture * (255 / 16)).astype(np.uint8))
        canvas = Image.new("L", (28, 28))
        canvas.paste(small.resize((20, 20), Image.Resampling.BICUBIC), (4, 4))
        canvas.save(place / f"{number:04d}.png")


def _write_pictures(folder: Path) -> None:
    """Copies, so that no labels lie beside them."""
    folder.mkdir(parents=True)
    for place in (f"{COCO}/images", SINGLE):
        for picture in (ASSETS / place).glob("*.jpg"):
            shutil.copy(picture, folder)


_WRITERS: dict[str, Callable[[Path], None]] = {DIGITS: _write_digits, PICTURES: _write_pictures}


def _write_inception(path: Path) -> None:
    """The architecture with random weights and batch-norm statistics of its own activations, so
    that nothing is zero, equal or folds away.
    """
    import torch
    from torchvision.models import inception_v3

    torch.manual_seed(0)
    model = inception_v3(weights=None, aux_logits=False, init_weights=True, transform_input=False)
    for name, value in model.named_parameters():
        if ".bn." in name:
            torch.nn.init.uniform_(value, 0.5, 1.5 if name.endswith("weight") else 0.6)
    with torch.no_grad():
        for _ in islice(iter(int, 1), 8):
            model(torch.rand(8, 3, 299, 299) * 2 - 1)
    program = torch.export.export(model.eval(), (torch.zeros(1, 3, 299, 299),))
    torch.export.save(program, path)
