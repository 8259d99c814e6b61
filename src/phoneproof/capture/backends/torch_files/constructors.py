"""What the few calls that torch.save writes stand for: tensors, parameters, ordered dicts, sizes.

Everything else that a pickle would call becomes a `Record` of its name and arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NoReturn, TypeVar, cast

from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    TensorDType,
    TensorRef,
    shown,
)
from phoneproof.core.errors import InvalidInput

T = TypeVar("T")

MAX_INTEGER_BITS = 64
MAX_NUMBER_KEYS = 65_536
"""Class names by index (21 841 in ImageNet-21k) and optimizer states (a few thousand) are fewer."""

MAX_TUPLE_KEYS = 256
MAX_KEY_PARTS = 16
"""Hashes of numbers, and of tuples of them, are known beforehand: whoever wants them to be alike
can make each store take as long as the dictionary is large."""

STORAGE_DTYPES: Mapping[str, TensorDType] = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}

_STORAGE_MODULES = ("torch", "torch.cuda", "torch.storage")


def refuse(found: str, cause: Exception | None = None) -> NoReturn:
    """Raise InvalidInput for a pickle that torch.save did not write."""
    raise InvalidInput(
        "the checkpoint's pickle cannot be read",
        found=found,
        next_step="the file is corrupt or was not written by torch.save; fetch it again",
    ) from cause


def instance(value: object, kind: type[T]) -> T:
    """The value, which must be of this kind."""
    if not isinstance(value, kind):
        refuse(f"{shown(value)} where a {kind.__name__} belongs")
    return value


class Budget:
    """How many elements may still be copied out of values that a pickle refers to again.

    A reference of two bytes to a list of any length must not cost a copy of that list each time.
    """

    def __init__(self, elements: int) -> None:
        self._left = elements

    def spend(self, elements: int) -> None:
        """Count elements before they are copied.

        Raises:
            InvalidInput: more than the pickle could have written.
        """
        self._left -= elements
        if self._left < 0:
            refuse("more elements copied than the file has bytes")


def store(target: object, flat: list[object]) -> None:
    """Store a flat list of keys and values in a dict or a record."""
    if len(flat) % 2:
        refuse("a key without a value")
    pairs = list(zip(flat[::2], flat[1::2], strict=True))
    if isinstance(target, Record):
        target.items.extend(pairs)
        return
    mapping = cast("dict[object, object]", instance(target, dict))
    for key, value in pairs:
        _check_key(key, len(mapping))
        mapping[key] = value


def _check_key(key: object, size: int) -> None:
    """Refuse keys that would make a dictionary of `size` entries slow."""
    # Hashing a tuple of shared tuples takes exponential time: only flat keys are stored.
    scalar = bool | int | float | str | bytes | None
    parts = key if isinstance(key, tuple) else (key,)
    if len(parts) > MAX_KEY_PARTS or not all(isinstance(part, scalar) for part in parts):
        refuse(f"a dictionary key of type {type(key).__name__}")
    if any(isinstance(part, int) and part.bit_length() > MAX_INTEGER_BITS for part in parts):
        refuse(f"a dictionary key of more than {MAX_INTEGER_BITS} bits")
    limit = MAX_TUPLE_KEYS if isinstance(key, tuple) else MAX_NUMBER_KEYS
    if isinstance(key, tuple | int | float) and size >= limit:
        refuse(f"a dictionary of more than {limit} entries with a {type(key).__name__} as key")


def constructed(made: object, arguments: tuple[object, ...], budget: Budget) -> object:
    """What calling `made` would give: a plain value for the names of the table, else a record."""
    name = instance(made, GlobalName)
    if name.dotted == "collections.OrderedDict":
        return _ordered_dict(arguments, budget)
    constructor = _CONSTRUCTORS.get(name.dotted)
    return constructor(arguments) if constructor else Record(name, arguments)


def _ordered_dict(arguments: tuple[object, ...], budget: Budget) -> object:
    target: dict[object, object] = {}
    pairs = instance(arguments[0], list) if arguments else []
    budget.spend(len(pairs))
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            refuse(f"{shown(pair)} where a key and a value belong")
        store(target, [*pair])
    return target


def _parameter(arguments: tuple[object, ...]) -> object:
    return instance(arguments[0], TensorRef)


def _size(arguments: tuple[object, ...]) -> object:
    return tuple(instance(arguments[0], tuple)) if arguments else ()


def _tensor(arguments: tuple[object, ...]) -> object:
    """Arguments of ``torch._utils._rebuild_tensor`` and ``_v2``: storage, offset, size, stride."""
    storage = instance(arguments[0], StorageRef)
    shape, stride = _counts(arguments[2]), _counts(arguments[3])
    (offset,) = _counts((arguments[1],))
    if len(shape) != len(stride) or len(shape) > 8:
        refuse(f"a tensor of {len(shape)} sizes and {len(stride)} strides")
    tensor = TensorRef(storage=storage, shape=shape, stride=stride, offset=offset)
    last = offset + sum((n - 1) * s for n, s in zip(shape, stride, strict=True))
    # A zero or short stride would make a small storage look like a tensor of any size.
    if tensor.numel and (last >= storage.numel or tensor.numel > storage.numel):
        refuse(f"a tensor of {tensor.numel} elements in a storage of {storage.numel}")
    return tensor


def _counts(value: object) -> tuple[int, ...]:
    items = instance(value, tuple)
    if len(items) > MAX_KEY_PARTS:
        refuse(f"{len(items)} element counts")
    for item in items:
        if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < 1 << 40:
            refuse(f"{shown(item)} where an element count belongs")
    return cast("tuple[int, ...]", items)


def persistent(identity: object) -> StorageRef | GlobalName:
    """A persistent id: ("storage", class, key, location, element count).

    Before torch 1.6 a sixth part told of a view of another storage (null since torch 0.4), and
    ("module", class, file, source) carried the text of a pickled module's class beside it.
    """
    parts = instance(identity, tuple)
    if len(parts) == 4 and parts[0] == "module":
        return instance(parts[1], GlobalName)
    if len(parts) not in (5, 6) or parts[0] != "storage":
        refuse("a persistent id that is not a storage")
    if parts[5:] not in ((), (None,)):
        refuse("a storage that is a view of another one (torch before 0.4)")
    kind = instance(parts[1], GlobalName)
    dtype = STORAGE_DTYPES.get(kind.name) if kind.module in _STORAGE_MODULES else None
    if dtype is None:
        refuse(f"a storage of class {kind.dotted}")
    (numel,) = _counts((parts[4],))
    return StorageRef(key=instance(parts[2], str), dtype=dtype, numel=numel)


_CONSTRUCTORS: Mapping[str, Callable[[tuple[object, ...]], object]] = {
    "torch.Size": _size,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
