"""The little YAML that names classes, read without a YAML library."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.errors import InvalidInput
from phoneproof.data.class_names import read_names, yaml_names
from tests.unit.data_sets import write

BLOCK_MAP = """\
# a comment
path: .  # root
train: images/train
names:
  0: person
  1: "traffic light" # quoted
  # between
  2: 'it''s'

  3: C#
nc: 4
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (BLOCK_MAP, ("person", "traffic light", "it's", "C#")),
        ("names:\n- a\n- b c\nnc: 2\n", ("a", "b c")),
        ("names:\n  - a\n  - 'b: c'\n", ("a", "b: c")),
        ("names: [a, 'b, c', \"d]\"]\n", ("a", "b, c", "d]")),
        ("names: ['a',\n  'b', # two\n  'c' ]\nnc: 3", ("a", "b", "c")),
        ("names: {0: a, 1: 'b: x'}", ("a", "b: x")),
        ("names: {1: b, 0: a}", ("a", "b")),
        ('names:\n  0: "tab\\tx"\n', ("tab\tx",)),
        ("nc: 3\n", ()),
        ("", ()),
        ("  names: [nested]\n", ()),
    ],
)
def test_names_in_the_forms_people_write(text: str, names: tuple[str, ...]) -> None:
    assert yaml_names(text, what="data.yaml") == names


@pytest.mark.parametrize(
    "text", ["names: whatever", "names:\n", "names: [", "names: !!python/object:os.system [a]"]
)
def test_names_in_other_forms_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"names in data\.yaml are not understood"):
        yaml_names(text, what="data.yaml")


@pytest.mark.parametrize("text", ["names: {0: a, 2: b}", "names:\n  0: a\n  0: b\n"])
def test_numbers_with_gaps_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="gaps or repeat"):
        yaml_names(text, what="data.yaml")


def test_a_plain_list_of_names(tmp_path: Path) -> None:
    assert read_names(write(tmp_path / "classes.txt", "cat\r\n\r\n dog \n")) == ("cat", "dog")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", b"x" * (5 << 20)])
def test_a_file_that_is_no_text_or_too_large(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput, match=r"classes\.txt"):
        read_names(write(tmp_path / "classes.txt", content))
