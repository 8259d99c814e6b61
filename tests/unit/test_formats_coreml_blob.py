"""MIL blob storage: types, packed numbers, and headers that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.packed import packed_size, unpacked
from phoneproof.formats.coreml.program import MilDType, TensorType
from tests.unit.coreml_files import ENTRY, HEADER, SENTINEL, blob


def opened(tmp_path: Path, data: bytes) -> BlobFile:
    path = tmp_path / "weight.bin"
    path.write_bytes(data)
    return BlobFile(path, "net.mlpackage")


@pytest.mark.parametrize(
    ("code", "dtype"),
    [
        (1, "float16"),
        (2, "float32"),
        (3, "uint8"),
        (4, "int8"),
        (6, "int16"),
        (7, "uint16"),
        (14, "int32"),
        (15, "uint32"),
    ],
)
def test_whole_types(tmp_path: Path, code: int, dtype: MilDType) -> None:
    values = np.arange(6).reshape(2, 3).astype(dtype)
    data, (offset,) = blob((code, values.tobytes()))
    found = opened(tmp_path, data).read(TensorType(dtype=dtype, shape=(2, 3)), offset)
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 3.0], np.float32)
    data, (offset,) = blob((5, (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()))
    found = opened(tmp_path, data).read(TensorType(dtype="bfloat16", shape=(3,)), offset)
    assert np.array_equal(found, values)


def test_int4_is_signed(tmp_path: Path) -> None:
    data, (offset,) = blob((8, bytes([0x8F, 0x07])))
    found = opened(tmp_path, data).read(TensorType(dtype="int4", shape=(3,)), offset)
    assert found.tolist() == [-1, -8, 7]


def packed(values: list[int], bits: int) -> bytes:
    """Bit by bit, the lowest first: the definition itself."""
    number = sum(value << (bits * place) for place, value in enumerate(values))
    return number.to_bytes(packed_size(len(values), bits), "little")


@given(st.data(), st.sampled_from([1, 2, 3, 4, 6]))
def test_packed_numbers_straddle_bytes(data: st.DataObject, bits: int) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), min_size=1, max_size=40))
    found = unpacked(np.frombuffer(packed(values, bits), np.uint8), len(values), bits, signed=False)
    assert found.tolist() == values


def test_several_tensors_have_their_own_places(tmp_path: Path) -> None:
    first, second = np.ones(5, np.float32), np.arange(70, dtype=np.float16)
    data, offsets = blob((2, first.tobytes()), (1, second.tobytes()))
    file = opened(tmp_path, data)
    assert np.array_equal(file.read(TensorType(dtype="float16", shape=(70,)), offsets[1]), second)
    assert np.array_equal(file.read(TensorType(dtype="float32", shape=(5,)), offsets[0]), first)


FOUR = TensorType(dtype="float32", shape=(4,))


def test_types_and_sizes_must_be_those_declared(tmp_path: Path) -> None:
    data, (offset,) = blob((2, np.ones(4, np.float32).tobytes()))
    file = opened(tmp_path, data)
    file.read(FOUR, offset)
    for dtype, shape in (("float16", (8,)), ("float32", (5,)), ("float32", (1 << 60,))):
        with pytest.raises(InvalidInput, match=r"net\.mlpackage are damaged"):
            file.read(TensorType(dtype=dtype, shape=shape), offset)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="are damaged"):
        file.read(TensorType(dtype="float32", shape=(-2, -2)), offset)


@pytest.mark.parametrize("offset", [0, 1, 63, 65, 128, 1 << 40, 2**64 - 64])
def test_an_offset_without_a_tensor_is_refused(tmp_path: Path, offset: int) -> None:
    data, _ = blob((2, np.ones(4, np.float32).tobytes()))
    with pytest.raises(InvalidInput, match="are damaged"):
        opened(tmp_path, data).read(FOUR, offset)


@pytest.mark.parametrize("kept", [0, 10, 63])
def test_a_file_shorter_than_its_header_is_refused(tmp_path: Path, kept: int) -> None:
    data, _ = blob((2, np.ones(4, np.float32).tobytes()))
    with pytest.raises(InvalidInput, match="are damaged"):
        opened(tmp_path, data[:kept])


@pytest.mark.parametrize("kept", [64, 100, 128, 143])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    data, (offset,) = blob((2, np.ones(4, np.float32).tobytes()))
    file = opened(tmp_path, data[:kept])
    with pytest.raises(InvalidInput, match="are damaged"):
        file.read(FOUR, offset)


@pytest.mark.parametrize(
    ("size", "start"), [(16, 2**63), (2**63, 128), (16, 0), (2**64 - 1, 2**64 - 1)]
)
def test_a_header_that_points_away_is_refused(tmp_path: Path, size: int, start: int) -> None:
    data = HEADER.pack(1, 2) + ENTRY.pack(SENTINEL, 2, size, start, 0) + bytes(64)
    with pytest.raises(InvalidInput, match="are damaged"):
        opened(tmp_path, data).read(FOUR, 64)


def test_other_versions_and_unknown_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="are damaged"):
        opened(tmp_path, HEADER.pack(1, 1) + bytes(64))
    data = HEADER.pack(1, 2) + ENTRY.pack(SENTINEL, 99, 16, 128, 0) + bytes(16)
    with pytest.raises(Unsupported, match="a type that is not read"):
        opened(tmp_path, data).read(FOUR, 64)
