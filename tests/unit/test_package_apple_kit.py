"""What the Apple kit's payload holds: the very inputs and outputs of the golden vectors."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import get_args

import msgspec
import numpy as np
import pytest

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Precision
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.package import apple_kit
from phoneproof.package.apple_kit import KIT, PAYLOAD, SHARED, SOURCES, Kit, write_apple_kit
from phoneproof.package.bundle import read_bundle
from phoneproof.package.golden import make_golden
from phoneproof.package.mobile_sources import mobile_folder
from tests.unit import report_samples as samples
from tests.unit import test_package_golden as golden_tests
from tests.unit.device_samples import Shipped, ship, with_float_pixels


@pytest.fixture(scope="module", params=["classify", "detect"])
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    return ship(tmp_path_factory.mktemp("kit") / "bundle", request.param)


def kit_of(bundle: Path) -> Kit:
    return parse((bundle / KIT / PAYLOAD / "kit.json").read_bytes(), Kit, what="kit")


def files_of(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_sources_are_shipped_as_they_are(shipped: Shipped) -> None:
    ours = files_of(SOURCES)
    for source, target in SHARED.items():
        shared = files_of(mobile_folder() / "ios" / source)
        assert shared
        ours |= {Path(target) / path: data for path, data in shared.items()}
    files = files_of(shipped.folder / KIT)
    theirs = {path: data for path, data in files.items() if "Payload" not in path.parts}
    assert theirs == ours
    assert {path.suffix for path in ours} == {".swift", ".md"}


def test_nothing_is_there_twice() -> None:
    """What the library has is not in the kit's own sources as well."""
    shared = {path.name for ours in SHARED for path in files_of(mobile_folder() / "ios" / ours)}
    assert "SHA256.swift" in shared
    assert not shared & {path.name for path in files_of(SOURCES)}


def test_a_bundle_with_a_kit_is_whole(shipped: Shipped) -> None:
    listed = {file.path for file in read_bundle(shipped.folder).manifest.files}
    assert f"{KIT}/Package.swift" in listed
    assert f"{KIT}/{PAYLOAD}/golden/index.json" in listed


def test_pixels_and_table_give_the_recorded_input(shipped: Shipped) -> None:
    payload = shipped.folder / KIT / PAYLOAD
    artifact = kit_of(shipped.folder).artifacts[0]
    assert artifact.input.table is not None
    data = (payload / artifact.input.table).read_bytes()
    table = np.frombuffer(data, "<f4").reshape(3, 256)
    recorded = {c.id: c.expected.artifacts[0].input.sha256 for c in shipped.golden.cases}
    assert len(artifact.cases) == 8
    for case in artifact.cases:
        assert case.pixels is not None
        pixels = np.frombuffer((payload / case.pixels).read_bytes(), np.uint8).reshape(-1, 3)
        tensor = table[np.arange(3)[None], pixels]
        assert hashlib.sha256(tensor.tobytes()).hexdigest() == recorded[case.id]


def test_models_and_vectors_are_copies(shipped: Shipped) -> None:
    payload = shipped.folder / KIT / PAYLOAD
    artifact = kit_of(shipped.folder).artifacts[0]
    assert tree_sha256(payload / artifact.path) == artifact.sha256
    for path in (payload / "golden").rglob("*.*"):
        if path.is_file():
            inside = path.relative_to(payload)
            assert path.read_bytes() == (shipped.folder / inside).read_bytes()
    pictures = [p for p in payload.rglob("*") if p.suffix in (".png", ".jpg")]
    assert pictures == []


def test_float_pixels_are_whole_tensors(tmp_path: Path) -> None:
    contract = with_float_pixels(golden_tests.classify_contract())
    binding = golden_tests.classify_binding(contract)
    artifact = msgspec.structs.replace(
        golden_tests.artifact_of(binding), id="coreml-float32", format="coreml", path="model"
    )
    (tmp_path / "model").write_bytes(b"weights")
    opener = golden_tests.opener(golden_tests.classify)
    golden = make_golden(tmp_path / "golden", contract, [(artifact, tmp_path)], opener)
    write_apple_kit(tmp_path, contract, [artifact])
    one = kit_of(tmp_path).artifacts[0]
    assert one.input.table is None
    recorded = {c.id: c.expected.artifacts[0].input.sha256 for c in golden.cases}
    for case in one.cases:
        assert case.tensor is not None
        data = (tmp_path / KIT / PAYLOAD / case.tensor).read_bytes()
        assert hashlib.sha256(data).hexdigest() == recorded[case.id]


@pytest.mark.parametrize(
    ("precision", "decibels"),
    [
        ("float32", 60.0),
        ("float16", 45.0),
        ("palette4", 45.0),
        ("weight_only_wi8", 45.0),
        ("sparse", 45.0),
        ("mixed", 45.0),
        ("static_wi8_ai8", 20.0),
    ],
)
def test_every_precision_is_held_to_something(
    tmp_path: Path, precision: Precision, decibels: float
) -> None:
    made = ship(tmp_path / "bundle", precision=precision)
    assert [one.least_decibels for one in kit_of(made.folder).artifacts] == [decibels]


def test_no_precision_is_forgotten() -> None:
    assert set(apple_kit.LEAST_DECIBELS) == set(get_args(Precision))


@pytest.mark.parametrize("leave_out", ["format", "vectors", "batch"])
def test_what_no_kit_is_for(tmp_path: Path, leave_out: str) -> None:
    made = golden_tests.make(tmp_path / "golden")
    artifact = made.artifact
    if leave_out != "format":
        artifact = msgspec.structs.replace(artifact, format="coreml", id="coreml-float32")
    if leave_out == "batch":
        binding = golden_tests.classify_binding(made.contract, batch=2)
        artifact = msgspec.structs.replace(artifact, binding=binding, id="tflite-float32")
    write_apple_kit(tmp_path, made.contract, [artifact])
    assert not (tmp_path / "ios").exists()


def test_bundles_without_apple_files_have_no_kit(tmp_path: Path) -> None:
    write_apple_kit(tmp_path, samples.detect_contract(), [])
    assert list(tmp_path.iterdir()) == []


def test_other_pixels_than_recorded_are_a_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = golden_tests.make(tmp_path / "golden")
    artifact = msgspec.structs.replace(made.artifact, path="golden/index.json", format="coreml")
    monkeypatch.setattr(apple_kit, "tensor_sha256", lambda _: "0" * 64)
    with pytest.raises(RuntimeError, match="landscape-png"):
        write_apple_kit(tmp_path, made.contract, [artifact])


def test_the_index_is_the_one_of_the_bundle(shipped: Shipped) -> None:
    data = (shipped.folder / KIT / PAYLOAD / "golden" / "index.json").read_bytes()
    assert parse(data, GoldenIndex, what="index") == shipped.golden
