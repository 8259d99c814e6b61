"""TorchScript programs as a source: searched first, then loaded and run by torch on the CPU."""

from __future__ import annotations

import io
import warnings
from functools import partial
from pathlib import Path
from typing import Final

import torch
from torch.export import ExportedProgram

from phoneproof.capture.backends.flat_export import flat_program, probe
from phoneproof.capture.backends.torch_files.image_size import TriedSizes, try_sizes
from phoneproof.capture.backends.torch_files.program_session import (
    guess_head,
    image_shape,
    open_session,
    output_names,
    outputs_of,
    with_open_shapes,
)
from phoneproof.capture.backends.torch_files.script_archive import is_script, safe_script
from phoneproof.capture.base import HubExport
from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session

_SUFFIX: Final = ".torchscript"


class TorchScriptSource:
    """Reads what torch.jit.save wrote, in eager TorchScript, float32."""

    def recognises(self, path: Path) -> bool:
        """An archive with code/ and constants.pkl; by name, so damaged files are explained."""
        return path.is_file() and (path.suffix.lower() == _SUFFIX or is_script(path))

    def inspect(self, path: Path) -> Inspection:
        """What the program says and one run on noise shows.

        Raises:
            InvalidInput: truncated or hostile; nothing of it was loaded then.
            Unsupported: quantised, with foreign operators, or not a function of one image.
        """
        module = _load(path)
        tried = try_sizes(module)
        if not tried.fitting:
            raise _no_size(path, tried)
        size = tried.fitting[0]
        shape = image_shape("NCHW", tried.channels, size, 1)
        outputs = outputs_of(module, probe(shape), name=path.name)
        guess = guess_head(_traced(path, module, shape), outputs, size)
        names = output_names(len(outputs))
        inspection = Inspection(
            format="torchscript",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(TensorSpec(name="image", shape=shape, dtype="float32"),),
            outputs=tuple(
                TensorSpec(name=name, shape=tuple(value.shape), dtype="float32")
                for name, value in zip(names, outputs, strict=True)
            ),
            layout="NCHW",
            channels=tried.channels,
            size=size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            evidence=Evidence(framework="TorchScript", family=str(module.original_name)),
            findings=(*guess.findings, *tried.findings()),
        )
        if len(tried.fitting) == 1:
            return inspection
        other = probe(image_shape("NCHW", tried.channels, tried.fitting[1], 1))
        return with_open_shapes(inspection, partial(outputs_of, module, other, name=path.name))

    def open(self, path: Path, *, size: Size, batch: int) -> Session:
        """The program itself, in evaluation mode."""
        module = _load(path)
        image = TensorSpec(name="image", shape=_shape(path, module, size, batch), dtype="float32")
        return open_session(module, image, name=path.name)

    def importers(self, path: Path, *, size: Size, batch: int) -> tuple[tuple[str, HubExport], ...]:
        """Traced and frozen first; then as its operators run one by one."""
        return (
            ("trace", partial(_export, path, size, batch, frozen=True)),
            ("operators", partial(_export, path, size, batch, frozen=False)),
        )


def _load(path: Path) -> torch.jit.ScriptModule:
    data = io.BytesIO(safe_script(path))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit says that it is old
            module = torch.jit.load(data, map_location="cpu")  # type: ignore[no-untyped-call]
    except Exception as error:  # torch raises RuntimeError and others for damaged archives
        raise InvalidInput(
            f"{path.name} cannot be loaded as TorchScript",
            found=first_line(error),
            next_step="save it again with torch.jit.save",
        ) from error
    assert isinstance(module, torch.jit.ScriptModule)
    return module.eval()


def _shape(path: Path, module: torch.jit.ScriptModule, size: Size, batch: int) -> tuple[int, ...]:
    tried = try_sizes(module, (size,))
    if not tried.fitting:
        raise _no_size(path, tried)
    return image_shape("NCHW", tried.channels, size, batch)


def _export(path: Path, size: Size, batch: int, *, frozen: bool) -> ExportedProgram:
    module = _load(path)
    shape = _shape(path, module, size, batch)
    if frozen:
        return _traced(path, module, shape)
    return flat_program(module.forward, shape, what=path.name)


def _traced(path: Path, module: torch.jit.ScriptModule, shape: tuple[int, ...]) -> ExportedProgram:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        image = probe(shape)
        traced = torch.jit.trace(module, image, check_trace=False)  # type: ignore[no-untyped-call]
        frozen = torch.jit.freeze(traced)
    return flat_program(frozen.forward, shape, what=path.name)


def _no_size(path: Path, tried: TriedSizes) -> Unsupported:
    sizes = ", ".join(f"{height} x {width}" for height, width in tried.tried)
    return Unsupported(
        f"{path.name} takes no float32 image [N, C, H, W] of {sizes}",
        found=tried.refused,
        next_step="export the part of the model that takes one image, or export it to ONNX",
    )
