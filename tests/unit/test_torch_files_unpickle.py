"""The pickle machine calls nothing, whatever the pickle asks for."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
import tracemalloc
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    TensorRef,
    number,
    shown,
)
from phoneproof.capture.backends.torch_files.torch_file import records_of
from phoneproof.capture.backends.torch_files.unpickle import read_pickle
from phoneproof.core.errors import InvalidInput


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.function, self.arguments


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


STORAGE = b"(" + text("storage") + b"ctorch\nHalfStorage\n" + text("7") + text("cpu") + b"K\x06tQ"


def tensor(shape: bytes, stride: bytes, offset: int = 0) -> bytes:
    head = b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K" + bytes([offset])
    return b"\x80\x02" + head + shape + stride + b"\x89NtR."


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_those_of_pickle(protocol: int) -> None:
    value = {"a": [1, -2.5, None, True, (1, 2, 3, 4), ()], 3: b"xy", "big": 1 << 70, "d": {}}
    plain = {key: item for key, item in value.items() if protocol > 2 or key != 3}
    assert read_pickle(pickle.dumps(plain, protocol)) == plain


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(protocol: int, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attacks = [
        Calls(os.system, f"touch {marker}"),
        Calls(builtins.eval, f"open({str(marker)!r}, 'w')"),
        [{"deep": (Calls(builtins.exec, f"open({str(marker)!r}, 'w')"),)}],
        Calls(getattr, Calls(__import__, "os"), "system"),
    ]
    for attack in attacks:
        data = pickle.dumps(attack, protocol)
        read_pickle(data)
        assert not marker.exists()
    # The control: the same bytes do run when they are unpickled.
    pickle.loads(pickle.dumps(attacks[1], protocol)).close()
    assert marker.exists()


def test_a_call_becomes_a_record_with_name_and_arguments() -> None:
    record = read_pickle(pickle.dumps(Calls(os.system, "rm -rf /"), 2))
    assert isinstance(record, Record)
    assert record.type == GlobalName("posix", "system")
    assert record.args == ("rm -rf /",)


def test_instances_keep_their_state_and_are_not_made() -> None:
    path = read_pickle(pickle.dumps(Path("/a/b"), 2))
    assert isinstance(path, Record)
    assert path.type.name == "PosixPath"
    assert path.args == ("/", "a", "b")


def test_ordered_dictionaries_are_dictionaries() -> None:
    assert read_pickle(pickle.dumps(OrderedDict(a=1, b=2), 2)) == {"a": 1, "b": 2}


def test_a_tensor_is_a_view_of_a_storage() -> None:
    data = tensor(b"K\x02K\x03\x86", b"K\x03K\x01\x86")
    assert read_pickle(data) == TensorRef(
        storage=StorageRef(key="7", dtype="float16", numel=6),
        shape=(2, 3),
        stride=(3, 1),
        offset=0,
    )


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        (b"K\x02K\x04\x86", b"K\x03K\x01\x86", 0),  # past the end
        (b"K\x06\x85", b"K\x01\x85", 1),  # past the end by its offset
        (b"K\xffK\xff\x86", b"K\x00K\x00\x86", 0),  # blown up by stride 0
        (b"K\x06\x85", b"K\x01K\x01\x86", 0),  # another number of strides
        (b"J\xff\xff\xff\xff\x85", b"K\x01\x85", 0),  # a negative size
        (b"\x88\x85", b"K\x01\x85", 0),  # a bool as size
    ],
)
def test_a_tensor_outside_its_storage_is_refused(shape: bytes, stride: bytes, offset: int) -> None:
    with pytest.raises(InvalidInput):
        read_pickle(tensor(shape, stride, offset))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02.",
        b"\x80\x02}",
        b"hello world",
        b"\x80\x02K\x01K\x02.",  # two values
        b"\x80\x02(.",  # a mark
        b"\x80\x02h\x05.",  # an empty memo
        b"\x80\x02K\x01R.",  # too few values
        b"\x80\x02K\x01)R.",  # a call of a number
        b"\x80\x02K\x01}b.",  # state for a number
        b"\x80\x02}]K\x01s.",  # a list as key
        b"\x80\x02K\x01Q.",  # a persistent id that is no storage
        b"S'\\q'\n.",  # a wrong escape in text of protocol 0, a warning in CPython
        b"\x82\x01.",  # an extension code
        b"\x80\x02ctorch\nHalfStorage\nX\xff\xff\xff\x7fabc.",  # text longer than the file
    ],
)
def test_malformed_pickles_are_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_pickle(data)


def test_nested_tuples_as_keys_do_not_take_exponential_time() -> None:
    doubling = b")" + b"\x86".join([b"2"] * 60) + b"\x86"
    with pytest.raises(InvalidInput, match="pickle"):
        read_pickle(b"\x80\x02}" + doubling + b"K\x01s.")


SHARED = b"\x80\x02(" + b"N" * 1000 + b"tq\x000"
"""A tuple of 1000 elements in the memo."""


def peak_bytes(data: bytes) -> int:
    """Memory at most taken while a pickle is read, refused or not."""
    tracemalloc.start()
    with contextlib.suppress(InvalidInput):
        read_pickle(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize(
    "data",
    [
        SHARED + b"](" + b"cfoo\nBar\nh\x00N\x92" * 2000 + b"e.",
        b"\x80\x02](" + b"N" * 1000 + b"eq\x000](" + b"ccollections\nOrderedDict\nh\x00\x85R" * 500
        + b"e.",
        b"\x80\x02](" + b"K\x00N\x86" * 1000 + b"eq\x000]("
        + b"ccollections\nOrderedDict\nh\x00\x85R" * 500 + b"e.",
    ],
    ids=["keywords", "no pairs", "pairs"],
)  # fmt: skip
def test_references_to_one_list_do_not_copy_it_each_time(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_pickle(data)
    assert peak_bytes(data) < 2_000_000  # 16 MB for the 2000 copies of 1000 references


class Counted(tuple[object, ...]):
    """Counts how often it is gone through."""

    __slots__ = ()
    walks: ClassVar[list[int]] = []

    def __iter__(self) -> Iterator[object]:
        self.walks.append(len(self))
        return super().__iter__()


def test_shared_arguments_are_searched_once() -> None:
    shared = Counted((None, Record(GlobalName("foo", "Inner"))))
    value = [Record(GlobalName("foo", "Bar"), shared) for _ in range(50)]
    Counted.walks.clear()
    assert len(list(records_of(value))) == 51
    assert Counted.walks == [2]


def test_honest_keywords_and_pairs_are_within_the_budget() -> None:
    record = read_pickle(b"\x80\x04cfoo\nBar\nK\x01\x85}\x92.")
    assert isinstance(record, Record)
    assert record.args == (1, {})
    pairs = b"]" + b"".join(b"K%cN\x86a" % number for number in range(100))
    made = read_pickle(b"\x80\x02ccollections\nOrderedDict\n" + pairs + b"\x85R.")
    assert made == dict.fromkeys(range(100))


def whole_number(value: int) -> bytes:
    data = value.to_bytes(value.bit_length() // 8 + 1, "little")
    return b"\x8a" + bytes([len(data)]) + data


@pytest.mark.parametrize("wrap", [b"", b"\x85"], ids=["number", "tuple"])
def test_numbers_whose_hashes_are_alike_are_no_keys(wrap: bytes) -> None:
    modulus = (1 << 61) - 1  # of CPython's hash of numbers
    assert hash(modulus * 5) == hash(modulus * 900) == 0
    keys = b"".join(whole_number(modulus * n) + wrap + b"N" for n in range(1, 900))
    with pytest.raises(InvalidInput) as error:
        read_pickle(b"\x80\x02}(" + keys + b"u.")
    assert "64 bits" in error.value.found
    few = b"".join(whole_number(n) + wrap + b"N" for n in range(1, 100))
    assert len(cast("dict[object, object]", read_pickle(b"\x80\x02}(" + few + b"u."))) == 99


def test_the_number_of_number_keys_is_bounded() -> None:
    def numbered(count: int, wrap: bytes = b"") -> bytes:
        keys = b"".join(b"M" + struct.pack("<H", n) + wrap + b"N" for n in range(count))
        return b"\x80\x02}(" + keys + b"u."

    assert len(cast("dict[int, object]", read_pickle(numbered(22_000)))) == 22_000
    with pytest.raises(InvalidInput, match="pickle"):
        read_pickle(numbered(300, b"\x85"))
    named = b"".join(text(f"layer{n}") + b"N" for n in range(70_000))
    assert len(cast("dict[str, object]", read_pickle(b"\x80\x02}(" + named + b"u."))) == 70_000
    with pytest.raises(InvalidInput) as error:
        read_pickle(b"\x80\x02}(" + named + b"K\x01Nu.")
    assert "65536 entries" in error.value.found


def test_memo_indices_and_names_are_bounded() -> None:
    with pytest.raises(InvalidInput) as error:
        read_pickle(b"\x80\x02Np%d\n." % ((1 << 61) - 1))
    assert "memo" in error.value.found
    assert read_pickle(b"\x80\x02Np%d\n." % 70_000) is None
    with pytest.raises(InvalidInput) as error:
        read_pickle(b"\x80\x02c" + b"m" * 2000 + b"\nname\n.")
    assert "2004 characters" in error.value.found


def test_a_long_chain_of_operations_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phoneproof.capture.backends.torch_files.unpickle.MAX_OPCODES", 100)
    with pytest.raises(InvalidInput) as error:
        read_pickle(b"\x80\x02]" + b"0]" * 100 + b".")
    assert "100 operations" in error.value.found


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_invalid_input(data: bytes) -> None:
    with contextlib.suppress(InvalidInput):
        shown(read_pickle(b"\x80\x02" + data))


def test_numpy_scalars_are_numbers() -> None:
    dtype = Record(GlobalName("numpy", "dtype"), ("f8", False, True))
    encoded = Record(GlobalName("_codecs", "encode"), ("\x00" * 6 + "\xf0?", "latin1"))
    name = GlobalName("numpy.core.multiarray", "scalar")
    assert number(Record(name, (dtype, encoded))) == 1.0
    assert number(Record(name, (dtype, struct.pack("<d", 0.25)))) == 0.25
    assert number(Record(name, (dtype, b"short"))) is None
    assert number(True) is None


def test_shown_is_short_and_safe() -> None:
    assert len(shown("x" * 1000)) <= 120
    assert "\x1b" not in shown("\x1b[31m")
    assert "\x1b" not in shown(Record(GlobalName("\x1b[31m", "a")))
    assert shown(1 << 100_000) == "int of 100001 bits"
