"""The pickle machine calls nothing, whatever the pickle asks for."""

from __future__ import annotations

import builtins
import contextlib
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

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
