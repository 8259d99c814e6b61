"""The demo's material: pictures and a trained model in a folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from phoneproof.core.errors import ConfigError, MissingExtra
from phoneproof.core.events import Event, Listener
from phoneproof.core.presets import preset_input

CONFIG_NAME: Final = "phoneproof.toml"
PRESET: Final = "torchvision.imagenet"
MARKER: Final = ".phoneproof-demo"
"""Lies in each folder that a demo made, so that no other folder is written over."""
SIZE: Final = (32, 32)
_TRAIN_SEED, _VAL_SEED = 1, 2
_TRAIN_PER_CLASS, _VAL_PER_CLASS = 240, 70


@dataclass(frozen=True, kw_only=True)
class DemoMaterial:
    """A model file, and the labelled pictures it has not seen."""

    model: Path
    evaluation: Path


def claim_folder(directory: Path) -> None:
    """Make the folder, or take over an empty one or an earlier demo's, finished or not.

    Raises:
        ConfigError: a folder with other content, whose files the demo could replace.
    """
    marker = directory / MARKER
    if directory.is_dir() and any(directory.iterdir()) and not marker.is_file():
        raise ConfigError(
            f"{directory} is not empty and not an earlier demo",
            found=f"no {MARKER} in it",
            next_step="name a new folder: phoneproof demo --directory FOLDER",
        )
    directory.mkdir(parents=True, exist_ok=True)
    marker.write_text("made by phoneproof demo, which may replace what is here\n")


def typed_lines(made: DemoMaterial, config: Path) -> tuple[str, ...]:
    """The commands that do the same to the demo's model, quoted for a POSIX shell."""
    init = ("init", str(made.model), "--images", str(made.evaluation), "--preset", PRESET)
    where = ("--config", str(config))
    return (
        shlex.join(("phoneproof", *init, *where, "--force")),
        shlex.join(("phoneproof", "build", *where)),
    )


def make_model(directory: Path, listener: Listener) -> DemoMaterial:
    """Draw training and evaluation pictures and train on the former.

    Raises:
        ConfigError: `directory` holds something else than an earlier demo; it is not touched.
        MissingExtra: PyTorch is not installed.
    """
    from phoneproof.demo.shapes import draw_shapes

    claim_folder(directory)
    listener(Event(step="draw pictures", state="started"))
    pictures = draw_shapes(directory / "train", per_class=_TRAIN_PER_CLASS, seed=_TRAIN_SEED)
    draw_shapes(directory / "val", per_class=_VAL_PER_CLASS, seed=_VAL_SEED)
    listener(Event(step="draw pictures", state="finished"))
    try:
        from phoneproof.demo.backends.train import train_classifier
    except ModuleNotFoundError as error:
        raise MissingExtra.of(error.name or "torch", "all") from error
    listener(Event(step="train", state="started"))

    def progress(done: int, total: int) -> None:
        listener(Event(step="train", state="progress", done=done, total=total))

    model = directory / "shapes.onnx"
    train_classifier(pictures, preset_input(PRESET, SIZE), model, seed=0, progress=progress)
    listener(Event(step="train", state="finished"))
    return DemoMaterial(model=model, evaluation=directory / "val")
