"""Core ML models as files: what is read, and what is refused with which words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.blob import BlobFile
from phoneproof.formats.coreml.description import ArrayFeature, ImageFeature, description_of
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.metadata import read_metadata, write_metadata
from phoneproof.formats.coreml.program import BlobReference, Reference, TensorType, Text
from phoneproof.formats.coreml.program_read import program_of
from tests.unit import coreml_files


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return coreml_files.package(tmp_path / "net.mlpackage")


def test_a_package_is_read(package: Path) -> None:
    file = read_coreml(package)
    assert (file.kind, file.name) == ("mlProgram", "net.mlpackage")
    description = description_of(file)
    image = ArrayFeature(name="image", shape=(1, 3, 8, 6), dtype="float32")
    assert (description.inputs, description.version) == ((image,), 8)


def test_a_bare_model_is_read(package: Path) -> None:
    model = package / "Data" / "com.apple.CoreML" / "model.mlmodel"
    bare = package.parent / "net.mlmodel"
    bare.write_bytes(model.read_bytes())
    assert read_coreml(bare).spec == read_coreml(package).spec


def test_the_program_is_plain(package: Path) -> None:
    program = program_of(read_coreml(package))
    assert [operation.type for operation in program.operations] == [
        "const",
        "const",
        "conv",
        "relu",
    ]
    kernel, kind, conv, _ = program.operations
    type_ = TensorType(dtype="float32", shape=(2, 3, 2, 2))
    assert kernel.attributes["val"] == BlobReference(
        type=type_, file="@model_path/weights/weight.bin", offset=64
    )
    assert (kind.name, kind.attributes["val"]) == ("kind", Text(text="valid"))
    assert conv.inputs["x"] == (Reference(name="image"),)
    assert (conv.name, program.outputs, program.opset) == ("middle", ("out",), "CoreML7")


def test_weights_are_read(package: Path) -> None:
    file = read_coreml(package)
    blob = BlobFile(file.beside("@model_path/weights/weight.bin"), file.name)
    found = blob.read(TensorType(dtype="float32", shape=(2, 3, 2, 2)), 64)
    assert np.array_equal(found, coreml_files.weights())


def test_images_have_a_colour(tmp_path: Path) -> None:
    spec = coreml_files.specification()
    image = spec.description.input[0].type.imageType
    image.height, image.width, image.colorSpace = 8, 6, 30
    path = coreml_files.write(tmp_path / "i.mlpackage", spec, None)
    (feature,) = description_of(read_coreml(path)).inputs
    assert feature == ImageFeature(name="image", height=8, width=6, colour="BGR")
    assert isinstance(feature, ImageFeature)
    assert feature.shape == (1, 3, 8, 6)


def test_metadata_is_added_and_read(package: Path) -> None:
    write_metadata(package, {"key": "wörter".encode()})
    assert read_metadata(package) == {"author": b"a test", "key": "wörter".encode()}
    first = (package / "Data/com.apple.CoreML/model.mlmodel").read_bytes()
    write_metadata(package, {"key": "wörter".encode()})
    assert (package / "Data/com.apple.CoreML/model.mlmodel").read_bytes() == first
    with pytest.raises(InvalidInput, match="is no text"):
        write_metadata(package, {"key": b"\xff"})


def test_a_package_without_its_weights(package: Path) -> None:
    (package / "Data/com.apple.CoreML/weights/weight.bin").unlink()
    file = read_coreml(package)
    with pytest.raises(InvalidInput, match="without its weights") as caught:
        file.beside("@model_path/weights/weight.bin")
    assert "weights/weight.bin" in caught.value.found
    assert "whole" in caught.value.next_step


def test_weights_that_are_a_git_lfs_pointer(package: Path) -> None:
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    weights.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(InvalidInput) as caught:
        read_coreml(package).beside("@model_path/weights/weight.bin")
    assert "Git-LFS" in caught.value.found


@pytest.mark.parametrize("file", ["model.mlmodel", "Manifest.json"])
def test_a_missing_part_is_named(package: Path, file: str) -> None:
    next(package.rglob(file)).unlink()
    with pytest.raises(InvalidInput) as caught:
        read_coreml(package)
    assert file in caught.value.found


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_specification_is_refused(package: Path, share: float) -> None:
    model = next(package.rglob("model.mlmodel"))
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        InvalidInput, match=r"(net\.mlpackage|model\.mlmodel) is not a Core ML model"
    ):
        read_coreml(package)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"itemInfoEntries": {}, "rootModelIdentifier": "m"}',
        '{"itemInfoEntries": {"m": {}}, "rootModelIdentifier": "m"}',
        "[" * 100_000,
        " " * (2 << 20),
    ],
    ids=["empty", "cut", "list", "nothing", "no items", "no path", "deep", "huge"],
)
def test_a_damaged_manifest_is_refused(package: Path, manifest: str) -> None:
    (package / "Manifest.json").write_text(manifest)
    with pytest.raises(InvalidInput, match=r"net\.mlpackage"):
        read_coreml(package)


@pytest.mark.parametrize(
    "path", ["../../secret", "/etc/hostname", "C:\\secret", "a/../../b", "a\0b"]
)
def test_a_manifest_that_leads_outside_is_refused(package: Path, path: str) -> None:
    items = {"itemInfoEntries": {"m": {"path": path}}, "rootModelIdentifier": "m"}
    (package / "Manifest.json").write_text(json.dumps(items))
    with pytest.raises(InvalidInput, match="outside its own folder"):
        read_coreml(package)


@pytest.mark.parametrize("file", ["@model_path/../../../x", "/etc/hostname", "..\\x", ""])
def test_weights_that_lead_outside_are_refused(tmp_path: Path, file: str) -> None:
    read = read_coreml(coreml_files.package(tmp_path / "net.mlpackage"))
    with pytest.raises(InvalidInput, match="outside its own folder"):
        read.beside(file)


@pytest.mark.parametrize("linked", ["Data", "Data/com.apple.CoreML/model.mlmodel", "Manifest.json"])
def test_links_are_not_followed(package: Path, linked: str) -> None:
    place = package / linked
    away = package.parent / "away"
    place.rename(away)
    place.symlink_to(away)
    with pytest.raises(InvalidInput, match="outside its own folder") as caught:
        read_coreml(package)
    assert "link" in caught.value.found


def test_a_link_to_weights_is_not_followed(package: Path) -> None:
    weights = package / "Data/com.apple.CoreML/weights/weight.bin"
    weights.rename(package.parent / "away")
    weights.symlink_to(package.parent / "away")
    with pytest.raises(InvalidInput, match="outside its own folder"):
        read_coreml(package).beside("@model_path/weights/weight.bin")


def test_decisions_at_run_time_are_refused(tmp_path: Path) -> None:
    spec = coreml_files.specification()
    block = spec.mlProgram.functions["main"].block_specializations["CoreML7"]
    operation = coreml_files.add_operation(block, "cond", "choice", (1,), pred="image")
    operation.blocks.add()
    path = coreml_files.write(tmp_path / "c.mlpackage", spec, None)
    with pytest.raises(Unsupported, match="decides at run time") as caught:
        program_of(read_coreml(path))
    assert "cond" in caught.value.found
    assert "choice" in caught.value.found


def test_another_kind_of_model_has_no_program(tmp_path: Path) -> None:
    spec = coreml_files.specification()
    spec.neuralNetwork.SetInParent()
    path = coreml_files.write(tmp_path / "n.mlpackage", spec, None)
    with pytest.raises(Unsupported, match="holds no MIL program") as caught:
        program_of(read_coreml(path))
    assert "neuralNetwork" in caught.value.found


def test_immediate_numbers_must_be_as_many_as_declared(tmp_path: Path) -> None:
    spec = coreml_files.specification()
    block = spec.mlProgram.functions["main"].block_specializations["CoreML7"]
    value = coreml_files.add_constant(block, "sides", "INT32", 1 << 40)
    value.immediateValue.tensor.ints.values.extend([1, 2])
    path = coreml_files.write(tmp_path / "s.mlpackage", spec, None)
    with pytest.raises(InvalidInput, match="is damaged") as caught:
        program_of(read_coreml(path))
    assert "2 in place of" in caught.value.found
