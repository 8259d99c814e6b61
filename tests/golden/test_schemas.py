"""The published JSON Schemas are those of the types, and say what the types say."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec
import pytest

from phoneproof.core.binding import Binding, Box, GridAnchors, InputBinding, OutputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.json_format import canonical_bytes, parse
from phoneproof.core.presets import PRESETS, preset_decode, preset_input
from tests.assets import ROOT

_SCRIPT = runpy.run_path(str(ROOT / "docs" / "reference" / "make_schemas.py"))
FOLDER = cast(Path, _SCRIPT["FOLDER"])
DOCUMENTS = cast(Mapping[str, type[msgspec.Struct]], _SCRIPT["DOCUMENTS"])
schemas = cast(Callable[[], dict[str, bytes]], _SCRIPT["schemas"])


class _Property(msgspec.Struct):
    enum: tuple[str, ...] = ()


class _Definition(msgspec.Struct):
    properties: dict[str, _Property] = {}


class _Published(msgspec.Struct):
    definitions: dict[str, _Definition] = msgspec.field(name="$defs")


@pytest.mark.parametrize("name", sorted(schemas()))
def test_the_published_schema_is_that_of_the_type(name: str, update_golden: bool) -> None:
    path = FOLDER / name
    if update_golden:
        path.write_bytes(schemas()[name])
    assert path.read_bytes() == schemas()[name], "run pytest with --update-golden"


def test_nothing_else_is_published() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(schemas())


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_a_document_names_its_schema(name: str) -> None:
    """contract-1 is the schema of documents that say phoneproof.contract/1."""
    kind = DOCUMENTS[name]
    named = msgspec.json.decode((FOLDER / f"{name}.schema.json").read_bytes(), type=_Published)
    schema = named.definitions[kind.__name__].properties["schema"]
    title, _, version = name.rpartition("-")
    assert schema.enum == (f"phoneproof.{title}/{version}",)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_contract_of_a_preset_fits_the_published_schema(preset: str) -> None:
    contract = _contract(preset)
    data = canonical_bytes(contract)
    assert parse(data, Contract, what="contract") == contract
    assert _unfit(data, "contract-1") == []


def test_a_binding_fits_the_published_schema() -> None:
    data = canonical_bytes(_binding())
    assert parse(data, Binding, what="binding") == _binding()
    assert _unfit(data, "binding-1") == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"task":"detect"', b'"task":"pose"'),
        (b'"name":"meter"', b'"name":3'),
        (b'"op":"pad"', b'"op":"border"'),
        (b'"version"', b'"verison"'),
        (b'"size":[640,640]', b'"size":[640]'),
    ],
)
def test_a_wrong_contract_does_not_fit(old: bytes, new: bytes) -> None:
    data = canonical_bytes(_contract("ultralytics.detect"))
    assert old in data
    assert _unfit(data.replace(old, new), "contract-1") != []


def _contract(preset: str) -> Contract:
    decode = preset_decode(preset)
    return Contract(
        name="meter",
        task="classify" if decode is None else "detect",
        inputs=(preset_input(preset, (640, 640)),),
        labels=("dial", None, "digit"),
        decode=decode,
    )


def _binding() -> Binding:
    return Binding(
        contract="0" * 64,
        format="tflite",
        inputs=(InputBinding(tensor="image", shape=(1, 640, 640, 3), layout="NHWC"),),
        outputs=(
            OutputBinding(
                tensor="output0",
                role="boxes",
                shape=(1, 7, 8400),
                axes=("coord", "anchor"),
                slice=(0, 4),
                box=Box(format="cxcywh"),
            ),
            OutputBinding(
                tensor="output0",
                role="scores",
                shape=(1, 7, 8400),
                axes=("class", "anchor"),
                slice=(4, 7),
            ),
        ),
        anchors=GridAnchors(strides=(8, 16, 32)),
    )


def _unfit(data: bytes, name: str) -> list[str]:
    schema = msgspec.json.decode((FOLDER / f"{name}.schema.json").read_bytes())
    validator = pytest.importorskip("jsonschema").Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(msgspec.json.decode(data))]
