"""A pickle machine that builds plain values and inert records, and calls nothing.

The opcode semantics are those documented in CPython's ``pickletools``. There is no
``find_class``: a global is a pair of names, calling it makes a `Record`. The few constructors
that torch.save needs (tensors, parameters, ordered dicts, sizes) are table entries here.
"""

from __future__ import annotations

import mmap
import pickletools
from collections.abc import Callable, Mapping
from typing import IO, cast

from phoneproof.capture.backends.torch_files.constructors import (
    Budget,
    constructed,
    instance,
    persistent,
    refuse,
    store,
)
from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    shown,
)
from phoneproof.core.errors import InvalidInput

MAX_OPCODES = 2_000_000
"""The largest YOLOv8 writes about 100 000."""

MAX_INT_BITS = 4096
MAX_NAME_CHARACTERS = 1000
MAX_MEMO_INDEX = (1 << 32) - 1
"""What the binary operations can write; larger ones as text would make all hashes alike."""

_MALFORMED = (ValueError, KeyError, IndexError, TypeError, OverflowError, DeprecationWarning)
"""genops on malformed text (a wrong escape is a DeprecationWarning, an error where warnings are),
and stack or memo accesses that a valid pickle never makes."""

_MARK = object()

_PUSHES_ARGUMENT = frozenset(
    {
        *("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    }
)
_CONSTANTS: Mapping[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NOTHING_TO_DO = frozenset({"PROTO", "FRAME", "STOP"})


def read_pickle(data: bytes | mmap.mmap) -> object:
    """The value a pickle describes, with every foreign object as a `Record`.

    Args:
        data: the pickle, or a mapped file, which is left behind the pickle's last byte.

    Raises:
        InvalidInput: not a pickle, truncated, or beyond the limits above.
    """
    value, _ = read_pickle_and_storages(data)
    return value


def read_pickle_and_storages(
    data: bytes | mmap.mmap,
) -> tuple[object, Mapping[str, StorageRef]]:
    """As `read_pickle`, and every storage the pickle names, by key.

    Raises:
        InvalidInput: also where one key names two different storages.
    """
    machine = _Machine(Budget(min(len(data), MAX_OPCODES)))
    # A mapped file reads as a file does; typeshed does not know.
    source = data if isinstance(data, bytes) else cast("IO[bytes]", data)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(source)):
            if count >= MAX_OPCODES:
                refuse(f"more than {MAX_OPCODES} operations")
            machine.step(opcode.name, argument)
    except InvalidInput:
        raise
    except _MALFORMED as error:
        refuse(f"{type(error).__name__}: {str(error)[:120]}", error)
    return machine.result(), machine.storages


class _Machine:
    """Stack, marks and memo of one pickle."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}
        self.storages: dict[str, StorageRef] = {}

    def step(self, name: str, argument: object) -> None:
        """Execute one opcode."""
        if name in _PUSHES_ARGUMENT:
            self._push_argument(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _HANDLERS:
            _HANDLERS[name](self, argument)
        elif name not in _NOTHING_TO_DO:
            refuse(f"operation {name}, which torch.save never writes")

    def result(self) -> object:
        """The single value left."""
        if len(self._stack) != 1 or self._stack[0] is _MARK:
            refuse(f"{len(self._stack)} values left on the stack instead of one")
        return self._stack[0]

    def _push_argument(self, argument: object) -> None:
        if isinstance(argument, int) and argument.bit_length() > MAX_INT_BITS:
            refuse(shown(argument))
        if isinstance(argument, str):
            # Lone surrogates are legal in a pickle and cannot be written as JSON.
            argument = argument.encode("utf-8", "replace").decode()
        self._stack.append(argument)

    def _pop(self) -> object:
        value = self._stack.pop()
        if value is _MARK:
            refuse("a mark where a value belongs")
        return value

    def _pop_tuple(self) -> tuple[object, ...]:
        return instance(self._pop(), tuple)

    def _pop_to_mark(self) -> list[object]:
        values: list[object] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        values.reverse()
        return values

    def _top(self) -> object:
        if self._stack[-1] is _MARK:
            refuse("a mark where a container belongs")
        return self._stack[-1]

    def mark(self, _: object) -> None:
        self._stack.append(_MARK)

    def pop(self, _: object) -> None:
        self._stack.pop()

    def pop_mark(self, _: object) -> None:
        self._pop_to_mark()

    def dup(self, _: object) -> None:
        self._stack.append(self._top())

    def empty_dict(self, _: object) -> None:
        self._stack.append({})

    def empty_list(self, _: object) -> None:
        self._stack.append([])

    def empty_set(self, _: object) -> None:
        self._stack.append(Record(GlobalName("builtins", "set")))

    def empty_tuple(self, _: object) -> None:
        self._stack.append(())

    def tuple1(self, _: object) -> None:
        self._stack.append((self._pop(),))

    def tuple2(self, _: object) -> None:
        second, first = self._pop(), self._pop()
        self._stack.append((first, second))

    def tuple3(self, _: object) -> None:
        third, second, first = self._pop(), self._pop(), self._pop()
        self._stack.append((first, second, third))

    def tuple_(self, _: object) -> None:
        self._stack.append(tuple(self._pop_to_mark()))

    def list_(self, _: object) -> None:
        self._stack.append(self._pop_to_mark())

    def dict_(self, _: object) -> None:
        target: dict[object, object] = {}
        store(target, self._pop_to_mark())
        self._stack.append(target)

    def frozenset_(self, _: object) -> None:
        members = self._pop_to_mark()
        self._stack.append(Record(GlobalName("builtins", "frozenset"), elements=members))

    def append(self, _: object) -> None:
        value = self._pop()
        _extend(self._top(), [value])

    def appends(self, _: object) -> None:
        values = self._pop_to_mark()
        _extend(self._top(), values)

    def setitem(self, _: object) -> None:
        value, key = self._pop(), self._pop()
        store(self._top(), [key, value])

    def setitems(self, _: object) -> None:
        pairs = self._pop_to_mark()
        store(self._top(), pairs)

    def put(self, argument: object) -> None:
        index = instance(argument, int)
        if not 0 <= index <= MAX_MEMO_INDEX:
            refuse("a memo index that no pickle of this size needs")
        self._memo[index] = self._top()

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._top()

    def get(self, argument: object) -> None:
        self._stack.append(self._memo[instance(argument, int)])

    def global_(self, argument: object) -> None:
        # genops joins the two lines of a GLOBAL with a space; a class name holds none.
        module, _, name = instance(argument, str).rpartition(" ")
        self._push_global(module, name)

    def stack_global(self, _: object) -> None:
        name, module = instance(self._pop(), str), instance(self._pop(), str)
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        # Every use of a name joins its parts anew.
        if len(module) + len(name) > MAX_NAME_CHARACTERS:
            refuse(f"a name of {len(module) + len(name)} characters")
        self._stack.append(GlobalName(module, name))

    def _constructed(self, made: object, arguments: tuple[object, ...]) -> object:
        return constructed(made, arguments, self._budget)

    def reduce(self, _: object) -> None:
        arguments = self._pop_tuple()
        self._stack.append(self._constructed(self._pop(), arguments))

    def newobj(self, _: object) -> None:
        arguments = self._pop_tuple()
        self._stack.append(self._constructed(self._pop(), arguments))

    def newobj_ex(self, _: object) -> None:
        keywords, arguments = self._pop(), self._pop_tuple()
        self._budget.spend(len(arguments) + 1)
        self._stack.append(self._constructed(self._pop(), (*arguments, keywords)))

    def obj(self, _: object) -> None:
        made, *arguments = self._pop_to_mark()
        self._stack.append(self._constructed(made, tuple(arguments)))

    def inst(self, argument: object) -> None:
        arguments = tuple(self._pop_to_mark())
        self.global_(argument)
        self._stack.append(self._constructed(self._pop(), arguments))

    def build(self, _: object) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Record):
            target.state = state
        elif not isinstance(target, dict):
            # An OrderedDict carries attributes (a state dict's `_metadata`); nothing else may.
            refuse(f"state for a {type(target).__name__}")

    def persistent_id(self, _: object) -> None:
        value = persistent(self._pop())
        if isinstance(value, StorageRef) and self.storages.setdefault(value.key, value) != value:
            refuse(f"storage {shown(value.key)} with two types or sizes")
        self._stack.append(value)


_HANDLERS: Mapping[str, Callable[[_Machine, object], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.dup,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_SET": _Machine.empty_set,
    "EMPTY_TUPLE": _Machine.empty_tuple,
    "TUPLE1": _Machine.tuple1,
    "TUPLE2": _Machine.tuple2,
    "TUPLE3": _Machine.tuple3,
    "TUPLE": _Machine.tuple_,
    "LIST": _Machine.list_,
    "DICT": _Machine.dict_,
    "FROZENSET": _Machine.frozenset_,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.setitem,
    "SETITEMS": _Machine.setitems,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.newobj,
    "NEWOBJ_EX": _Machine.newobj_ex,
    "OBJ": _Machine.obj,
    "INST": _Machine.inst,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent_id,
}


def _extend(target: object, values: list[object]) -> None:
    if isinstance(target, Record):
        target.elements.extend(values)
    else:
        cast("list[object]", instance(target, list)).extend(values)
