"""A program's constants as torch's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.program import Immediate, Operation, Text, TextList, Value
from phoneproof.runtimes.backends.mil_torch.call import MOST_KEPT, MOST_NUMBERS, Constant, Words
from phoneproof.runtimes.backends.mil_torch.float16 import KINDS


class ConstantReader:
    """Args: blob: opens a file of weights by the name that the program uses. name: the model's."""

    def __init__(self, blob: Callable[[str], BlobFile], name: str) -> None:
        self._blob = blob
        self._name = name
        self._kept = 0

    def of_operation(self, operation: Operation) -> tuple[str, Constant | Words]:
        """The name of a ``const`` and what it holds.

        Raises:
            InvalidInput: it holds nothing, or its weights are damaged.
        """
        value = operation.attributes.get("val")
        if value is None or len(operation.outputs) != 1:
            raise InvalidInput(
                f"the program of {self._name} is damaged",
                found=f"constant {operation.name!r} without a value",
            )
        return operation.outputs[0].name, self.constant(value)

    def constant(self, value: Value) -> Constant | Words:
        """Numbers in memory of their own, or texts.

        Raises:
            InvalidInput: the weights are damaged, or too many.
            Unsupported: a type of numbers that is not kept.
        """
        if isinstance(value, Text):
            return Words(texts=(value.text,))
        if isinstance(value, TextList):
            return Words(texts=value.texts)
        if value.type.dtype not in KINDS:
            raise Unsupported(f"{self._name} holds numbers of type {value.type.dtype}")
        if math.prod(value.type.shape) > MOST_NUMBERS:
            raise InvalidInput(
                f"{self._name} holds a huge constant", found=f"shape {list(value.type.shape)}"
            )
        if isinstance(value, Immediate):
            numbers = value.values
        else:
            numbers = self._blob(value.file).read(value.type, value.offset)
        wide = np.array(numbers, order="C")  # torch wants memory of its own that it may write to
        if wide.dtype in (np.uint16, np.uint32):  # types that torch hardly computes with
            wide = wide.astype(np.int64)
        return self.counted(Constant(torch.from_numpy(wide).to(KINDS[value.type.dtype])))

    def counted(self, constant: Constant) -> Constant:
        """The same, its numbers added to those that the program keeps.

        Raises:
            InvalidInput: they have become more than `MOST_KEPT`.
        """
        self._kept += constant.tensor.numel()
        if self._kept > MOST_KEPT:
            raise InvalidInput(
                f"the constants of {self._name} are too many to be kept",
                found=f"more than {MOST_KEPT} numbers",
                next_step="check where the file comes from: models for phones hold far fewer",
            )
        return constant
