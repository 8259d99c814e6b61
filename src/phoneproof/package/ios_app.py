"""``ios/App`` and ``ios/Phoneproof``: a complete iOS app around the bundle's Apple models.

Its Swift sources are those of ``mobile/ios``, copied as they are; only the files with names in them
(project, scheme, README) are generated. It is complete in itself: a folder that opens in Xcode.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import jinja2

from phoneproof.core.artifact import Artifact
from phoneproof.core.binding import Format
from phoneproof.core.contract import Contract
from phoneproof.package.app_parts import app_artifacts, write_parts
from phoneproof.package.mobile_sources import copy_sources, mobile_folder

APP: Final = "ios/App"
LIBRARY: Final = "ios/Phoneproof"
RESOURCES: Final = "phoneproof"
"""The folder reference: laid out like the bundle itself."""
FORMATS: Final[frozenset[Format]] = frozenset({"coreml", "coreai"})
"""What the Swift library has an engine of Apple's for."""
LONGEST_NAME: Final = 40
TAKEN: Final = frozenset({"phoneproof", "phoneproofcore", "phoneproofapp"})
"""Module names of the project itself, in lower case: the file system of a Mac ignores case."""


def write_ios_app(bundle: Path, contract: Contract, artifacts: Sequence[Artifact]) -> None:
    """Write ``ios/App`` and ``ios/Phoneproof`` into a bundle.

    Args:
        bundle: its folder; contract, ``artifacts`` and ``golden`` are in place.
        contract: what the artifacts carry; its name becomes the app's.
        artifacts: all of the bundle's; those that are no Apple models of one picture with golden
            vectors are left out. Nothing is written where none is left.

    Raises:
        MissingExtra: the sources of the Swift library are missing.
    """
    chosen = app_artifacts(bundle, artifacts, FORMATS)
    if not chosen:
        return
    app = bundle / APP
    sources = mobile_folder() / "ios"
    for part in ("Phoneproof", "PhoneproofCore"):
        copy_sources(sources / "Sources" / part, bundle / LIBRARY / "Sources" / part)
    for part in ("Sources", "Tests"):
        copy_sources(sources / "App" / part, app / part)
    write_parts(bundle, app / RESOURCES, chosen)
    _write_project(bundle, contract, chosen)


def product_name(name: str) -> str:
    """An Xcode product name for any text: ASCII letters, digits, ``-`` and ``_``, a letter first.

    Product, executable, folder and scheme are called like this, and build settings spell it out,
    so that nothing of the name may need quoting.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9_]+", "-", plain)[:LONGEST_NAME].strip("-_")
    if not safe:
        return "Model"
    if not safe[0].isalpha():
        safe = f"Model-{safe}"
    return f"{safe}-app" if safe.lower() in TAKEN else safe


def display_name(name: str) -> str:
    """What stands under the app's icon: printable, and nothing that a build setting expands."""
    shown = "".join(one for one in name if one.isprintable() and one != "$")
    return " ".join(shown.split())[:LONGEST_NAME].strip() or product_name(name)


def _write_project(bundle: Path, contract: Contract, artifacts: Sequence[Artifact]) -> None:
    name = product_name(contract.name)
    values = {
        "name": name,
        "title": display_name(contract.name),
        "identifier": f"com.example.{name.replace('_', '-')}",
        "version": _marketing_version(contract.version),
        "models": [(one.path, one.format) for one in artifacts],
    }
    project = f"{APP}/{name}.xcodeproj"
    environment = _environment(contract.sha256)
    for template, target in (
        ("Package.swift.j2", f"{LIBRARY}/Package.swift"),
        ("README.md.j2", f"{APP}/README.md"),
        ("project.pbxproj.j2", f"{project}/project.pbxproj"),
        ("scheme.xcscheme.j2", f"{project}/xcshareddata/xcschemes/{name}.xcscheme"),
    ):
        path = bundle / target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(environment.get_template(template).render(values).encode())


def _marketing_version(version: str) -> str:
    """One to three whole numbers, as the App Store takes them; ``1.0`` for anything else."""
    found = re.match(r"\d+(\.\d+){0,2}", version, re.ASCII)
    return found.group() if found else "1.0"


def _environment(seed: str) -> jinja2.Environment:
    """Templates of plain text. seed: tells the objects of several projects apart."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("phoneproof.package", "templates/ios"),
        autoescape=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def object_id(what: str) -> str:
        return hashlib.sha256(f"{seed}/{what}".encode()).hexdigest()[:24].upper()

    environment.globals["id"] = object_id
    environment.filters["quoted"] = quoted
    return environment


def quoted(text: str) -> str:
    """A string of a property list in the style of OpenStep."""
    if re.fullmatch(r"[A-Za-z0-9_./]+", text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
