"""Golden vectors of real models, re-run where neither torch nor the source is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from phoneproof.core.artifact import Artifact, Lineage, tree_bytes, tree_sha256
from phoneproof.core.binding import Binding, Box, Format, InputBinding, OutputBinding
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Pad, Resize
from phoneproof.package.golden import make_golden
from phoneproof.package.golden_check import check_golden
from phoneproof.runtimes.base import RUNTIMES, Session
from tests.assets import asset

TORCH_FREE = """
import sys
import phoneproof.package.bundle, phoneproof.package.golden_check
import phoneproof.package.junit, phoneproof.package.summary
heavy = {"torch", "tensorflow", "onnx", "litert_torch", "onnxruntime", "ai_edge_litert"}
print(sorted(heavy & set(sys.modules)))
"""


def open_session(artifact: Artifact, path: Path) -> Session:
    return RUNTIMES.load(artifact.format).open(path)


def detector() -> Contract:
    return Contract(
        name="yolov8n",
        task="detect",
        inputs=(
            ImageInput(
                geometry=(Resize(to="contain", size=(640, 640)), Pad(size=(640, 640))),
                size=(640, 640),
                scale=1 / 255,
                mean=(0.0, 0.0, 0.0),
                std=(1.0, 1.0, 1.0),
            ),
        ),
        labels=tuple(f"class {i}" for i in range(80)),
        decode=Decode(nms=Nms()),
    )


def classifier(size: int, labels: int, scale: float, mean: float) -> Contract:
    return Contract(
        name="classifier",
        task="classify",
        inputs=(
            ImageInput(
                geometry=(Resize(to="stretch", size=(size, size)),),
                size=(size, size),
                scale=scale,
                mean=(mean,) * 3,
                std=(1.0, 1.0, 1.0),
            ),
        ),
        labels=tuple(f"class {i}" for i in range(labels)),
    )


def detector_binding(contract: Contract) -> Binding:
    shape = (1, 84, 8400)
    return Binding(
        contract=contract.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="images", shape=(1, 3, 640, 640), layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="output0", role="boxes", shape=shape, axes=("coord", "anchor"),
                slice=(0, 4), box=Box(format="cxcywh"),
            ),
            OutputBinding(
                tensor="output0", role="scores", shape=shape, axes=("class", "anchor"),
                slice=(4, 84),
            ),
        ),
    )  # fmt: skip


def classifier_binding(contract: Contract, path: Path, kind: Format) -> Binding:
    session = RUNTIMES.load(kind).open(path)
    size = contract.image.size
    return Binding(
        contract=contract.sha256,
        format=kind,
        inputs=(InputBinding(tensor=session.inputs[0].name, shape=(1, *size, 3), layout="NHWC"),),
        outputs=(
            OutputBinding(
                tensor=session.outputs[0].name,
                role="scores",
                shape=(1, *session.outputs[0].shape[1:]),
                axes=("class",),
            ),
        ),
    )


def artifact_of(path: Path, binding: Binding) -> Artifact:
    return Artifact(
        id=f"{binding.format}-float32",
        format=binding.format,
        requested="float32",
        precision="float32",
        path=f"artifacts/{path.name}",
        bytes=tree_bytes(path),
        sha256=tree_sha256(path),
        binding=binding,
        lineage=Lineage(parent="0" * 64, step="given"),
    )


def make_and_check(folder: Path, contract: Contract, path: Path, binding: Binding) -> list[Check]:
    pairs = [(artifact_of(path, binding), path)]
    make_golden(folder, contract, pairs, open_session, [asset("images/single/bus.jpg")])
    return list(check_golden(folder, contract, pairs, open_session))


def assert_same(checks: list[Check]) -> None:
    assert [c.verdict for c in checks] == ["pass"] * 4
    assert [c.name for c in checks][2:] == ["golden_outputs", "golden_results"]


def test_detector_in_onnx_runtime(tmp_path: Path) -> None:
    path = asset("models/detect/yolov8n_coco_rebuilt.onnx")
    contract = detector()
    assert_same(make_and_check(tmp_path / "g", contract, path, detector_binding(contract)))
    stored = sum(p.stat().st_size for p in (tmp_path / "g").rglob("*") if p.is_file())
    assert stored < 16e6


def test_classifier_in_onnx_runtime(tmp_path: Path) -> None:
    path = asset("models/classify/mobilenet_v2_1.0_224_float.onnx")
    contract = classifier(224, 1001, 1 / 127.5, 1.0)
    binding = classifier_binding(contract, path, "onnx")
    assert_same(make_and_check(tmp_path / "g", contract, path, binding))


def test_classifier_in_litert(tmp_path: Path) -> None:
    path = asset("models/classify/cifar10_resnet8_float.tflite")
    contract = classifier(32, 10, 1.0, 0.0)
    binding = classifier_binding(contract, path, "tflite")
    assert_same(make_and_check(tmp_path / "g", contract, path, binding))


def one_weight_negated(path: Path) -> bytes:
    """The file with its largest weight's sign turned: the top bit of one little-endian float32."""
    interpreter = Interpreter(model_path=str(path))
    weights = next(
        interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if len(detail["shape"]) == 4 and detail["shape"][1] == 3
    )
    data = bytearray(path.read_bytes())
    start = data.index(weights.tobytes())
    largest = int(np.abs(weights).argmax())
    data[start + 4 * largest + 3] ^= 0x80
    return bytes(data)


def test_one_changed_weight_is_noticed(tmp_path: Path) -> None:
    """The same file name and binding, other weights: outputs must differ from the recorded ones."""
    path = asset("models/classify/cifar10_resnet8_float.tflite")
    contract = classifier(32, 10, 1.0, 0.0)
    artifact = artifact_of(path, classifier_binding(contract, path, "tflite"))
    make_golden(tmp_path / "g", contract, [(artifact, path)], open_session)
    spoiled = tmp_path / "spoiled.tflite"
    spoiled.write_bytes(one_weight_negated(path))
    checks = check_golden(tmp_path / "g", contract, [(artifact, spoiled)], open_session)
    assert {c.name: c.verdict for c in checks}["golden_outputs"] == "fail"


@pytest.mark.timeout(60)
def test_nothing_heavy_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TORCH_FREE], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
