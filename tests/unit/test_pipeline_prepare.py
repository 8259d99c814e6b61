"""What the first steps depend on."""

from __future__ import annotations

import os
from pathlib import Path

from phoneproof.pipeline.capture_steps import FileSource, InspectStep
from phoneproof.pipeline.prepare import _files_beside


def test_changed_external_weights_are_inspected_anew(tmp_path: Path) -> None:
    model, weights = tmp_path / "m.onnx", tmp_path / "m.data"
    model.write_bytes(b"model")
    weights.write_bytes(b"old weights")
    source = FileSource(path=model, format="onnx", sha256="a")
    before = InspectStep(source=source, beside=_files_beside(model)).identity()
    assert InspectStep(source=source, beside=_files_beside(model)).identity() == before
    weights.write_bytes(b"new weights")
    os.utime(weights, ns=(1, 1))
    assert InspectStep(source=source, beside=_files_beside(model)).identity() != before
