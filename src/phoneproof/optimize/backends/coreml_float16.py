"""Core ML float32 -> float16 arithmetic with float32 islands; inputs and outputs stay as they are.

Apple's Neural Engine computes in float16 alone, and an mlprogram computes in the types it declares:
what stays float32 runs on the CPU or the GPU, so islands are as few and as small as can be.
"""

from __future__ import annotations

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Float16
from phoneproof.optimize.backends.coreml_program import (
    MilOp,
    OpenProgram,
    changing,
    clean,
    computation,
    constants,
    is_constant,
    layer_name,
    open_program,
    write_program,
)
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.islands import lost_in_float16, out_of_range, with_readers
from phoneproof.optimize.read_bounds import read_bounds


class CoreMlFloat16:
    """Half the size. Islands: the recipe's layers with those that read what they make, layers whose
    weights float16 cannot hold, and, with ranges, those that make or read values that it cannot
    hold. Where nothing else has weights the file stays float32, and says so.
    """

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the candidate.

        Raises:
            InvalidInput: not an mlprogram of float32 weights; ranges of another file.
            OptimizationFailed: a layer that is not there, or the library broke.
        """
        if not isinstance(request.recipe, Float16):
            raise OptimizationFailed(
                "this optimizer writes float16 alone", found=repr(request.recipe)
            )
        opened = open_program(request.artifact)
        if opened.precision != "float32":
            raise InvalidInput(
                f"{opened.file.name} cannot be cast to float16",
                found=f"its weights are {opened.precision}, not float32",
                next_step="start from the float32 package",
            )
        opened.require_layers(request.recipe.float_layers)
        found = _islands(opened, request)
        computations = map(computation, opened.layers)
        kept = frozenset(found).union(with_readers(computations, request.recipe.float_layers))
        cast(opened, kept)
        return write_program(
            opened,
            request,
            (
                ("float32_layers", canonical_bytes(tuple(sorted(kept))).decode()),
                ("overflow_layers", canonical_bytes(tuple(sorted(found))).decode()),
                ("weights", "float16"),
            ),
            may_stay=True,
        )


def _islands(opened: OpenProgram, request: OptimizeRequest) -> tuple[str, ...]:
    """What float16 cannot hold, whatever the recipe says."""
    heavy = {
        layer_name(op)
        for op in opened.layers
        if any(lost_in_float16(value) for value in constants(op))
    }
    largest: dict[str, float] = {}
    if request.ranges is not None:
        bounds = read_bounds(request.ranges, request.artifact, "min_max")
        largest = {name: max(abs(low), abs(high)) for name, (low, high) in bounds.items()}
    beyond = out_of_range((computation(op) for op in opened.layers), largest)
    return tuple(dict.fromkeys((*heavy, *beyond)))


def cast(opened: OpenProgram, kept: frozenset[str]) -> None:
    """float16 for every operation but those named, in place; names of layers stay.

    Raises:
        OptimizationFailed: the library broke.
    """
    names = _named_by_output(opened)
    with changing(opened):
        from coremltools.converters.mil.mil.passes.defs.quantization import FP16ComputePrecision

        def chosen(op: MilOp) -> bool:
            return not is_constant(op) and layer_name(op) not in kept

        FP16ComputePrecision(op_selector=chosen).apply(opened.program)
        clean(opened)
    _rename(opened, names)


_SUFFIX = "_cast_fp16"


def _named_by_output(opened: OpenProgram) -> dict[str, tuple[str, ...]]:
    """Operation name -> its outputs' names; operations of one output take its name."""
    for op in opened.layers:
        if len(op.outputs) == 1:
            op.name = layer_name(op)
    return {op.name: tuple(out.name for out in op.outputs) for op in opened.layers}


def _rename(opened: OpenProgram, names: dict[str, tuple[str, ...]]) -> None:
    """Give layers the names they had; what the casting pass put beside them keeps its own."""
    taken = {out.name for op in opened.block.operations for out in op.outputs}
    for op in opened.layers:
        before = op.name.removesuffix(_SUFFIX)
        if before == op.name or before not in names:
            continue
        for out, name in zip(op.outputs, names[before], strict=True):
            if name not in taken:
                taken.add(name)
                out.name = name
        op.name = layer_name(op)
