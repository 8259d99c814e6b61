"""Models whose bundles run on the JVM, and the pictures that they are shown."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.acceptance_cases import (
    COCO,
    FLOAT_VALUES,
    IMAGENET,
    PIXEL_VALUES,
    SINGLE,
    SQUARE_CROP,
    WEATHER,
)
from tests.integration.command_line import phoneproof

ASSETS: Final = Path(__file__).resolve().parents[1].parent / "shared" / "assets"
CALIBRATION: Final = 8
"""Pictures that int8 ranges are taken from: few, because equality is asked here, not accuracy."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A bundle.

    precisions: of its TFLite files. contract: lines instead of the inferred ``[contract]``.
    evaluated: pictures that the build judges on. shown: of `single`, before the set's own.
    """

    name: str
    model: str
    images: str
    precisions: tuple[str, ...] = ("float32",)
    contract: str = ""
    evaluated: int = 16
    shown: tuple[str, ...] = ()


CASES: Final = (
    Case(
        name="ultraface",
        model="detect/version-RFB-320.onnx",
        images=COCO,
        shown=("faces_10.jpg", "faces_11.jpg", "zidane.jpg"),
    ),
    Case(
        name="weather",
        model="classify/yolov8n-cls_weather_best.pt",
        images=WEATHER,
        precisions=("float32", "int8"),
        evaluated=60,
    ),
    Case(name="yolov8n", model="detect/yolov8n_coco_rebuilt.pt", images=COCO),
    Case(
        name="mobilenet_v2",
        model="classify/mobilenet_v2_1.0_224_float.onnx",
        images=IMAGENET,
        precisions=("float32", "int8"),
        contract=SQUARE_CROP.format(side=224, values=FLOAT_VALUES),
        evaluated=60,
    ),
    Case(
        name="mobilenet_v2_quant",
        model="classify/mobilenet_v2_1.0_224_quant.tflite",
        images=IMAGENET,
        precisions=("int8",),
        contract=SQUARE_CROP.format(side=224, values=PIXEL_VALUES),
        evaluated=60,
    ),
)


def photographs(case: Case) -> Sequence[Path]:
    """Every picture of the case's set, in an order that mixes its classes."""
    found = sorted((ASSETS / case.images).rglob("*.[jJ][pP]*[gG]"))
    return [*found[::7], *(path for place, path in enumerate(found) if place % 7)]


def shown(case: Case) -> Sequence[Path]:
    """Pictures that show what the model finds, where its set does not."""
    return [ASSETS / SINGLE / name for name in case.shown]


def bundle(case: Case, folder: Path) -> Path:
    """``folder/bundle``, built where it is not there yet."""
    made = folder / "bundle"
    if made.is_dir():
        return made
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    pictures = photographs(case)
    _copied(pictures[: case.evaluated], project / "evaluation")
    _copied(pictures[case.evaluated :][:CALIBRATION], project / "calibration")
    model = ASSETS / "models" / case.model
    _succeed("init", model, "--images", "evaluation", "--no-search", project=project)
    config = project / "phoneproof.toml"
    config.write_text(_configured(config.read_text(), case))
    _succeed("build", project=project)
    (dist,) = (project / "dist").iterdir()
    dist.rename(made)
    shutil.rmtree(project)
    return made


def _configured(text: str, case: Case) -> str:
    """The written configuration with calibration pictures, the known contract and one target."""
    text = text.replace("\n[data]\n", '\n[data]\ncalibration = "calibration"\n')
    before, _, rest = text.partition("\n[contract]\n")
    inferred, _, rest = rest.partition("\n[targets.")
    checks = rest[rest.index("\n[checks]") :]
    wanted = ", ".join(f'"{one}"' for one in case.precisions)
    target = f'[targets.android]\nformats = ["tflite"]\nprecisions = [{wanted}]\n'
    return f"{before}\n[contract]\n{case.contract or inferred}\n{target}{checks}"


def _copied(pictures: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in pictures:
        shutil.copyfile(path, folder / path.name)


def _succeed(*words: str | Path, project: Path) -> None:
    done = phoneproof(*words, cwd=project)
    if done.code != 0:
        raise SystemExit(f"phoneproof {words[0]} in {project}: {done.said}")
