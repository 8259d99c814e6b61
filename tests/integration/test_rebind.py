"""Another binding inside the same file: what the file computes stays as it was."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import Binding, Format
from phoneproof.core.contract import Decode
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.rebind import rebound
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.pipeline.artifact_steps import made_artifact
from phoneproof.pipeline.rebind_step import RebindStep
from phoneproof.pipeline.step import StepRecord, StepResult
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.assets import asset
from tests.integration.colour_model import save_classifier
from tests.unit.report_samples import binding_for, classify_contract

OWN = Decode(confidence=0.21)
CONTRACT = classify_contract(count=10)


def model(kind: Format, folder: Path) -> tuple[Path, Binding]:
    """A file that carries a binding without a decode of its own."""
    binding = msgspec.structs.replace(binding_for(CONTRACT), format=kind, artifact=None)
    if kind == "onnx":
        path = save_classifier(folder / "model.onnx")
        path.write_bytes(rebound(path, kind, Embedded(contract=CONTRACT, binding=binding)))
        return path, binding
    data = asset("models/classify/cifar10_resnet8_float.tflite").read_bytes()
    metadata = embedding(Embedded(contract=CONTRACT, binding=binding))
    edit = TfliteEdit(inputs=("image",), outputs=("scores",), metadata=metadata)
    path = folder / "model.tflite"
    path.write_bytes(edit_tflite(data, edit, path.name))
    return path, binding


def outputs(kind: Format, path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    session = RUNTIMES.load(kind).open(path)
    (image,) = session.inputs
    shape = tuple(max(1, side) for side in image.shape)  # -1 where any batch fits
    value = np.random.default_rng(0).random(shape, dtype=np.float32)
    return [np.asarray(one) for one in session.run({image.name: value}).values()]


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_the_step_changes_the_binding_alone(kind: Format, tmp_path: Path) -> None:
    path, binding = model(kind, tmp_path)
    step = RebindStep(
        label="model",
        format=kind,
        artifact=path,
        artifact_sha256="a",
        contract=CONTRACT,
        binding=binding,
        decode=OWN,
    )
    output = tmp_path / "made"
    output.mkdir()
    step.run(output, lambda *_: None)
    record = StepRecord(name=step.name, key="k", seconds=0.0, peak_rss_bytes=0, tools=())
    result = StepResult(folder=output, record=record, cached=False)
    made = made_artifact(result, requested="float32", parent="a", step=step.name)
    carried = read_embedded(made.path, kind)
    assert carried.contract == CONTRACT
    assert carried.binding == msgspec.structs.replace(binding, decode_override=OWN)
    assert made.artifact.binding.own_confidence == 0.21
    assert dict(made.artifact.lineage.options) == {"decode_override.confidence": "0.21"}
    for before, after in zip(outputs(kind, path), outputs(kind, made.path), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("kind", ["tflite", "onnx"])
def test_bound_twice_the_same_way_gives_the_same_bytes(kind: Format, tmp_path: Path) -> None:
    path, binding = model(kind, tmp_path)
    own = msgspec.structs.replace(binding, decode_override=OWN)
    first = rebound(path, kind, Embedded(contract=CONTRACT, binding=own))
    path.write_bytes(first)
    assert rebound(path, kind, Embedded(contract=CONTRACT, binding=own)) == first


def test_what_cannot_be_bound_is_refused(tmp_path: Path) -> None:
    path, binding = model("onnx", tmp_path)
    embedded = Embedded(contract=CONTRACT, binding=binding)
    with pytest.raises(Unsupported, match="hub"):
        rebound(path, "hub", embedded)
    named = msgspec.structs.replace(binding, artifact="ab" * 32)
    with pytest.raises(InvalidInput, match="names an artifact"):
        rebound(path, "onnx", Embedded(contract=CONTRACT, binding=named))
    path.write_bytes(b"not a model")
    with pytest.raises(InvalidInput):
        rebound(path, "onnx", embedded)
