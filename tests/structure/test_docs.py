"""The documentation says only what is there: links, commands, options, documents, decisions."""

from __future__ import annotations

import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec
import pytest

import phoneproof
from phoneproof.cli.main import cli
from phoneproof.core.binding import Binding
from phoneproof.core.check import CheckName
from phoneproof.core.contract import Contract, Filter
from phoneproof.core.errors import INTERRUPTED_EXIT_CODE, PhoneproofError
from phoneproof.core.json_format import parse
from phoneproof.core.presets import PRESETS
from phoneproof.pipeline.config_types import ChecksConfig, Config
from tests.assets import ROOT

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
DECISIONS = tuple(sorted((DOCS / "decisions").glob("*.md")))

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(phoneproof [^`]+)`")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_.]*")
_OPTION_ROW = re.compile(r"^\| `(--[a-z-]+)", re.MULTILINE)
_REGISTRIES = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "repo1" + ".maven")


def pages() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links of a page in `folder` that lead to no file or to no heading."""
    broken = []
    for link in _LINK.findall(text):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        path = folder / target
        missing = not path.exists()
        if missing or (anchor and anchor not in headings(path.read_text() if target else text)):
            broken.append(link)
    return broken


def headings(text: str) -> set[str]:
    """The anchors of a page's headings, as Markdown viewers make them."""
    titles = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def commands_of(text: str) -> Iterator[list[str]]:
    """Every ``phoneproof ...`` that a page tells to type, or names, split into words."""
    for language, body in _FENCE.findall(text):
        if language not in ("console", "yaml", "sh"):
            continue
        for line in body.splitlines():
            match = re.match(r"\s*(?:\$|- run:) (phoneproof .*)", line)
            if match:
                yield shlex.split(match[1].split(" > ")[0], comments=True)
    for named in _INLINE.findall(_FENCE.sub("", text)):
        yield shlex.split(named)


def fault(words: list[str]) -> str:
    """What is wrong with ``phoneproof COMMAND ...``; empty where nothing is."""
    name = words[1]
    if name.startswith("-") or _PLACEHOLDER.fullmatch(name):
        return ""
    command = cli.get_command(click.Context(cli), name)
    if command is None:
        return f"no command {name}"
    known = {flag for parameter in command.params for flag in parameter.opts} | {"-h", "--help"}
    unknown = [word for word in words[2:] if word.startswith("-") and word not in known]
    return f"{name} has no option {', '.join(unknown)}" if unknown else ""


@pages()
def test_links_resolve(page: Path) -> None:
    assert broken_links(page.read_text(), page.parent) == []


def test_a_broken_link_is_seen() -> None:
    text = "# A title\n[a](nowhere.md) [b](#a-title) [c](#another) [d](contract.md#nothing)"
    broken = broken_links(text, DOCS / "reference")
    assert broken == ["nowhere.md", "#another", "contract.md#nothing"]


@pages()
def test_commands_and_options_exist(page: Path) -> None:
    faults = [fault(words) for words in commands_of(page.read_text())]
    assert [found for found in faults if found] == []


def test_unknown_commands_and_options_are_seen() -> None:
    text = "`phoneproof bench x`\n```console\n$ phoneproof build --colour red\n```\n"
    assert [fault(words) for words in commands_of(text)] == [
        "build has no option --colour",
        "no command bench",
    ]


def test_the_reference_lists_every_command_and_option() -> None:
    page = (DOCS / "reference" / "commands.md").read_text()
    sections = {
        name: section
        for section in page.split("\n## ")[1:]
        for name in re.findall(r"phoneproof (\w+)", section.splitlines()[0])
    }
    assert list(sections) == cli.list_commands(click.Context(cli))
    for name, section in sections.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        options = {
            parameter.opts[0] for parameter in command.params if isinstance(parameter, click.Option)
        }
        listed = set(_OPTION_ROW.findall(section))
        if not listed:  # formats and doctor: one sentence, one option
            listed = set(re.findall(r"`(--\w+)`", section))
        assert listed == options, name


@pytest.mark.parametrize(("name", "kind"), [("contract", Contract), ("binding", Binding)])
def test_the_worked_example_is_a_document(name: str, kind: type[Contract] | type[Binding]) -> None:
    page = (DOCS / "reference" / f"{name}.md").read_text()
    examples = [body for language, body in _FENCE.findall(page) if language == "json"]
    assert len(examples) == 1
    parse(examples[0], kind, what=name)


def test_the_contract_example_has_the_hash_that_is_named() -> None:
    page = (DOCS / "reference" / "contract.md").read_text()
    example = next(body for language, body in _FENCE.findall(page) if language == "json")
    sha256 = parse(example, Contract, what="contract").sha256
    assert f"`{sha256}`" in page
    assert f'"contract": "{sha256}"' in (DOCS / "reference" / "binding.md").read_text()


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("contract.md", PRESETS),
        ("configuration.md", Config.__struct_fields__),
        ("configuration.md", ChecksConfig.__struct_fields__),
        ("checks.md", msgspec.json.schema(CheckName)["enum"]),
        (
            "filters.md",
            [name.partition(".")[2] for name in msgspec.json.schema(Filter)["enum"]],
        ),
    ],
)
def test_the_reference_names_them_all(page: str, words: tuple[str, ...]) -> None:
    text = (DOCS / "reference" / page).read_text()
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize("page", ["README.md", "docs/reference/exit-codes.md"])
def test_every_exit_code_is_named(page: str) -> None:
    text = (ROOT / page).read_text().partition("# Exit codes\n")[2].partition("\n## ")[0]
    codes = {kind.exit_code for kind in PhoneproofError.__subclasses__()}
    for code in {0, 1, INTERRUPTED_EXIT_CODE, *codes}:
        assert re.search(rf"(?:^|[| ]){code} [|\w]", text, re.MULTILINE), code


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = [path.name[:4] for path in DECISIONS]
    assert numbers == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_its_number_and_parts(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.name[:4]} ")
    for part in ("Context", "Decision", "Consequences"):
        assert f"**{part}.**" in text


@pages()
def test_no_registry_addresses(page: Path) -> None:
    assert [host for host in _REGISTRIES if host in page.read_text()] == []


def test_the_python_page_names_the_public_functions_and_their_arguments() -> None:
    text = (DOCS / "how-to" / "use-from-python.md").read_text()
    assert set(re.findall(r"phoneproof\.(\w+)\(", text)) == {"build", "capture_module"}
    for name in phoneproof.__all__:
        assert name in text
    for function in (phoneproof.build, phoneproof.capture_module):
        arguments = list(inspect.signature(function).parameters)[1:]
        assert [argument for argument in arguments if f"`{argument}`" not in text] == []
