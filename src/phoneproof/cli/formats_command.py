"""``phoneproof formats``: what can be read, made and run."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from phoneproof.core.registry import Entry, Registry


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table."""

    kind: str
    name: str
    summary: str
    extra: str


@click.command("formats")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable output.")
def command(as_json: bool) -> None:
    """List sources, converters, optimizers, runtimes and routes. Imports none of them."""
    listings = _listings()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(listings)).decode())
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("kind", "name", "what", "pip install 'phoneproof[...]'")
    for listing in listings:
        table.add_row(listing.kind, listing.name, listing.summary, listing.extra)
    Console().print(table)


def _listings() -> list[Listing]:
    backends = [
        Listing(kind=registry.kind, name=name, summary=entry.summary, extra=entry.extra)
        for registry in _registries()
        for name, entry in _entries(registry)
    ]
    return backends + _routes()


def _routes() -> list[Listing]:
    from phoneproof.convert.routes import ROUTES

    return [
        Listing(
            kind="route",
            name=f"{route} {last}",
            summary=" -> ".join(("hub", *(link.target for link in links))),
            extra="",
        )
        for route, formats in ROUTES.items()
        for last, links in formats.items()
    ]


def _registries() -> tuple[Registry[Any], ...]:
    from phoneproof.capture.base import SOURCES
    from phoneproof.convert.base import CONVERTERS
    from phoneproof.optimize.base import OPTIMIZERS
    from phoneproof.runtimes.base import RUNTIMES

    return SOURCES, CONVERTERS, OPTIMIZERS, RUNTIMES


def _entries(registry: Registry[Any]) -> list[tuple[str, Entry]]:
    return [(name, registry.entry(name)) for name in registry]
