"""What the first steps depend on."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from phoneproof.core.capture import Finding
from phoneproof.core.errors import InvalidInput
from phoneproof.pipeline.capture_steps import FileSource
from phoneproof.pipeline.prepare import with_external_data
from tests.unit.inspections import classifier


def test_changed_external_weights_make_another_source(tmp_path: Path) -> None:
    (tmp_path / "m.data").write_bytes(b"old weights")
    source = FileSource(path=tmp_path / "m.onnx", format="onnx", sha256="a")
    named = Finding(key="evidence.external_data.m.data", value="as inspected", reason="read")
    inspection = msgspec.structs.replace(classifier(10), findings=(named,))
    before = with_external_data(source, inspection)
    assert before == with_external_data(source, inspection) != source
    (tmp_path / "m.data").write_bytes(b"new weights")
    assert with_external_data(source, inspection) != before


def test_weights_that_were_moved_away_are_missed(tmp_path: Path) -> None:
    source = FileSource(path=tmp_path / "m.onnx", format="onnx", sha256="a")
    named = Finding(key="evidence.external_data.m.data", value="as inspected", reason="read")
    inspection = msgspec.structs.replace(classifier(10), findings=(named,))
    with pytest.raises(InvalidInput, match="in a file that is missing"):
        with_external_data(source, inspection)
    (tmp_path / "m.data").symlink_to("/etc/hostname")
    with pytest.raises(InvalidInput, match="outside its own folder"):
        with_external_data(source, inspection)


def test_a_model_in_one_file_is_its_hash() -> None:
    source = FileSource(path=Path("m.onnx"), format="onnx", sha256="a")
    assert with_external_data(source, classifier(10)) == source
