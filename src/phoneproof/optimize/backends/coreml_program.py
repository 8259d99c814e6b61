"""A Core ML program opened for change with coremltools, and the package that is written of it.

A *layer* is an operation of the program, named by its first output.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Precision
from phoneproof.core.errors import (
    InvalidInput,
    OptimizationFailed,
    PhoneproofError,
    Unsupported,
    first_line,
    nearest,
)
from phoneproof.formats.coreml.file import CoreMlFile, read_coreml
from phoneproof.formats.coreml.package import write_package
from phoneproof.formats.coreml.precision import precision_of
from phoneproof.formats.coreml.program import BlobReference
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.quiet import quiet
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.islands import Computation
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools
from phoneproof.runtimes.backends.mil_torch.float16 import MOVES

MilOp = Any
MilProgram = Any
"""coremltools' own objects; the library carries no types."""

FIRST_VERSION: Final = {15: 6, 16: 7, 17: 8, 18: 9}
"""iOS -> the first specification version that it reads (coremltools/__init__.py)."""

_WEIGHTS: Final = "weights"  # the folder beside the specification
_CLEANING: Final = (
    "common::const_elimination",
    "common::cast_optimization",
    "common::dead_code_elimination",
    "common::const_elimination",
    "common::const_deduplication",
    "common::dead_code_elimination",
    "common::topological_reorder",
    "common::dedup_op_and_var_names",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenProgram:
    """file: the package as it lies on disk. program: its copy in memory, to be changed."""

    file: CoreMlFile
    program: MilProgram
    precision: Precision

    @property
    def block(self) -> Any:
        """The operations of the one function."""
        (function,) = self.program.functions.values()
        return function

    @property
    def layers(self) -> tuple[MilOp, ...]:
        """Everything that computes while the model runs, in order."""
        return tuple(op for op in self.block.operations if not is_constant(op))

    def reads(self, ios: int) -> bool:
        """Whether the oldest system that the package is made for reads what came with `ios`."""
        return bool(self.file.spec.specificationVersion >= FIRST_VERSION[ios])

    def require_ios(self, needed: int, what: str) -> None:
        """Refuse what the oldest system that the package is made for cannot read.

        Raises:
            Unsupported: names both systems.
        """
        if self.reads(needed):
            return
        made_for = max((ios for ios in FIRST_VERSION if self.reads(ios)), default=15)
        raise Unsupported(
            f"{what} need iOS {needed} (macOS {needed - 3})",
            found=f"{self.file.name} is made for iOS {made_for} and later",
            next_step=f"set minimum_ios = {needed}, or leave this precision out",
        )

    def require_layers(self, names: Sequence[str]) -> None:
        """Refuse a recipe that names layers which are not there.

        Raises:
            OptimizationFailed: names the first one, and a near name.
        """
        known = {layer_name(op) for op in self.layers}
        for name in names:
            if name not in known:
                near = nearest(name, known)
                raise OptimizationFailed(
                    f"the recipe names a layer that is not in {self.file.name}",
                    found=f"no layer computes tensor {name!r}",
                    next_step=f"did you mean {near!r}?" if near else "name a layer by its output",
                )


def is_constant(op: MilOp) -> bool:
    """Whether an operation is known when the model is loaded."""
    kind = str(op.op_type)
    return kind == "const" or kind.startswith("constexpr_")


def layer_name(op: MilOp) -> str:
    """The name of an operation's first output."""
    return str(op.outputs[0].name)


def computation(op: MilOp) -> Computation:
    """What an operation reads and makes; constants are left out."""
    reads = [one for given in op.inputs.values() for one in _listed(given) if not _known(one)]
    return Computation(
        name=layer_name(op),
        reads=tuple(str(one.name) for one in reads),
        makes=tuple(str(one.name) for one in op.outputs),
        moves=op.op_type in MOVES,
    )


def constants(op: MilOp) -> tuple[NDArray[np.float32], ...]:
    """The float32 numbers that an operation reads beside its data: weights, bias, a factor."""
    values = (one.val for given in op.inputs.values() for one in _listed(given) if _known(one))
    arrays = (np.asarray(value) for value in values if value is not None)
    return tuple(one for one in arrays if one.dtype == np.float32)


def _listed(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _known(variable: Any) -> bool:
    return variable.op is not None and is_constant(variable.op)


def open_program(path: Path) -> OpenProgram:
    """Read a package for changing.

    Raises:
        InvalidInput: damaged, without its weights, or not an mlprogram of one function.
    """
    file = read_coreml(path)
    plain = program_of(file)
    for operation in plain.operations:
        for value in operation.attributes.values():
            if isinstance(value, BlobReference):
                file.beside(value.file)
    import_coremltools()
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.milproto import load

    Builder.name_count.clear()  # new names count on from those of earlier programs otherwise
    weights = str(file.model.parent / _WEIGHTS)
    try:
        with quiet():
            program = load.load(file.spec, file.spec.specificationVersion, weights)
    except Exception as error:  # the library raises whatever its reader met
        raise InvalidInput(
            f"coremltools cannot read {file.name}", found=first_line(error)
        ) from error
    if len(program.functions) != 1:
        raise InvalidInput(
            f"{file.name} holds several functions", found=", ".join(program.functions)
        )
    return OpenProgram(file=file, program=program, precision=precision_of(plain))


@contextmanager
def changing(opened: OpenProgram) -> Iterator[Any]:
    """coremltools' builder inside the function; what it raises becomes ours.

    Raises:
        OptimizationFailed: the library broke.
    """
    import_coremltools()
    from coremltools.converters.mil import Builder

    try:
        with quiet(), opened.block:
            yield Builder
    except PhoneproofError:
        raise
    except Exception as error:  # the library raises whatever its passes met
        raise OptimizationFailed("coremltools broke", found=first_line(error)) from error


def clean(opened: OpenProgram) -> None:
    """Fold constants, drop casts that undo each other and what nothing reads."""
    from coremltools.converters.mil.mil.passes.pass_pipeline import (
        PassPipeline,
        PassPipelineManager,
    )

    with quiet():
        PassPipelineManager.apply_pipeline(
            opened.program, PassPipeline(pass_names=list(_CLEANING), pipeline_name="clean")
        )


def write_program(
    opened: OpenProgram,
    request: OptimizeRequest,
    options: Sequence[tuple[str, str]],
    *,
    label: Precision | None = None,
    may_stay: bool = False,
) -> WrittenModel:
    """Write the changed program with contract and binding in it, and say what it became.

    The description of inputs and outputs stays that of the package it was made from.

    Args:
        label: what nearly all weights need not show (the first layer of a sparse file stays).
        may_stay: whether the precision may be what it was.

    Raises:
        OptimizationFailed: the library broke, or the precision is what it may not be.
        StorageError: the folder cannot be written.
    """
    model, weights = _exported(opened)
    written = program_of(CoreMlFile(path=request.output, model=request.output, spec=model))
    precision = precision_of(written)
    if precision == opened.precision and not may_stay:
        raise OptimizationFailed(
            "the recipe changes nothing in this file",
            found=f"its weights are still {precision}",
            next_step="leave this precision out of the precisions of this target",
        )
    precision = label or precision
    binding = msgspec.structs.replace(request.binding, artifact=None, precision=precision)
    said = model.description.metadata.userDefined
    for key, value in embedding(Embedded(contract=request.contract, binding=binding)).items():
        said[key] = value.decode()
    write_package(request.output, model, weights)
    return WrittenModel(
        binding=binding,
        options=tuple(sorted(options)),
        tools=(("coremltools", version("coremltools")),),
    )


def _exported(opened: OpenProgram) -> tuple[Any, bytes | None]:
    """The specification of the changed program, and its file of weights."""
    from coremltools.converters.mil.backend.mil import load

    spec = opened.file.spec
    with tempfile.TemporaryDirectory(prefix="phoneproof-") as folder:
        try:
            with quiet():
                model = load.load(
                    opened.program,
                    folder,
                    specification_version=spec.specificationVersion,
                    model_description=spec.description,
                )
        except Exception as error:  # the library raises whatever its writer met
            raise OptimizationFailed("coremltools broke", found=first_line(error)) from error
        files = list(Path(folder).iterdir())
        return model, files[0].read_bytes() if files else None
