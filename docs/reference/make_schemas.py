"""Writes the JSON Schemas in ``docs/reference/schemas`` from the types that read the documents.

Run ``python docs/reference/make_schemas.py`` after a change of a published type; a test compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.device_results import DeviceResults
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.manifest import Manifest
from phoneproof.core.report import Report
from phoneproof.pipeline.config import config_schema

DRAFT = "https://json-schema.org/draft/2020-12/schema"
FOLDER = Path(__file__).parent / "schemas"

DOCUMENTS: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {
        "contract-1": Contract,
        "binding-1": Binding,
        "manifest-1": Manifest,
        "report-1": Report,
        "golden-1": GoldenIndex,
        "device-results-1": DeviceResults,
    }
)
"""Published name of each document and the type whose JSON it is."""


def schemas() -> dict[str, bytes]:
    """File name and content of every schema; each is a JSON Schema of draft 2020-12."""
    made = {name: msgspec.json.schema(kind) for name, kind in DOCUMENTS.items()}
    made["config"] = msgspec.json.decode(config_schema())
    return {
        f"{name}.schema.json": pretty_bytes({"$schema": DRAFT, **schema})
        for name, schema in made.items()
    }


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, content in schemas().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
