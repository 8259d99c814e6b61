"""torch.export programs (.pt2) as a source: checked, packed again, then loaded by torch itself."""

from __future__ import annotations

import io
import warnings
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import torch
from torch.export import ExportedProgram

from phoneproof.capture.backends.flat_export import flat_program, probe
from phoneproof.capture.backends.torch_files.exported_archive import is_exported, safe_archive
from phoneproof.capture.backends.torch_files.exported_json import is_scalar_function
from phoneproof.capture.backends.torch_files.program_session import (
    OPEN,
    guess_head,
    image_shape,
    open_session,
    output_names,
    outputs_of,
)
from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.capture.base import HubExport
from phoneproof.capture.fixed_session import static_shape
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Layout
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import ConversionFailed, InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session

_SUFFIX: Final = ".pt2"
_SIDES: Final = (224, 640, 320, 256, 128, 64, 32)
"""Tried in this order where the program leaves height and width open."""

_TRAINING_FLAGS: Final = {"aten.batch_norm": 5, "aten.dropout": 2, "aten.native_dropout": 2}
"""Operators with a flag for training, and its place among the arguments."""


class TorchExportSource:
    """Reads what torch.export.save wrote (torch 2.8 and later)."""

    def recognises(self, path: Path) -> bool:
        """An archive with a program; by name too, so that damaged files are explained."""
        return path.is_file() and (path.suffix.lower() == _SUFFIX or is_exported(path))

    def inspect(self, path: Path) -> Inspection:
        """What the program's signature says, and one run on noise.

        Raises:
            InvalidInput: truncated or hostile; nothing of it was loaded then.
            Unsupported: not a function of one float32 image, in training mode, or with foreign
                operators.
        """
        program = _load(path)
        declared = _declared(path, program)
        layout, channels = _layout(path, declared)
        size = _first_size(path, program, declared)
        shape = image_shape(layout, channels, size, _batch(declared))
        outputs = outputs_of(_call(program), probe(shape), name=path.name)
        guess = guess_head(program, outputs, size)
        names = output_names(len(outputs))
        shapes = [_shape_of(program, str(name)) for name in program.graph_signature.user_outputs]
        is_open = OPEN in _sides(declared, layout)
        return Inspection(
            format="torch_export",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(TensorSpec(name="image", shape=declared, dtype="float32"),),
            outputs=tuple(
                TensorSpec(name=name, shape=shape, dtype="float32")
                for name, shape in zip(names, shapes, strict=True)
            ),
            layout=layout,
            channels=channels,
            size=None if is_open else size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            evidence=Evidence(framework="torch.export"),
            findings=guess.findings,
        )

    def open(self, path: Path, *, size: Size, batch: int) -> Session:
        """The loaded program itself."""
        program, shape = _for_size(path, size, batch)
        image = TensorSpec(name="image", shape=shape, dtype="float32")
        return open_session(_call(program), image, name=path.name)

    def importers(self, path: Path, *, size: Size, batch: int) -> tuple[tuple[str, HubExport], ...]:
        """Exported again for the one shape; else recorded operator by operator."""
        return (
            ("torch.export", partial(_export, path, size, batch)),
            ("operators", partial(_record, path, size, batch)),
        )


def _load(path: Path) -> ExportedProgram:
    data = safe_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.export.load(io.BytesIO(data))
    except Exception as error:  # torch.export.load raises many kinds
        raise InvalidInput(
            f"{path.name} cannot be loaded by torch.export",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step=f"save it again with torch {torch.__version__.partition('+')[0]}",
        ) from error
    _refuse_other_calls(path, program)
    _refuse_training(path, program)
    return program


def _refuse_other_calls(path: Path, program: ExportedProgram) -> None:
    """What torch made of the checked names must be operators; nothing of it has been run yet."""
    for node in program.graph.nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node.op != "call_function" or not _is_operator(node.target):
            raise InvalidInput(
                f"{path.name} calls what is no operator",
                found=f"{node.op} {printable(str(node.target))}; nothing was executed",
                next_step="do not load this file elsewhere; ask its source for the original",
            )


def _is_operator(target: object) -> bool:
    if isinstance(target, torch._ops.OpOverload):
        return target.namespace == "aten"
    module, name = getattr(target, "__module__", ""), getattr(target, "__name__", "")
    return is_scalar_function(f"{module}.{name}")


def _call(program: ExportedProgram) -> torch.nn.Module:
    # The archive's guards were left out; the shape is checked by the session.
    return program.module(check_guards=False)


def _refuse_training(path: Path, program: ExportedProgram) -> None:
    changed = program.graph_signature.buffers_to_mutate.values()
    trained = [
        str(node.target)
        for node in program.graph.nodes
        if node.op == "call_function" and _is_training(node)
    ]
    if changed or trained:
        raise Unsupported(
            f"{path.name} was exported in training mode",
            found=f"it changes {sorted(changed)[0]}" if changed else trained[0],
            next_step="call model.eval() before torch.export.export",
        )


def _is_training(node: torch.fx.Node) -> bool:
    place = _TRAINING_FLAGS.get(str(node.target).rpartition(".")[0])
    given = node.args[place] if place is not None and place < len(node.args) else None
    named = node.kwargs.get("training", node.kwargs.get("train"))
    return given is True or named is True


def _declared(path: Path, program: ExportedProgram) -> tuple[int, ...]:
    """The shape of the one image input; -1 where it is open."""
    names = [str(name) for name in program.graph_signature.user_inputs]
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    image = values.get(names[0]) if names else None
    if len(names) != 1 or not isinstance(image, torch.Tensor):
        _refuse_input(path, f"{len(names)} inputs: {', '.join(names)}")
    if image.dtype != torch.float32:
        _refuse_input(path, f"{names[0]} {list(_sizes(image))} of {image.dtype}")
    return _sizes(image)


def _refuse_input(path: Path, found: str) -> NoReturn:
    raise Unsupported(
        f"{path.name} does not take one float32 image",
        found=found,
        next_step="export a forward() of one float32 tensor [N, C, H, W] or [N, H, W, C]",
    )


def _sizes(value: torch.Tensor) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else OPEN for size in value.shape)


def _shape_of(program: ExportedProgram, name: str) -> tuple[int, ...]:
    node = next(node for node in program.graph.nodes if node.name == name)
    return _sizes(node.meta["val"])


def _layout(path: Path, declared: tuple[int, ...]) -> tuple[Layout, int]:
    if len(declared) == 4 and declared[1] in (1, 3):
        return "NCHW", declared[1]
    if len(declared) == 4 and declared[3] in (1, 3):
        return "NHWC", declared[3]
    _refuse_input(path, f"an input of shape {list(declared)}")


def _sides(declared: tuple[int, ...], layout: Layout) -> Size:
    return (declared[2], declared[3]) if layout == "NCHW" else (declared[1], declared[2])


def _batch(declared: tuple[int, ...]) -> int:
    return 1 if declared[0] == OPEN else declared[0]


def _first_size(path: Path, program: ExportedProgram, declared: tuple[int, ...]) -> Size:
    """The size itself, or the first usual one that an open program runs on."""
    layout, channels = _layout(path, declared)
    height, width = _sides(declared, layout)
    sizes = [
        (side if height == OPEN else height, side if width == OPEN else width) for side in _SIDES
    ]
    refused: Unsupported | None = None
    for size in dict.fromkeys(sizes):
        try:
            image = probe(image_shape(layout, channels, size, _batch(declared)))
            outputs_of(_call(program), image, name=path.name)
        except Unsupported as error:
            refused = refused or error
            continue
        return size
    assert refused is not None
    raise refused


def _for_size(path: Path, size: Size, batch: int) -> tuple[ExportedProgram, tuple[int, ...]]:
    program = _load(path)
    declared = _declared(path, program)
    layout, channels = _layout(path, declared)
    return program, static_shape(
        declared, image_shape(layout, channels, size, batch), name=path.name
    )


def _export(path: Path, size: Size, batch: int) -> ExportedProgram:
    program, shape = _for_size(path, size, batch)
    try:
        with torch.no_grad():
            return torch.export.export(_call(program), (probe(shape),), strict=False)
    except Exception as error:  # torch.export raises many kinds
        raise ConversionFailed(
            f"{path.name} cannot be exported again for {size[0]} x {size[1]}",
            found=f"{type(error).__name__}: {first_line(error)}",
        ) from error


def _record(path: Path, size: Size, batch: int) -> ExportedProgram:
    program, shape = _for_size(path, size, batch)
    return flat_program(_call(program), shape, what=path.name)
