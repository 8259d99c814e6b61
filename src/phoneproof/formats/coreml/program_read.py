"""From Core ML's protobuf messages to the plain types of `program`."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import numbers
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.formats.coreml.messages import Message, program_messages
from phoneproof.formats.coreml.packed import packed_size
from phoneproof.formats.coreml.program import (
    BITS,
    Argument,
    BlobReference,
    Immediate,
    MilDType,
    NamedType,
    Operation,
    OtherType,
    Program,
    Reference,
    TensorType,
    Text,
    TextList,
    Value,
    ValueType,
)

_MAIN: Final = "main"
_NAME: Final = "name"

_DTYPES: Final[dict[str, MilDType]] = {
    "BOOL": "bool",
    "STRING": "string",
    "FLOAT16": "float16",
    "FLOAT32": "float32",
    "FLOAT64": "float64",
    "BFLOAT16": "bfloat16",
    "INT4": "int4",
    "INT8": "int8",
    "INT16": "int16",
    "INT32": "int32",
    "INT64": "int64",
    "UINT1": "uint1",
    "UINT2": "uint2",
    "UINT3": "uint3",
    "UINT4": "uint4",
    "UINT6": "uint6",
    "UINT8": "uint8",
    "UINT16": "uint16",
    "UINT32": "uint32",
    "UINT64": "uint64",
}
"""MILSpec.DataType -> name."""

_LISTS: Final[dict[str, type[np.generic]]] = {
    "floats": np.float32,
    "doubles": np.float64,
    "ints": np.int32,
    "longInts": np.int64,
    "bools": np.bool_,
}
"""How a TensorValue holds numbers -> what its list can hold; ``bytes`` hold any type, packed."""


def program_of(file: CoreMlFile) -> Program:
    """The program's main function.

    Raises:
        Unsupported: a model of another kind, several functions without a main one, or a type of
            numbers that is not read.
        InvalidInput: damaged.
    """
    if file.kind != "mlProgram":
        raise Unsupported(f"{file.name} holds no MIL program", found=f"a model of kind {file.kind}")
    functions = file.spec.mlProgram.functions
    main = str(file.spec.description.defaultFunctionName) or _MAIN
    if main not in functions:
        raise Unsupported(
            f"{file.name} has no function {main!r}", found=", ".join(sorted(functions)) or "none"
        )
    function = functions[main]
    if function.opset not in function.block_specializations:
        raise InvalidInput(
            f"the program of {file.name} is damaged", found=f"no block for opset {function.opset!r}"
        )
    block = function.block_specializations[function.opset]
    read = _Reader(file.name)
    return Program(
        inputs=read.named_types(function.inputs),
        operations=tuple(read.operation(item) for item in block.operations),
        outputs=tuple(str(name) for name in block.outputs),
        opset=str(function.opset),
    )


class _Reader:
    """Args: name: the model's, for messages."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._dtype_name = program_messages().DataType.Name

    def operation(self, message: Message) -> Operation:
        attributes = {str(key): item for key, item in message.attributes.items()}
        outputs = self.named_types(message.outputs)
        given = attributes.pop(_NAME, None)
        name = self.value(given) if given is not None else None
        fallback = outputs[0].name if outputs else ""
        kind = str(message.type)
        if message.blocks:
            raise Unsupported(
                f"{self._name} decides at run time what it computes",
                found=f"operation {kind} {fallback!r} with blocks of its own",
                next_step="convert the model again for one fixed path and size",
            )
        return Operation(
            type=kind,
            name=name.text if isinstance(name, Text) else fallback,
            inputs={
                str(key): tuple(self._argument(binding) for binding in item.arguments)
                for key, item in message.inputs.items()
            },
            outputs=outputs,
            attributes={key: self.value(item) for key, item in attributes.items()},
        )

    def named_types(self, messages: Iterable[Message]) -> tuple[NamedType, ...]:
        return tuple(NamedType(name=str(m.name), type=self._type(m.type)) for m in messages)

    def _argument(self, binding: Message) -> Argument:
        if binding.WhichOneof("binding") == "name":
            return Reference(name=str(binding.name))
        return self.value(binding.value)

    def value(self, message: Message) -> Value:
        type_ = self._type(message.type)
        where = message.WhichOneof("value")
        if where == "blobFileValue" and isinstance(type_, TensorType):
            blob = message.blobFileValue
            return BlobReference(type=type_, file=str(blob.fileName), offset=int(blob.offset))
        if where != "immediateValue":
            raise self._damaged("a constant without a value")
        kind = message.immediateValue.WhichOneof("value")
        if isinstance(type_, TensorType) and kind == "tensor":
            return self._tensor(type_, message.immediateValue.tensor)
        if kind == "list":
            items = [self.value(item) for item in message.immediateValue.list.values]
            texts = [_word(item) for item in items]
            if "" not in texts:
                return TextList(texts=tuple(texts))
        raise Unsupported(
            f"{self._name} has a constant that is not read", found=f"a {kind or 'value'}"
        )

    def _tensor(self, type_: TensorType, message: Message) -> Immediate | Text | TextList:
        kind = str(message.WhichOneof("value"))
        if type_.dtype == "string":
            texts = tuple(str(text) for text in message.strings.values)
            return (
                Text(text=texts[0])
                if len(texts) == 1 and not type_.shape
                else TextList(texts=texts)
            )
        if kind == "bytes":
            return Immediate(type=type_, values=self._from_bytes(type_, message.bytes.values))
        if min(type_.shape, default=0) < 0:
            raise self._damaged(f"a constant of shape {list(type_.shape)}")
        if kind not in _LISTS:
            raise self._damaged(f"numbers of {type_.dtype} as {kind}")
        listed = np.array(getattr(message, kind).values, _LISTS[kind])
        self._require_count(type_, listed.size, math.prod(type_.shape))
        return Immediate(type=type_, values=self._narrowed(listed, type_))

    def _from_bytes(self, type_: TensorType, data: bytes) -> NDArray[Any]:
        count = math.prod(type_.shape)
        self._require_count(type_, len(data), packed_size(count, max(BITS[type_.dtype], 1)))
        return numbers(np.frombuffer(data, np.uint8), type_)

    def _narrowed(self, listed: NDArray[Any], type_: TensorType) -> NDArray[Any]:
        widened = BITS[type_.dtype] < 8 and type_.dtype != "bool"
        name = "int8" if widened else type_.dtype
        if name == "bfloat16":
            name = "float32"
        return listed.astype(name).reshape(type_.shape)

    def _require_count(self, type_: TensorType, have: int, want: int) -> None:
        if have != want:
            raise self._damaged(f"{have} in place of {want} for {type_.dtype} {list(type_.shape)}")

    def _type(self, message: Message) -> ValueType:
        kind = message.WhichOneof("type")
        if kind != "tensorType":
            return OtherType(kind=str(kind).removesuffix("Type"))
        tensor = message.tensorType
        code = self._dtype_name(tensor.dataType) if tensor.dataType else ""
        if code not in _DTYPES:
            raise Unsupported(
                f"{self._name} computes with a type that is not read", found=code or "no type"
            )
        shape = tuple(_side(dimension) for dimension in tensor.dimensions)
        return TensorType(dtype=_DTYPES[code], shape=shape)

    def _damaged(self, found: str) -> InvalidInput:
        return InvalidInput(f"the program of {self._name} is damaged", found=found)


def _word(item: Value) -> str:
    """A label, which may be a whole number; empty for what is no label."""
    if isinstance(item, Immediate) and item.values.size == 1:
        return str(item.values.item())
    return item.text if isinstance(item, Text) else ""


def _side(dimension: Message) -> int:
    if dimension.WhichOneof("dimension") == "constant":
        return int(dimension.constant.size)
    return -1
