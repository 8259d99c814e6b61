"""Core AI folders without Apple's library: random names made fixed, damage refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreai import read_metadata, require_core_ai, write_core_ai
from phoneproof.formats.coreai_bytecode import require_bytecode, with_fixed_names

NAMES = (
    b"image",
    b"resource_12345",
    b"pool_gufsjbif",
    b"my_features",
    b"resource_9",
    b"resource_x",
)
PLAIN = b"\x01\x05ab"  # section 1, two bytes long
ALIGNED_BODY = bytes(range(20))


def packed(number: int) -> bytes:
    """One and two bytes of MLIR's numbers: the zeros that end the first byte count the rest."""
    return bytes([number << 1 | 1]) if number < 128 else (number << 2 | 2).to_bytes(2, "little")


def strings(names: tuple[bytes, ...]) -> bytes:
    lengths = b"".join(packed(len(name) + 1) for name in reversed(names))
    body = packed(len(names)) + lengths + b"".join(name + b"\0" for name in names)
    return b"\x00" + packed(len(body)) + body


def program(names: tuple[bytes, ...]) -> bytes:
    """Bytecode with a plain section, the names, and a section that begins at a multiple of 16."""
    data = b"ML\xefR" + packed(6) + b"MLIR\0" + PLAIN + strings(names)
    head = data + bytes([0x80 | 5]) + packed(len(ALIGNED_BODY)) + packed(16)
    return head + b"\xcb" * (-len(head) % 16) + ALIGNED_BODY


def test_random_names_become_numbers_and_nothing_else_changes() -> None:
    fixed = with_fixed_names(program(NAMES), ("pool_gufsjbif",))
    wanted = (b"image", b"resource_1", b"pool_1", b"my_features", b"resource_2", b"resource_x")
    assert fixed == program(wanted)
    assert with_fixed_names(fixed) == fixed


def test_other_random_names_give_the_same_file() -> None:
    other = (b"image", b"resource_7", b"pool_abcdefgh", b"my_features", b"resource_88", NAMES[5])
    first = with_fixed_names(program(NAMES), ("pool_gufsjbif",))
    assert with_fixed_names(program(other), ("pool_abcdefgh",)) == first
    assert program(other) != program(NAMES)


def test_a_name_that_was_not_listed_stays() -> None:
    assert b"pool_gufsjbif" in with_fixed_names(program(NAMES))


def test_bodies_stay_where_they_have_to_begin() -> None:
    for length in range(1, 40):
        data = with_fixed_names(program((b"resource_" + b"1" * length,)))
        assert data.index(ALIGNED_BODY) % 16 == 0


def test_every_truncation_within_a_section_is_refused() -> None:
    """What ends between two sections is refused by its hash."""
    whole = program(NAMES)
    start = len(b"ML\xefR" + packed(6) + b"MLIR\0")
    between = {start, start + len(PLAIN), start + len(PLAIN + strings(NAMES))}
    for cut in set(range(len(whole))) - between:
        with pytest.raises(InvalidInput):
            require_bytecode(whole[:cut])
    require_bytecode(whole)


def test_names_that_overflow_their_section_are_refused() -> None:
    body = packed(2) + packed(100) + packed(2) + b"a\0"
    data = b"ML\xefR" + packed(6) + b"MLIR\0" + b"\x00" + packed(len(body)) + body
    with pytest.raises(InvalidInput, match="damaged"):
        require_bytecode(data)


def saved(folder: Path, names: tuple[bytes, ...] = NAMES, date: str = "1") -> Path:
    """A folder as Apple's library leaves it."""
    folder.mkdir()
    data = program(names)
    (folder / "main.mlirb").write_bytes(data)
    (folder / "main.hash").write_bytes(hashlib.sha256(data).digest())
    text = f'{{"assetVersion":"2.0","producer":"coreai-core","creationDate":"{date}"}}'
    (folder / "metadata.json").write_text(text)
    return folder


def test_equal_models_are_equal_files(tmp_path: Path) -> None:
    entries = {"b": b'{"x":2}', "a": b'{"x":1}'}
    other = (b"image", b"resource_1", NAMES[2], b"my_features", b"resource_2", b"resource_x")
    write_core_ai(saved(tmp_path / "1"), tmp_path / "one.aimodel", entries, ())
    again = dict(reversed(entries.items()))
    write_core_ai(saved(tmp_path / "2", other, "2"), tmp_path / "two.aimodel", again, ())
    assert tree_sha256(tmp_path / "one.aimodel") == tree_sha256(tmp_path / "two.aimodel")
    assert read_metadata(tmp_path / "one.aimodel") == entries
    require_core_ai(tmp_path / "two.aimodel")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1",
        "2",
        "one.aimodel",
        "two.aimodel",
    ]


def test_what_is_no_such_folder_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.aimodel")
    (tmp_path / "file.aimodel").write_bytes(b"x")
    for path in (tmp_path / "absent.aimodel", tmp_path / "file.aimodel", tmp_path):
        with pytest.raises(InvalidInput, match=r"is not a Core AI model"):
            require_core_ai(path)
    (model / "main.hash").unlink()
    with pytest.raises(InvalidInput) as caught:
        require_core_ai(model)
    assert caught.value.found == "no main.hash in the folder"


def test_another_program_than_the_hash_says_is_refused(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.aimodel")
    data = (model / "main.mlirb").read_bytes()
    (model / "main.mlirb").write_bytes(data[:-1] + b"\xff")
    with pytest.raises(InvalidInput, match="not the one it was made with"):
        require_core_ai(model)


@pytest.mark.parametrize("text", ["", "[]", '{"producer":"x"}', '{"assetVersion":2}'])
def test_metadata_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    model = saved(tmp_path / "m.aimodel")
    (model / "metadata.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"metadata of m\.aimodel"):
        read_metadata(model)


def test_other_peoples_metadata_is_left_out(tmp_path: Path) -> None:
    model = saved(tmp_path / "m.aimodel")
    text = '{"assetVersion":"2.0","creatorDefinedMetadata":{"a":"text","b":3,"c":{"d":[]}}}'
    (model / "metadata.json").write_text(text)
    assert read_metadata(model) == {"a": b"text"}


@pytest.mark.parametrize(
    "text",
    [
        b'{"assetVersion":"2.0","creatorDefinedMetadata":' + b'{"a":' * 100_000,
        b'{"assetVersion":"2.0","unknown":' + b"[" * 100_000,
        b'{"assetVersion":"2.0","creatorDefinedMetadata":{"a":"\xff"}}',
        b'{"assetVersion":"\xff"}',
        b'{"assetVersion":"2.0","creatorDefinedMetadata":{"a":"\\ud800"}}',
    ],
    ids=["deep", "deep beside", "no UTF-8", "no UTF-8 in a field", "half a surrogate"],
)
def test_hostile_metadata_is_refused(tmp_path: Path, text: bytes) -> None:
    model = saved(tmp_path / "m.aimodel")
    (model / "metadata.json").write_bytes(text)
    for opened in (read_metadata, require_core_ai):
        with pytest.raises(InvalidInput, match=r"metadata of m\.aimodel"):
            opened(model)


def test_metadata_without_an_end_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Valid JSON of one byte more than the limit; with that byte less it is read."""
    model = saved(tmp_path / "m.aimodel")
    file = model / "metadata.json"
    text = file.read_bytes()
    file.write_bytes(text + b" " * ((1 << 24) - len(text)))
    require_core_ai(model)
    file.write_bytes(file.read_bytes() + b" ")
    monkeypatch.setattr(Path, "read_bytes", never)
    with pytest.raises(InvalidInput) as caught:
        require_core_ai(model)
    assert caught.value.found == "metadata.json of 16777217 bytes; at most 16777216"


def never(path: Path) -> bytes:
    raise AssertionError(f"{path} was read")


def test_a_hash_without_an_end_is_refused(tmp_path: Path) -> None:
    """A file with a hole of a tebibyte after the right hash."""
    model = saved(tmp_path / "m.aimodel")
    with (model / "main.hash").open("r+b") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(InvalidInput, match="not the one it was made with"):
        require_core_ai(model)


@pytest.mark.parametrize("name", ["main.mlirb", "main.hash", "metadata.json", "more/weights"])
def test_a_link_is_refused_wherever_it_leads(tmp_path: Path, name: str) -> None:
    """The file that it leads to is the right one: only the link is wrong."""
    model = saved(tmp_path / "m.aimodel")
    file, outside = model / name, tmp_path / "outside"
    file.parent.mkdir(exist_ok=True)
    outside.write_bytes(file.read_bytes() if file.exists() else b"x")
    file.unlink(missing_ok=True)
    file.write_bytes(outside.read_bytes())
    require_core_ai(model)
    file.unlink()
    file.symlink_to(outside)
    with pytest.raises(InvalidInput, match="outside its own folder") as caught:
        require_core_ai(model)
    assert caught.value.found == f"{name} is a link"
