"""The published tables of what delegates take are those that the code goes by."""

from __future__ import annotations

import re

import pytest

from phoneproof.formats.delegates import gpu, xnnpack
from phoneproof.formats.delegates.rules import Rules
from tests.assets import ROOT

PAGE = ROOT / "docs" / "reference" / "phone-cost.md"
TABLES = {"XNNPACK": xnnpack.TABLE, "GPU delegate": gpu.TABLE}


def markdown(table: dict[str, Rules]) -> str:
    """A row for all operators of which the same is asked, the largest group first."""
    rows: dict[str, list[str]] = {}
    for name, rules in table.items():
        rows.setdefault("; ".join(rule.says for rule in rules) or "nothing more", []).append(name)
    lines = [
        f"| {', '.join(f'`{name}`' for name in sorted(names))} | {says} |"
        for says, names in sorted(rows.items(), key=lambda row: (-len(row[1]), row[1]))
    ]
    return "\n".join(["| Operators | Needs |", "|---|---|", *lines])


def published(page: str, title: str) -> str:
    """The first table below a heading."""
    found = re.search(rf"^## {title}\n.*?(^\| Operators .*?)\n\n", page, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("title", TABLES)
def test_the_published_table_is_that_of_the_code(title: str, update_golden: bool) -> None:
    page, expected = PAGE.read_text(), markdown(TABLES[title])
    if update_golden:
        PAGE.write_text(page.replace(published(page, title), expected))
        page = PAGE.read_text()
    assert published(page, title) == expected, "run pytest with --update-golden"


def test_a_changed_table_is_seen() -> None:
    shortened = dict(list(xnnpack.TABLE.items())[1:])
    assert published(PAGE.read_text(), "XNNPACK") != markdown(shortened)


@pytest.mark.parametrize("source", [xnnpack.SOURCE, gpu.SOURCE])
def test_the_page_names_its_sources_with_their_dates(source: str) -> None:
    assert source in PAGE.read_text()
    assert "read 2026-11-21" in source
