"""The hub program: a `torch.export.ExportedProgram` with named tensors, run by PyTorch.

torch.export names no outputs, so the names lie in the archive beside the program, in the file
``phoneproof.hub.json``. Only archives that hold it are opened: they were written here.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import torch
from torch.export import ExportedProgram

from phoneproof.core.errors import InvalidInput, first_line
from phoneproof.core.json_format import canonical_bytes, parse
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.model_file import replacing, require_model_file
from phoneproof.runtimes.backends import coded_ops  # noqa: F401 - programs may hold them
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.tensors import check_tensors

_RECORD = "phoneproof.hub.json"


class HubTensors(msgspec.Struct, frozen=True, kw_only=True):
    """The names, shapes and dtypes of a hub program's inputs and outputs, in its order."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class HubRuntime:
    """PyTorch on the CPU, inference mode."""

    name = "hub"
    version = f"torch {torch.__version__}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a hub file. `threads` other than 0 sets PyTorch's number, which is process-wide."""
        if threads:
            torch.set_num_threads(threads)
        return _HubSession(*load_hub(path))

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open so that each node's value can be read; names are module path and node."""
        return _HubSession(*load_hub(path))


def save_hub(
    program: ExportedProgram,
    path: Path,
    inputs: tuple[TensorSpec, ...],
    outputs: tuple[TensorSpec, ...],
    metadata: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a hub file: the program, without source positions, and the names of its tensors.

    metadata: further JSON documents for the archive (contract and binding of an artifact).

    Raises:
        InvalidInput: as many specifications as the program has inputs or outputs are needed.
        StorageError: the folder cannot be written.
    """
    signature = program.graph_signature
    counts = len(signature.user_inputs), len(signature.user_outputs)
    if (len(inputs), len(outputs)) != counts:
        raise InvalidInput(
            "the names do not fit the hub program",
            found=f"{len(inputs)} inputs and {len(outputs)} outputs named, program has {counts}",
        )
    _strip_origins(program)
    record = canonical_bytes(HubTensors(inputs=inputs, outputs=outputs))
    # Memory, not a path: torch names the archive's root after the file, and equal programs shall
    # give equal bytes. Not a file either: torch's writer aborts the process on a full disk.
    stream = io.BytesIO()
    documents = {f"{key}.json": value.decode() for key, value in metadata.items()}
    torch.export.save(program, stream, extra_files={_RECORD: record.decode(), **documents})
    with replacing(path) as part:
        part.write_bytes(stream.getbuffer())


def load_hub(path: Path) -> tuple[ExportedProgram, HubTensors]:
    """Read a hub file that `save_hub` wrote.

    Raises:
        InvalidInput: not a hub file, or written by something else.
    """
    require_model_file(path, "hub program")
    _require_own(path)
    extra = {_RECORD: ""}
    try:
        program = torch.export.load(path, extra_files=extra)
    except Exception as error:  # torch raises whatever its unpickler met
        raise InvalidInput(
            f"{path.name} cannot be read by PyTorch",
            found=first_line(error),
            next_step="delete it: the next build captures the source again",
        ) from error
    record = extra[_RECORD]
    return program, parse(record, HubTensors, what=f"{_RECORD} in {path.name}")


def output_shapes(program: ExportedProgram) -> tuple[tuple[int, ...], ...]:
    """Shapes of the program's outputs, in its order, read from the graph without running it."""
    wanted = program.graph_signature.user_outputs
    by_name = {node.name: node for node in program.graph.nodes}
    return tuple(tuple(by_name[str(name)].meta["val"].shape) for name in wanted)


def _require_own(path: Path) -> None:
    """Loading an archive unpickles parts of it: refuse what was not written here."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise InvalidInput(f"{path.name} is not a hub program", found=str(error)) from error
    if not any(name.endswith(f"/{_RECORD}") for name in names):
        raise InvalidInput(
            f"{path.name} is not a hub program",
            found="an archive without the record of its tensors",
            next_step="give the source model to 'phoneproof build'; hub files are made from it",
        )


_ORIGINS = ("stack_trace", "from_node")
"""What torch.export notes of a node's origin: lines of files on this disk, and graphs by their
address in memory, which differs from run to run."""


def _strip_origins(program: ExportedProgram) -> None:
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                for origin in _ORIGINS:
                    node.meta.pop(origin, None)


class _HubSession:
    def __init__(self, program: ExportedProgram, tensors: HubTensors) -> None:
        self._tensors = tensors
        self._module = program.module(check_guards=False)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._tensors.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._tensors.outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        values = self._ordered(tensors)
        with torch.inference_mode():
            result = self._module(*values)
        results = result if isinstance(result, (tuple, list)) else (result,)
        names = (spec.name for spec in self.outputs)
        # .copy(): an output may alias an input or another output.
        return {name: value.numpy().copy() for name, value in zip(names, results, strict=True)}

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        with torch.inference_mode():
            interpreter = _Recorder(self._module)
            interpreter.run(*self._ordered(tensors))
        yield from interpreter.seen

    def _ordered(self, tensors: Tensors) -> list[torch.Tensor]:
        check_tensors(self.inputs, tensors)
        # A copy: torch refuses read-only arrays with a warning, and NumPy may hold a view.
        return [torch.from_numpy(np.array(tensors[spec.name])) for spec in self.inputs]


class _Recorder(torch.fx.Interpreter):
    """Runs a graph node by node and keeps every computed float tensor."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__(module)
        self.seen: list[tuple[str, Tensor]] = []

    def run_node(self, n: torch.fx.Node) -> object:
        value = super().run_node(n)
        computed = n.op == "call_function" and isinstance(value, torch.Tensor)
        if computed and value.is_floating_point():
            self.seen.append((layer_name(n), value.numpy().copy()))
        return value


def layer_name(node: torch.fx.Node) -> str:
    """Where a node comes from: the path of its module, where known, and its own name."""
    return place_of(node.meta, node.name)


def place_of(meta: Mapping[str, Any], name: str) -> str:
    """The same, of what torch.export notes of a node."""
    stack = meta.get("nn_module_stack") or {}
    path = str(list(stack.values())[-1][0]) if stack else ""
    return f"{path}/{name}" if path else name
