"""ONNX sources: real models become hub programs that equal ONNX Runtime; bad files are refused."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import ModelProto, TensorProto, helper

from phoneproof.capture.backends.onnx import OnnxSource
from phoneproof.capture.sources import find_source
from phoneproof.core.artifact import file_sha256
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from tests.assets import asset
from tests.integration.hub_agreement import photographs, worst_relative
from tests.integration.onnx_models import conv_net, save, with_external

YOLOV8 = "models/detect/yolov8n_coco_rebuilt.onnx"
YOLOX = "models/detect/yolox_nano.onnx"
ULTRAFACE = "models/detect/version-RFB-320.onnx"
MOBILENET = "models/classify/mobilenet_v2_1.0_224_float.onnx"
MNIST = "models/classify/mnist.onnx"


def _export(
    path: Path, size: tuple[int, int], batch: int = 1
) -> tuple[str, torch.export.ExportedProgram]:
    name, export = OnnxSource().importers(path, size=size, batch=batch)[0]
    return name, export()


@pytest.mark.parametrize(
    ("model", "scale", "shift"),
    [
        (YOLOV8, 1 / 255, 0.0),
        (YOLOX, 1.0, 0.0),
        (ULTRAFACE, 1 / 128, -127 / 128),
        (MOBILENET, 1 / 127.5, -1.0),
        (MNIST, 1.0, 0.0),
    ],
    ids=["yolov8n", "yolox_nano", "ultraface", "mobilenet_v2", "mnist"],
)
def test_the_hub_equals_onnx_runtime(
    model: str,
    scale: float,
    shift: float,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    path = asset(model)
    before = file_sha256(path)
    source = OnnxSource()
    inspection = source.inspect(path)
    assert inspection.size is not None
    name, program = _export(path, inspection.size)
    session = source.open(path, size=inspection.size, batch=1)
    images = photographs(session.inputs[0].shape, inspection.layout, scale, shift)
    worst = worst_relative(program, session, images)
    record_property("worst_relative", worst)
    print(f"{path.name}: {worst:.1e} of {HUB_RELATIVE:.0e}")
    assert name == "onnx2torch"
    assert worst <= HUB_RELATIVE
    assert tuple(spec.name for spec in session.outputs) == tuple(
        spec.name for spec in inspection.outputs
    )
    assert file_sha256(path) == before

    torch.export.save(program, tmp_path / "hub.pt2")
    again = torch.export.load(tmp_path / "hub.pt2")
    assert worst_relative(again, session, images) <= HUB_RELATIVE


def test_one_corrupted_weight_is_seen() -> None:
    """The control of the comparison above."""
    path = asset(ULTRAFACE)
    _, program = _export(path, (240, 320))
    session = OnnxSource().open(path, size=(240, 320), batch=1)
    images = photographs((1, 3, 240, 320), "NCHW", 1 / 128, -127 / 128)
    weight = next(value for name, value in program.state_dict.items() if name.endswith("weight"))
    with torch.no_grad():
        weight.view(-1)[0] += 1.0
    assert worst_relative(program, session, images) > HUB_RELATIVE


@pytest.mark.parametrize("model", [MOBILENET, YOLOX])
def test_two_exports_are_the_same(model: str) -> None:
    path = asset(model)
    size = OnnxSource().inspect(path).size
    assert size is not None
    (_, first), (_, second) = _export(path, size), _export(path, size)
    assert str(first.graph) == str(second.graph)
    assert list(first.state_dict) == list(second.state_dict)
    assert all(torch.equal(first.state_dict[k], second.state_dict[k]) for k in first.state_dict)


def test_layers_and_weights_keep_their_names_through_the_file() -> None:
    _, program = _export(asset(YOLOV8), (640, 640))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    program = torch.export.load(buffer)
    layers = {key for n in program.graph.nodes for key in n.meta.get("nn_module_stack", {})}
    assert "model/0/conv/Conv" in {layer.strip("/").replace(".", "/") for layer in layers}
    assert "model_0_conv_conv_weight" in program.state_dict
    weights = sum(value.numel() for value in program.state_dict.values())
    assert weights > 3_000_000
    assert not program.constants


@pytest.mark.parametrize(
    ("dims", "nhwc", "size", "batch"),
    [
        ([1, 32, 48, 3], True, (32, 48), 1),
        (["n", 3, "h", "w"], False, (40, 24), 2),
        (["n", "h", "w", 3], True, (24, 24), 3),
    ],
    ids=["nhwc", "dynamic", "dynamic_nhwc"],
)
def test_layouts_and_open_shapes(
    dims: list[int | str], nhwc: bool, size: tuple[int, int], batch: int, tmp_path: Path
) -> None:
    path = save(conv_net(dims, nhwc=nhwc), tmp_path / "net.onnx")
    inspection = OnnxSource().inspect(path)
    assert inspection.layout == ("NHWC" if nhwc else "NCHW")
    assert inspection.size == (None if "h" in dims else size)
    hazards = {hazard.name for hazard in inspection.hazards}
    assert ("dynamic_shapes" in hazards) == ("h" in dims)
    session = OnnxSource().open(path, size=size, batch=batch)
    assert session.outputs[0].shape == (batch, 5)
    _, program = _export(path, size, batch)
    images = photographs(session.inputs[0].shape, inspection.layout, 1 / 255, 0.0)
    assert worst_relative(program, session, images) <= HUB_RELATIVE


@pytest.mark.parametrize(("size", "batch"), [((64, 64), 1), ((32, 32), 2)])
def test_a_static_file_refuses_another_shape(
    size: tuple[int, int], batch: int, tmp_path: Path
) -> None:
    path = save(conv_net([1, 3, 32, 32]), tmp_path / "net.onnx")
    for ask in (OnnxSource().open, OnnxSource().importers):
        with pytest.raises(Unsupported, match="fixed to another input shape"):
            ask(path, size=size, batch=batch)


@pytest.mark.parametrize(
    ("model", "task", "preset", "roles", "hazards"),
    [
        (YOLOV8, "detect", "ultralytics.detect", ["boxes", "scores"], {"layout", "unlike_ranges"}),
        (
            YOLOX,
            "detect",
            "yolox",
            ["boxes", "objectness", "scores"],
            {"layout", "unlike_ranges"},
        ),
        (ULTRAFACE, "detect", "", ["scores", "boxes"], {"layout"}),
        (MOBILENET, "classify", "", ["scores"], set()),
        (MNIST, "classify", "", ["scores"], {"layout"}),
    ],
    ids=["yolov8n", "yolox_nano", "ultraface", "mobilenet_v2", "mnist"],
)
def test_what_real_files_say(
    model: str, task: str, preset: str, roles: list[str], hazards: set[str]
) -> None:
    name, source = find_source(asset(model))
    inspection = source.inspect(asset(model))
    assert name == inspection.format == "onnx"
    assert (inspection.task, inspection.preset) == (task, preset)
    assert inspection.head is not None
    assert [output.role for output in inspection.head.outputs] == roles
    assert {hazard.name for hazard in inspection.hazards} == hazards
    keys = {finding.key for finding in inspection.findings}
    assert {"input.layout", "evidence.opset", "evidence.producer", "contract.task"} <= keys
    assert all(finding.reason for finding in inspection.findings)


def test_mnist_is_known_to_end_in_logits() -> None:
    head = OnnxSource().inspect(asset(MNIST)).head
    assert head is not None
    assert head.outputs[0].activation == "softmax"


def _props(model: ModelProto, **texts: str) -> ModelProto:
    for key, value in texts.items():
        model.metadata_props.add(key=key, value=value)
    return model


def test_ultralytics_metadata_gives_labels(tmp_path: Path) -> None:
    model = _props(
        conv_net([1, 3, 32, 32]),
        names="{0: 'a', 1: \"b's\", 2: 'c', 4: 'e'}",
        task="classify",
        stride="1",
        license="AGPL-3.0",
    )
    inspection = OnnxSource().inspect(save(model, tmp_path / "net.onnx"))
    assert inspection.labels == ("a", "b's", "c", None, "e")
    assert inspection.preset == "ultralytics.classify"
    assert inspection.evidence.license == "AGPL-3.0"
    assert "agpl_license" in {hazard.name for hazard in inspection.hazards}


@pytest.mark.parametrize(
    "names",
    [
        "__import__('os').system('touch owned')",
        "{0: open('owned', 'w')}",
        "(" * 5000 + ")" * 5000,
        "{0: 1}",
        "{-1: 'a'}",
        "{999999999999: 'a'}",
    ],
    ids=["call", "open", "deep", "no_text", "negative", "huge_index"],
)
def test_metadata_is_never_evaluated(
    names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(_props(conv_net([1, 3, 32, 32]), names=names, task="x"), tmp_path / "net.onnx")
    inspection = OnnxSource().inspect(path)
    assert inspection.labels == ()
    assert not (tmp_path / "owned").exists()
    assert any(f.key == "contract.labels" and f.value == "unreadable" for f in inspection.findings)


def test_hazardous_operators_are_named(tmp_path: Path) -> None:
    extra = (
        helper.make_node("NonZero", ["r"], ["nz"], "find"),
        helper.make_node("Secret", ["r"], ["sec"], "own", domain="com.example"),
    )
    model = conv_net([1, 3, 32, 32], extra=extra, opsets=(("", 13), ("com.example", 1)))
    inspection = OnnxSource().inspect(save(model, tmp_path / "net.onnx"))
    hazard = next(h for h in inspection.hazards if h.name == "unsupported_ops")
    assert hazard.found == "NonZero, com.example::Secret"


def test_an_operator_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    extra = (helper.make_node("Hardmax", ["r"], ["hard"], "hard"),)
    model = conv_net([1, 3, 32, 32], extra=extra, opsets=(("", 18),))
    next(n for n in model.graph.node if n.name == "pool").input[0] = "hard"
    path = save(model, tmp_path / "net.onnx")
    with pytest.raises(Unsupported, match="cannot be imported") as caught:
        _export(path, (32, 32))
    assert "Hardmax" in caught.value.found


def test_nms_inside(tmp_path: Path) -> None:
    nodes = [helper.make_node("NonMaxSuppression", ["boxes", "x"], ["kept"], "nms")]
    boxes = helper.make_tensor("boxes", TensorProto.FLOAT, [1, 2, 4], [0.0] * 8)
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, ["k", 3])],
        [boxes],
    )
    path = save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), tmp_path / "n.onnx"
    )
    inspection = OnnxSource().inspect(path)
    assert "nms_inside" in {hazard.name for hazard in inspection.hazards}
    assert inspection.task == "raw"
    assert inspection.head is not None
    assert inspection.head.nms_in_file


def _two_inputs() -> ModelProto:
    model = conv_net([1, 3, 32, 32])
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    return model


def _byte_input() -> ModelProto:
    model = conv_net([1, 3, 32, 32])
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return model


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (_two_inputs(), "exactly one input"),
        (_byte_input(), "not a float32 image"),
        (conv_net([1, 5, 32, 32]), "not a grey or colour image"),
    ],
    ids=["two_inputs", "uint8", "five_channels"],
)
def test_other_inputs_are_unsupported(model: ModelProto, text: str, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=text):
        OnnxSource().inspect(save(model, tmp_path / "net.onnx"))


def test_external_data_beside_the_model(tmp_path: Path) -> None:
    model = conv_net([1, 3, 32, 32])
    weights = model.graph.initializer[0].raw_data
    (tmp_path / "net.data").write_bytes(weights)
    path = with_external(model, tmp_path / "net.onnx", "net.data")
    inspection = OnnxSource().inspect(path)
    assert "evidence.external_data.net.data" in {f.key for f in inspection.findings}
    session = OnnxSource().open(path, size=(32, 32), batch=1)
    _, program = _export(path, (32, 32))
    images = photographs((1, 3, 32, 32), "NCHW", 1 / 255, 0.0)
    assert worst_relative(program, session, images) <= HUB_RELATIVE


@pytest.mark.parametrize(
    "location",
    ["../w.bin", "/etc/passwd", "a/../../w.bin", "..\\w.bin", "C:\\w.bin", "link.bin", ""],
)
def test_external_data_outside_the_folder_is_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "w.bin").write_bytes(bytes(4096))
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")
    path = with_external(conv_net([1, 3, 32, 32]), folder / "net.onnx", location)
    with pytest.raises(InvalidInput, match="outside its own folder"):
        OnnxSource().inspect(path)
    with pytest.raises(InvalidInput, match="outside its own folder"):
        OnnxSource().open(path, size=(32, 32), batch=1)


def test_missing_and_short_external_data_are_named(tmp_path: Path) -> None:
    path = with_external(conv_net([1, 3, 32, 32]), tmp_path / "net.onnx", "net.data")
    with pytest.raises(InvalidInput, match="missing") as caught:
        OnnxSource().inspect(path)
    assert "net.data" in caught.value.found
    (tmp_path / "net.data").write_bytes(bytes(10))
    with pytest.raises(InvalidInput, match="incomplete"):
        OnnxSource().inspect(path)


def test_truncated_anywhere(tmp_path: Path) -> None:
    content = asset(MNIST).read_bytes()
    for end in (1, 10, 100, len(content) // 3, len(content) // 2, len(content) - 1000):
        path = tmp_path / "cut.onnx"
        path.write_bytes(content[:end])
        with pytest.raises(InvalidInput):
            OnnxSource().inspect(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage " * 100, bytes(1000), b"version https://git-lfs.github.com/spec/v1\n"],
    ids=["empty", "text", "zeros", "lfs"],
)
def test_what_is_no_onnx(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidInput):
        OnnxSource().inspect(path)


def test_the_session_checks_what_it_is_fed(tmp_path: Path) -> None:
    path = save(conv_net([1, 3, 32, 32]), tmp_path / "net.onnx")
    session = OnnxSource().open(path, size=(32, 32), batch=1)
    with pytest.raises(InvalidInput):
        session.run({"x": np.zeros((1, 3, 31, 32), np.float32)})
    with pytest.raises(InvalidInput):
        session.run({"y": np.zeros((1, 3, 32, 32), np.float32)})
