"""Phoneproof from Python: capture a live module or a file, build, look at the checks.

captured = phoneproof.capture_module(
    model, images="val/", name="flowers", size=224, preset="torchvision.imagenet"
)
outcome = phoneproof.build(captured)
outcome.report.artifacts[0].checks
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, ImageInput, Size, Task
from phoneproof.core.events import Listener, silence
from phoneproof.pipeline.android_config import app_engine
from phoneproof.pipeline.build import BuildOutcome, run_request
from phoneproof.pipeline.build import build as build_config
from phoneproof.pipeline.call_faults import check_capture, check_formats, no_input_error
from phoneproof.pipeline.config import DEFAULT_PRECISIONS, load_config
from phoneproof.pipeline.gate import make_hub, pass_gate, start_baseline
from phoneproof.pipeline.request import TARGET_LAYOUT, ArtifactRequest, BuildRequest
from phoneproof.pipeline.workshop import open_workshop

if TYPE_CHECKING:
    import torch

PathLike = str | Path


@dataclass(frozen=True, kw_only=True)
class Captured:
    """A live module, captured: its contract, what was measured of the hub, and where it is kept.

    checks: the hub program against the module itself, on the images.
    """

    contract: Contract
    checks: tuple[Check, ...]
    passed: bool
    _request: BuildRequest
    _workspace: Path


def capture_module(
    module: torch.nn.Module,
    *,
    images: PathLike,
    name: str,
    size: int | tuple[int, int],
    preset: str | None = None,
    image: ImageInput | None = None,
    labels: Sequence[str | None] = (),
    task: Task | None = None,
    version: str = "1.0.0",
    directory: PathLike = "dist",
    workspace: PathLike = ".phoneproof",
    listener: Listener = silence,
) -> Captured:
    """Freeze a module with its evidence: its hub program must equal it on real images.

    Args:
        module: takes one float32 tensor [1, C, H, W].
        images: the evaluation images: a folder, a folder per class, YOLO txt, COCO json or csv.
        size: the side of a square input, or (height, width), in pixels.
        preset: how a picture is fed ("torchvision.imagenet", ...), or
        image: the same spelled out, of the same size. One of the two, or neither where the module
            is of a family that implies it.
        labels: class names in index order; null for background; default: the data set's.
        directory: where bundles go. workspace: where the cache lies.

    Raises:
        ConfigError: arguments that cannot be; all their faults together.
        PhoneproofError: bad images or labels, or a module that cannot be captured.
    """
    sides = check_capture(name=name, version=version, size=size, preset=preset, image=image)
    request = _live_request(
        module,
        images=Path(images),
        name=name,
        size=sides,
        preset=preset,
        image=image,
        labels=tuple(labels),
        task=task,
        version=version,
        directory=Path(directory),
        listener=listener,
    )
    with open_workshop(Path(workspace), listener) as workshop:
        baseline = start_baseline(request, workshop)
        gate = pass_gate(request, workshop, make_hub(request, workshop, 0), baseline)
    return Captured(
        contract=request.contract,
        checks=gate.checks,
        passed=gate.passed,
        _request=request,
        _workspace=Path(workspace),
    )


def build(
    what: Captured | PathLike,
    *,
    formats: Sequence[Literal["onnx", "tflite"]] = ("tflite", "onnx"),
    listener: Listener = silence,
) -> BuildOutcome:
    """Make, verify and package every artifact.

    Args:
        what: a captured module, or the path of a phoneproof.toml (its targets then decide, and
            `formats` is not looked at).
        formats: what to make of a captured module, in every precision there is;
            one given twice is made once.

    Returns:
        The report and the folder it lies in; ``outcome.report.accepted`` says whether it ships.

    Raises:
        ConfigError: `formats` is empty, no sequence, or holds what is not known.
    """
    if not isinstance(what, Captured):
        path = Path(what)
        return build_config(
            load_config(path), workspace=path.absolute().parent / ".phoneproof", listener=listener
        )
    asked = check_formats(formats)
    artifacts = tuple(
        ArtifactRequest(format=format_, precision=precision, layout=TARGET_LAYOUT[format_])
        for format_ in asked
        for precision in DEFAULT_PRECISIONS[format_]
    )
    engine = app_engine(asked, None)
    request = dataclasses.replace(what._request, artifacts=artifacts, engine=engine)
    with open_workshop(what._workspace, listener) as workshop:
        return run_request(request, workshop, started=time.monotonic())


def _live_request(
    module: torch.nn.Module,
    *,
    images: Path,
    name: str,
    size: Size,
    preset: str | None,
    image: ImageInput | None,
    labels: tuple[str | None, ...],
    task: Task | None,
    version: str,
    directory: Path,
    listener: Listener,
) -> BuildRequest:
    """Everything known of the module, with no artifact asked for yet."""
    from phoneproof.capture.backends.live_module import LiveModule
    from phoneproof.pipeline.live import LiveSource
    from phoneproof.pipeline.prepare import load_labelled
    from phoneproof.pipeline.start import class_names_of

    channels = image.channel_count if image is not None else 3
    live = LiveModule(module, size=size, channels=channels, batch=1)
    inspection = live.inspection()
    names = labels or class_names_of(images, task or inspection.task)
    inference = infer_contract(
        inspection,
        name=name,
        labels_found=tuple(label or "" for label in names),
        preset=preset,
        task=task,
    )
    is_assumed = inference.reason("contract.channels").startswith("assumed:")
    if preset is None and image is None and is_assumed:
        raise no_input_error()
    contract = msgspec.structs.replace(inference.contract, version=version)
    if image is not None:
        contract = msgspec.structs.replace(contract, inputs=(image,))
    if labels:
        contract = msgspec.structs.replace(contract, labels=labels)
    found, kind = load_labelled(images, None, contract, listener)
    return BuildRequest(
        source=LiveSource(module=live, name=type(module).__name__),
        inspection=inspection,
        contract=contract,
        hub_binding=hub_binding(inspection, contract, size=size, batch=1),
        images=found,
        dataset_kind=kind,
        artifacts=(),
        destination=directory / f"{contract.name}-{contract.version}",
    )
