"""``phoneproof doctor``: what is installed, what is missing, and the line that installs it."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections import defaultdict

import click
import msgspec

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?([^;]*?)\s*(?:;\s*(.*))?$")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


class Library(msgspec.Struct, frozen=True, kw_only=True):
    """One library: the version wanted and the one found (null: not installed)."""

    name: str
    wanted: str
    found: str | None
    extra: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Everything doctor says."""

    phoneproof: str
    python: str
    system: str
    libraries: tuple[Library, ...]


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(as_json: bool) -> None:
    """Show versions and what is missing. Imports nothing heavy, installs nothing."""
    diagnosis = diagnose()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(diagnosis)).decode())
        return
    _show(diagnosis)


def diagnose() -> Diagnosis:
    """Compare what the package declares with what is installed."""
    libraries = []
    for requirement in importlib.metadata.requires("phoneproof") or ():
        match = _REQUIREMENT.match(requirement)
        if match is None or match[1] == "phoneproof":
            continue
        extra = _EXTRA.search(match[3] or "")
        libraries.append(
            Library(
                name=match[1],
                wanted=match[2].strip(),
                found=_installed(match[1]),
                extra=extra[1] if extra else "",
            )
        )
    return Diagnosis(
        phoneproof=importlib.metadata.version("phoneproof"),
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        libraries=tuple(libraries),
    )


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _show(diagnosis: Diagnosis) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"phoneproof {diagnosis.phoneproof}, Python {diagnosis.python}, {diagnosis.system}"
    )
    table = Table("library", "wanted", "found", "for")
    missing: defaultdict[str, list[str]] = defaultdict(list)
    for library in diagnosis.libraries:
        found = library.found or "[red]not installed[/red]"
        table.add_row(library.name, library.wanted, found, library.extra or "everything")
        if library.found is None:
            missing[library.extra].append(library.name)
    console.print(table)
    for extra, names in missing.items():
        console.print(f"missing {', '.join(names)}: pip install 'phoneproof\\[{extra}]'")
    if not missing:
        console.print("nothing is missing")
