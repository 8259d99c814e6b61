"""A MIL program, planned once and run many times.

Planning resolves each operation's inputs, computes on the spot what depends on constants alone
(weights are expanded here, once), checks every other operation's shapes without computing, and
notes after which operation a value is needed no more. Whatever is not known, or too large, is
refused here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

import torch
from torch import Tensor

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.program import (
    Argument,
    NamedType,
    Operation,
    Program,
    Reference,
    TensorType,
)
from phoneproof.runtimes.backends.mil_torch.call import (
    MOST_NUMBERS,
    Call,
    Constant,
    Input,
    Named,
    Operator,
    Place,
    Words,
)
from phoneproof.runtimes.backends.mil_torch.constants import ConstantReader
from phoneproof.runtimes.backends.mil_torch.float16 import (
    KINDS,
    MOVES,
    finding,
    kept,
    rounded,
)
from phoneproof.runtimes.backends.mil_torch.lifetimes import Step, require_room, with_lifetimes
from phoneproof.runtimes.backends.mil_torch.operators import OPERATORS
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.float16_finding import Float16Finding

_META: Final = torch.device("meta")
_FLEXIBLE: Final = -1

_FAULTS: Final = (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError)
"""What torch and Python raise over operands that do not fit."""

Watch = Callable[[str, Tensor], None]
"""Gets (name of a value, its numbers) as each operation has made it."""


class MilModule:
    """A program for inputs of fixed shapes.

    Args:
        program: as read from the file.
        blob: opens a file of weights by the name that the program uses.
        name: the model's, for messages.
        shapes: of inputs that the program leaves flexible.

    Attributes:
        inputs, outputs: names and types, in the program's order; shapes as they come out.

    Raises:
        InvalidInput: damaged, or operations that contradict their inputs.
        Unsupported: an operation, a variant or a type that is not interpreted, with its place.
    """

    inputs: tuple[NamedType, ...]
    outputs: tuple[NamedType, ...]

    def __init__(
        self,
        program: Program,
        blob: Callable[[str], BlobFile],
        name: str,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
    ) -> None:
        self._name = name
        self._reader = ConstantReader(blob, name)
        self._constants: dict[str, Constant | Words] = {}
        self._classes: dict[str, str] = {}
        self._labels: set[str] = set()
        self._found: dict[str, Float16Finding] = {}
        self.inputs = tuple(self._fixed(item, shapes or {}) for item in program.inputs)
        values = self._starts()
        steps = self._planned(program.operations, values)
        self._steps = with_lifetimes(steps, {*program.outputs, *self._classes.values()})
        require_room([item.name for item in self.inputs], self._steps, values, name)
        given = [output for output in program.outputs if output not in self._labels]
        self.outputs = tuple(self._output(output, values) for output in given)

    def run(
        self, tensors: Mapping[str, Tensor], watch: Watch | None = None, *, count: bool = False
    ) -> dict[str, Tensor]:
        """Compute the outputs.

        Args:
            tensors: input name -> numbers, in the type that `KINDS` keeps theirs in.
            watch: sees each value when it is made.
            count: whether to note what float16 outputs lose (`float16_findings`).
        """
        values: dict[str, Tensor] = {}
        with torch.inference_mode():
            for item in self.inputs:
                values[item.name] = self._made(tensors[item.name], _tensor_type(item), None)
            for step in self._steps:
                with _plain_faults(step.place.where):
                    self._advance(step, values, watch, count)
        return {item.name: self._result(item.name, values) for item in self.outputs}

    def float16_findings(self) -> tuple[Float16Finding, ...]:
        """What float16 outputs lost in all counted runs, in the program's order."""
        return tuple(self._found.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """The operations that are left to run, in the program's order."""
        return self._steps

    def results(
        self, step: Step, values: Mapping[str, Tensor], *, round_off: bool = True
    ) -> dict[str, Tensor]:
        """What one operation makes of `values`, alone; torch can differentiate it.

        Args:
            values: what it reads, by name. round_off: whether float16 results are rounded.

        Raises:
            InvalidInput: the operation does not fit its inputs.
        """
        place = step.place
        with _plain_faults(place.where):
            made = _sequence(step.run(Call(place, values)))
            return {
                out.name: self._made(one, _tensor_type(out), place)
                if round_off
                else kept(one, _tensor_type(out))
                for out, one in zip(place.outputs, made, strict=True)
            }

    def _advance(
        self, step: Step, values: dict[str, Tensor], watch: Watch | None, count: bool
    ) -> None:
        place = step.place
        results = _sequence(step.run(Call(place, values)))
        for output, result in zip(place.outputs, results, strict=True):
            declared = _tensor_type(output)
            value = self._made(result, declared, place, count=count)
            _require_shape(value, declared, place)
            values[output.name] = value
            if watch is not None:
                watch(output.name, value)
        for name in step.done:
            del values[name]

    def _made(
        self, value: Tensor, declared: TensorType, place: Place | None, *, count: bool = False
    ) -> Tensor:
        value = kept(value, declared)
        if declared.dtype != "float16" or (place is not None and place.type in MOVES):
            return value
        if count and place is not None:
            new = finding(place.name, place.type, value)
            old = self._found.get(place.name)
            self._found[place.name] = new if old is None else old + new
        return rounded(value)

    def _result(self, name: str, values: Mapping[str, Tensor]) -> Tensor:
        name = self._classes.get(name, name)
        constant = self._constants.get(name)
        return constant.tensor if isinstance(constant, Constant) else values[name]

    # planning

    def _fixed(self, item: NamedType, shapes: Mapping[str, tuple[int, ...]]) -> NamedType:
        declared = _tensor_type(item)
        shape = shapes.get(item.name, declared.shape)
        shape = shape if _FLEXIBLE in declared.shape else declared.shape
        if any(side < 1 for side in shape) or math.prod(shape) > MOST_NUMBERS:
            raise InvalidInput(
                f"input {item.name!r} of {self._name} has no usable shape", found=str(list(shape))
            )
        return NamedType(name=item.name, type=TensorType(dtype=declared.dtype, shape=shape))

    def _starts(self) -> dict[str, Tensor]:
        starts = {}
        for item in self.inputs:
            type_ = _tensor_type(item)
            starts[item.name] = torch.empty(type_.shape, dtype=KINDS[type_.dtype], device=_META)
        return starts

    def _planned(self, operations: Sequence[Operation], values: dict[str, Tensor]) -> list[Step]:
        steps = []
        for operation in operations:
            if operation.type == "const":
                name, constant = self._reader.of_operation(operation)
                self._constants[name] = constant
                continue
            if operation.type == "classify":
                self._note_classes(operation, values)
                continue
            place = self._place(operation, values)
            run = OPERATORS.get(operation.type)
            if run is None:
                raise Unsupported(
                    f"the reference runtime does not know the operation {operation.type}",
                    found=f"{operation.name!r} in {self._name}",
                    next_step="open the model on a Mac, where Core ML itself runs it",
                )
            with torch.inference_mode(), _plain_faults(place.where):
                if not self._folded(run, place, values):
                    self._shaped(run, place, values)
                    steps.append(Step(place=place, run=run, done=()))
        return steps

    def _place(self, operation: Operation, values: Mapping[str, Tensor]) -> Place:
        # iOS 16 keeps the parameters of constexpr operations as attributes.
        given: dict[str, tuple[Argument, ...]] = {
            key: (value,) for key, value in operation.attributes.items()
        }
        given.update(operation.inputs)
        for output in operation.outputs:
            if output.name in values or output.name in self._constants:
                raise self._damaged(f"two values are named {output.name!r}")
        return Place(
            type=operation.type,
            name=operation.name,
            inputs={
                key: tuple(self._input(operation, item, values) for item in items)
                for key, items in given.items()
            },
            outputs=operation.outputs,
        )

    def _input(
        self, operation: Operation, argument: Argument, values: Mapping[str, Tensor]
    ) -> Input:
        if not isinstance(argument, Reference):
            return self._reader.constant(argument)
        if argument.name in self._constants:
            return self._constants[argument.name]
        if argument.name not in values:
            raise self._damaged(
                f"{operation.name!r} reads {argument.name!r}, which nothing makes before it"
            )
        return Named(name=argument.name)

    def _note_classes(self, operation: Operation, values: Mapping[str, Tensor]) -> None:
        """A classifier's last operation: probabilities become a dictionary, the best a label.

        What is given here are the probabilities; the label is left out.
        """
        source = operation.inputs.get("probabilities", ())
        read = self._input(operation, source[0], values) if source else None
        if not isinstance(read, Named) or len(operation.outputs) != 2:
            raise self._damaged(f"{operation.name!r} classifies nothing")
        label, classes = operation.outputs
        self._labels.add(label.name)
        self._classes[classes.name] = read.name

    def _folded(self, run: Operator, place: Place, values: Mapping[str, Tensor]) -> bool:
        """Compute on the spot what constants alone, or shapes alone, decide."""
        inputs = [item for items in place.inputs.values() for item in items]
        dynamic = any(isinstance(item, Named) for item in inputs)
        if dynamic and place.type != "shape":
            return False
        if not place.type.startswith("constexpr_"):  # those compare with what is declared first
            self._check(_sequence(run(Call(place, values, shapes_only=True, device=_META))), place)
        results = _sequence(run(Call(place, values)))
        self._check(results, place)
        for output, result in zip(place.outputs, results, strict=True):
            made = self._made(result, _tensor_type(output), place)
            with torch.inference_mode(False):  # a copy that may be read while gradients are kept
                constant = Constant(made.clone().contiguous())
            self._constants[output.name] = self._reader.counted(constant)
        return True

    def _shaped(self, run: Operator, place: Place, values: dict[str, Tensor]) -> None:
        results = _sequence(run(Call(place, values, shapes_only=True, device=_META)))
        self._check(results, place)
        for output, result in zip(place.outputs, results, strict=True):
            values[output.name] = kept(result, _tensor_type(output))

    def _check(self, results: Sequence[Tensor], place: Place) -> None:
        if len(results) != len(place.outputs):
            raise InvalidInput(
                f"{place.where} has another number of outputs than it gives",
                found=f"{len(place.outputs)} declared, {len(results)} computed",
            )
        for output, result in zip(place.outputs, results, strict=True):
            declared = _tensor_type(output)
            if declared.dtype not in KINDS:
                raise Unsupported(f"{place.where} gives numbers of type {declared.dtype}")
            if result.numel() > MOST_NUMBERS:
                raise InvalidInput(f"{place.where} makes a tensor of {list(result.shape)}")
            _require_shape(result, declared, place)

    def _damaged(self, found: str) -> InvalidInput:
        return InvalidInput(f"the program of {self._name} is damaged", found=found)

    def _output(self, name: str, values: Mapping[str, Tensor]) -> NamedType:
        source = self._classes.get(name, name)
        for step in self._steps:
            for output in step.place.outputs:
                if output.name == source:
                    type_ = _tensor_type(output)
                    shape = tuple(int(side) for side in values[source].shape)
                    return NamedType(name=name, type=TensorType(dtype=type_.dtype, shape=shape))
        given = next((item for item in self.inputs if item.name == name), None)
        if given is None:
            raise InvalidInput(
                f"an output of {self._name} does not depend on its input", found=repr(name)
            )
        return given


def _tensor_type(item: NamedType) -> TensorType:
    if not isinstance(item.type, TensorType):
        raise Unsupported(f"value {item.name!r} is no tensor", found=f"a {item.type.kind}")
    return item.type


def _sequence(result: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return (result,) if isinstance(result, Tensor) else result


def _require_shape(value: Tensor, declared: TensorType, place: Place) -> None:
    shape = tuple(value.shape)
    fits = len(shape) == len(declared.shape) and all(
        want in (_FLEXIBLE, have) for have, want in zip(shape, declared.shape, strict=True)
    )
    if not fits:
        raise InvalidInput(
            f"{place.where} gives another shape than the program declares",
            found=f"{list(shape)}, declared {list(declared.shape)}",
        )


def _plain_faults(where: str) -> AbstractContextManager[None]:
    """An operation that torch refuses for its shapes or indices is a fault of the file."""
    return faults_of_file(f"{where} does not fit its inputs", *_FAULTS)
