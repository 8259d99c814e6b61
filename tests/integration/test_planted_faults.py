"""Each planted fault is caught, by a check with a name, at the place where a user would meet it.

`test_verify_real_detector` plants the pixel faults on a real detector; here are the others, and
the same ones where a phone meets them: the golden vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from phoneproof.core.artifact import Artifact, Lineage, file_sha256
from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Resize
from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import VerificationFailed
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.data.load import load_images
from phoneproof.decode.results import Detections
from phoneproof.package.golden import INDEX, make_golden
from phoneproof.package.golden_check import check_golden
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from phoneproof.runtimes.base import Session
from phoneproof.runtimes.predict import Prediction, Predictor
from phoneproof.verify.limits import FLOAT32_LIMITS
from phoneproof.verify.measure import hub_equivalence, measure
from phoneproof.verify.verdicts import accepted
from tests.integration.colour_model import (
    COLOURS,
    LABELS,
    SIDE,
    SIZE,
    colour_binding,
    colour_classifier,
    colour_contract,
    colour_input,
    image_set,
    write_pictures,
)

CELLS = 4


def colour_detector() -> ModelProto:
    """image [1, 3, 32, 32] -> boxes [1, 16, 3+1] xyxy in pixels and scores [1, 16, 4].

    One box a cell of a 4 x 4 grid, each twice the cell's size, so that neighbours overlap; a
    cell's scores are how near its mean colour is to each of four colours. Both outputs have the
    same shape, so nothing but their order tells them apart.
    """
    cell = SIDE // CELLS
    edges = np.arange(CELLS) * cell
    top, left = (grid.reshape(-1) for grid in np.meshgrid(edges, edges, indexing="ij"))
    boxes = np.stack([left - 4, top - 4, left + cell + 4, top + cell + 4], axis=1)
    colours = np.array([*COLOURS.values(), (128, 128, 128)]) / 255
    weights: dict[str, NDArray[np.float32]] = {
        "kernel": (12 * colours).reshape(4, 3, 1, 1).astype(np.float32),
        "bias": (-6 * (colours**2).sum(axis=1)).astype(np.float32),
        "table": boxes[None].astype(np.float32),
        "none": np.zeros((1,), np.float32),
    }
    nodes = [
        helper.make_node(
            "AveragePool", ["image"], ["cells"], kernel_shape=[cell] * 2, strides=[cell] * 2
        ),
        helper.make_node("Conv", ["cells", "kernel", "bias"], ["likeness"]),
        helper.make_node("Softmax", ["likeness"], ["share"], axis=1),
        helper.make_node("Reshape", ["share", "rows"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["scores"], perm=[0, 2, 1]),
        helper.make_node("Mul", ["scores", "none"], ["nothing"]),
        helper.make_node("Add", ["table", "nothing"], ["boxes"]),
    ]
    shape = [1, CELLS * CELLS, 4]
    graph = helper.make_graph(
        nodes,
        "cells",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, *SIZE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in DETECTED],
        [
            numpy_helper.from_array(np.array([1, 4, CELLS * CELLS], np.int64), "rows"),
            *(numpy_helper.from_array(value, name) for name, value in weights.items()),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


DETECTED = ("boxes", "scores")


def detect_contract(iou: float = 0.3) -> Contract:
    return Contract(
        name="cells",
        task="detect",
        inputs=(colour_input(),),
        labels=(*LABELS, "gray"),
        decode=Decode(confidence=0.4, nms=Nms(iou=iou)),
    )


def detect_binding(contract: Contract, order: tuple[str, str] = DETECTED) -> Binding:
    shape = (1, CELLS * CELLS, 4)
    return Binding(
        contract=contract.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="image", shape=(1, 3, *SIZE), layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor=order[0],
                role="boxes",
                shape=shape,
                axes=("anchor", "coord"),
                box=Box(format="xyxy"),
            ),
            OutputBinding(tensor=order[1], role="scores", shape=shape, axes=("anchor", "class")),
        ),
    )


Edit = Callable[[ModelProto], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Pictures, and a model's predictions of them under a contract and binding."""

    folder: Path
    images: ImageSet

    def predict(
        self, model: ModelProto, contract: Contract, binding: Binding, edit: Edit | None = None
    ) -> list[Prediction]:
        changed = onnx.ModelProto.FromString(model.SerializeToString())
        if edit is not None:
            edit(changed)
        path = self.folder / "net.onnx"
        onnx.save(changed, path)
        session = OnnxRuntime().open(path)
        is_detector = contract.task == "detect"
        items = self.images.items
        predictor = Predictor(session, contract, binding)
        return list(predictor.predict_items(items, keep_roles=12, with_metric=is_detector))

    def failed(
        self, baseline: list[Prediction], candidate: list[Prediction], contract: Contract
    ) -> set[str]:
        """Names of the checks that fail, measured under the right contract."""
        checks = measure(
            baseline=baseline,
            candidate=candidate,
            images=self.images,
            contract=contract,
            precision="float32",
            limits=FLOAT32_LIMITS,
            runtime="onnxruntime",
            device="cpu",
        ).checks
        names = failing(checks)
        assert accepted(checks, FLOAT32_LIMITS) == (not names)
        return names

    def colours(
        self, contract: Contract | None = None, edit: Edit | None = None
    ) -> list[Prediction]:
        wanted = contract or colour_contract()
        return self.predict(colour_classifier(), wanted, colour_binding(wanted), edit)

    def cells(
        self, contract: Contract | None = None, order: tuple[str, str] = DETECTED
    ) -> list[Prediction]:
        wanted = contract or detect_contract()
        return self.predict(colour_detector(), wanted, detect_binding(wanted, order))


def failing(checks: tuple[Check, ...]) -> set[str]:
    return {check.name for check in checks if check.gating and check.verdict == "fail"}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("bench")
    pictures = write_pictures(folder / "val")
    return Bench(folder=folder, images=image_set(pictures))


@pytest.fixture(scope="module")
def plain(bench: Bench) -> Bench:
    """The same pictures without labels: a detector's labels are boxes."""
    items = tuple(msgspec.structs.replace(item, label=None) for item in bench.images.items)
    return Bench(folder=bench.folder, images=ImageSet(split="all", items=items))


def wrong_input(**changes: object) -> ImageInput:
    return msgspec.structs.replace(colour_input(), **changes)


def pillow_letterbox() -> ImageInput:
    geometry = tuple(
        msgspec.structs.replace(op, filter="pillow.bilinear") if isinstance(op, Resize) else op
        for op in colour_input().geometry
    )
    return wrong_input(geometry=geometry)


PIXEL_FAULTS: dict[str, ImageInput] = {
    "bgr": wrong_input(channels="bgr"),
    "minus-one-to-one": wrong_input(scale=1 / 127.5, mean=(1.0,) * 3),
    "pillow-filter": pillow_letterbox(),
    "stretch": wrong_input(geometry=(Resize(to="stretch", size=SIZE),)),
}


def corrupt_one_weight(model: ModelProto) -> None:
    """One number of the dense layer's matrix is off, as after a flipped bit."""
    tensor = next(t for t in model.graph.initializer if t.name == "dense")
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] += 4.0
    tensor.CopyFrom(numpy_helper.from_array(values, "dense"))


def roll_classes(model: ModelProto) -> None:
    """The file's classes stand one place further than the labels."""
    for tensor in model.graph.initializer:
        if tensor.name in {"dense", "bias"}:
            rolled = np.roll(numpy_helper.to_array(tensor), 1, axis=-1)
            tensor.CopyFrom(numpy_helper.from_array(rolled, tensor.name))


def test_without_a_fault_nothing_fails(bench: Bench, plain: Bench) -> None:
    assert bench.failed(bench.colours(), bench.colours(), colour_contract()) == set()
    assert plain.failed(plain.cells(), plain.cells(), detect_contract()) == set()
    found = [len(one.app.boxes) for one in plain.cells() if isinstance(one.app, Detections)]
    assert min(found) >= 1


@pytest.mark.parametrize("fault", PIXEL_FAULTS)
def test_wrong_pixels_are_measured(bench: Bench, fault: str) -> None:
    candidate = bench.colours(colour_contract(PIXEL_FAULTS[fault]))
    names = bench.failed(bench.colours(), candidate, colour_contract())
    assert {"max_abs", "snr_db"} <= names
    if fault == "bgr":
        assert "top1_agreement" in names


def test_one_corrupted_weight_is_measured(bench: Bench) -> None:
    candidate = bench.colours(edit=corrupt_one_weight)
    assert {"max_abs", "snr_db"} <= bench.failed(bench.colours(), candidate, colour_contract())


def test_classes_one_place_further_in_the_file_are_measured(bench: Bench) -> None:
    candidate = bench.colours(edit=roll_classes)
    names = bench.failed(bench.colours(), candidate, colour_contract())
    assert {"top1_agreement", "top1_drop", "max_abs"} <= names


def test_swapped_outputs_are_measured(plain: Bench) -> None:
    candidate = plain.cells(order=("scores", "boxes"))
    names = plain.failed(plain.cells(), candidate, detect_contract())
    assert "box_agreement" in names


def test_another_nms_threshold_is_measured(plain: Bench) -> None:
    """Only what is left of the boxes differs: the outputs are the same to the last bit."""
    candidate = plain.cells(detect_contract(iou=0.05))
    names = plain.failed(plain.cells(), candidate, detect_contract())
    assert "box_agreement" in names
    assert "max_abs" not in names


@pytest.mark.parametrize("shift", [-1, 1])
def test_labels_one_place_off_fail_the_capture_gate(bench: Bench, shift: int) -> None:
    """Baseline and artifacts agree with each other: only the labelled pictures can tell."""
    order = np.roll(np.array(LABELS), shift)
    shifted = colour_contract(labels=tuple(str(label) for label in order))
    assert failing(gate(bench, colour_contract())) == set()
    assert failing(gate(bench, shifted)) == {"label_order"}


def gate(bench: Bench, contract: Contract) -> tuple[Check, ...]:
    images = load_images(
        bench.folder / "val",
        contract_labels=contract.labels,
        task="classify",
        class_index=contract.class_index,
    )
    found = bench.colours(contract)
    return hub_equivalence(found, found, images=images, contract=contract)


@dataclass(frozen=True, kw_only=True, slots=True)
class Golden:
    """Golden vectors of one model."""

    folder: Path
    model: Path
    artifact: Artifact
    contract: Contract

    def check(
        self,
        contract: Contract | None = None,
        *,
        model: Path | None = None,
        artifact: Artifact | None = None,
    ) -> tuple[Check, ...]:
        pairs = [(artifact or self.artifact, model or self.model)]
        return check_golden(self.folder, contract or self.contract, pairs, open_onnx)

    def check_as(self, contract: Contract) -> tuple[Check, ...]:
        """With a preprocessing or decode of another contract that claims to be the right one."""
        path = self.folder / INDEX
        whole = path.read_bytes()
        index = parse(whole, GoldenIndex, what=INDEX)
        path.write_bytes(pretty_bytes(msgspec.structs.replace(index, contract=contract.sha256)))
        try:
            return self.check(contract)
        finally:
            path.write_bytes(whole)


def open_onnx(_: Artifact, path: Path) -> Session:
    return OnnxRuntime().open(path)


def make(folder: Path, model: ModelProto, contract: Contract, binding: Binding) -> Golden:
    path = folder / "model.onnx"
    onnx.save(model, path)
    artifact = Artifact(
        id="onnx-float32",
        format="onnx",
        requested="float32",
        precision="float32",
        path="artifacts/model.onnx",
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        binding=binding,
        lineage=Lineage(parent="a1" * 32, step="made here"),
    )
    make_golden(folder / "golden", contract, [(artifact, path)], open_onnx)
    return Golden(folder=folder / "golden", model=path, artifact=artifact, contract=contract)


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    contract = colour_contract()
    folder = tmp_path_factory.mktemp("golden-classify")
    return make(folder, colour_classifier(), contract, colour_binding(contract))


@pytest.fixture(scope="module")
def golden_cells(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    contract = detect_contract()
    folder = tmp_path_factory.mktemp("golden-detect")
    return make(folder, colour_detector(), contract, detect_binding(contract))


def test_golden_vectors_come_again(golden: Golden, golden_cells: Golden) -> None:
    for one in (golden, golden_cells):
        checks = one.check()
        assert {check.name for check in checks} >= {
            "golden_pixels",
            "golden_outputs",
            "golden_results",
        }
        assert failing(checks) == set()
        assert failing(one.check_as(one.contract)) == set()


@pytest.mark.parametrize("fault", PIXEL_FAULTS)
def test_wrong_pixels_fail_the_golden_vectors(golden: Golden, fault: str) -> None:
    names = failing(golden.check_as(colour_contract(PIXEL_FAULTS[fault])))
    assert {"golden_pixels", "golden_outputs"} <= names


def test_one_corrupted_weight_fails_the_golden_vectors(golden: Golden, tmp_path: Path) -> None:
    model = colour_classifier()
    corrupt_one_weight(model)
    onnx.save(model, tmp_path / "net.onnx")
    names = failing(golden.check(model=tmp_path / "net.onnx"))
    assert names == {"golden_outputs", "golden_results"}


def test_classes_one_place_further_fail_the_golden_vectors(golden: Golden, tmp_path: Path) -> None:
    model = colour_classifier()
    roll_classes(model)
    onnx.save(model, tmp_path / "net.onnx")
    assert "golden_results" in failing(golden.check(model=tmp_path / "net.onnx"))


def test_swapped_outputs_fail_the_golden_results(golden_cells: Golden) -> None:
    binding = detect_binding(golden_cells.contract, ("scores", "boxes"))
    swapped = msgspec.structs.replace(golden_cells.artifact, binding=binding)
    assert "golden_results" in failing(golden_cells.check(artifact=swapped))


def test_another_nms_threshold_fails_the_golden_results(golden_cells: Golden) -> None:
    names = failing(golden_cells.check_as(detect_contract(iou=0.05)))
    assert names == {"golden_results"}


def test_labels_one_place_off_are_another_contract(golden: Golden) -> None:
    """An app that reads a shifted label list reads a contract the bundle does not know."""
    shifted = colour_contract(labels=(*LABELS[1:], LABELS[0]))
    with pytest.raises(VerificationFailed, match="another contract"):
        golden.check(shifted)
