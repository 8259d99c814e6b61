"""What we say XNNPACK takes, against what it takes here, operator by operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from phoneproof.formats.delegates.cost import Delegation, xnnpack_delegation
from phoneproof.formats.tflite import TfliteGraph, parse_tflite, read_tflite
from tests.assets import asset
from tests.integration.tflite_cases import Case
from tests.integration.tflite_files import TfliteFile
from tests.integration.tflite_number_cases import binaries, choices, reductions, unaries
from tests.integration.tflite_shape_cases import moves, slices
from tests.integration.tflite_window_cases import products, resizes, windows

FILES = (
    "classify/cifar10_resnet8_float.tflite",
    "classify/cifar10_resnet8_int8.tflite",
    "classify/mobilenet_v1_0.25_128_quant.tflite",
    "classify/mobilenet_v2_1.0_224_quant.tflite",
    "detect/yolov8n_full_integer_quant.tflite",
    "detect/yolov8n_int8.tflite",
    "detect/yolox_nano_mask3_float16.tflite",
    "detect/yolox_nano_mask3_int8.tflite",
    "pose/cpm_model.tflite",
    "segment/deeplabv3_mnv2_dm05_pascal_quant.tflite",
)


def delegated(path: Path, graph: TfliteGraph) -> tuple[list[set[int]], set[int]]:
    """The operators of each piece that the interpreter gave to XNNPACK, and all of them."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    pieces = [
        _inside(graph, set(map(int, node["inputs"])), [int(i) for i in node["outputs"]])
        for node in interpreter._get_ops_details()
        if node["op_name"] == "DELEGATE"
    ]
    return pieces, set().union(*pieces)


def _inside(graph: TfliteGraph, inputs: set[int], outputs: list[int]) -> set[int]:
    """Operators between a piece's inputs and its outputs."""
    maker = {tensor: at for at, op in enumerate(graph.ops) for tensor in op.outputs}
    found: set[int] = set()
    waiting = list(outputs)
    while waiting:
        tensor = waiting.pop()
        at = maker.get(tensor)
        if tensor in inputs or at is None or at in found:
            continue
        found.add(at)
        waiting.extend(graph.ops[at].inputs)
    return found


def said(found: Delegation) -> set[int]:
    return {at for at, mine in enumerate(found.taken) if mine}


@pytest.mark.parametrize("name", FILES)
def test_real_files(name: str) -> None:
    path = asset(f"models/{name}")
    graph = read_tflite(path)
    found = xnnpack_delegation(graph)
    pieces, real = delegated(path, graph)
    assert said(found) == real
    left = len(graph.ops) - len(real)
    assert len(pieces) <= found.pieces <= len(pieces) + max(left, 0) + 1


def two_sided(tmp_path: Path, refused: bool) -> Path:
    """SLICE then ABS; the slice's size is -1 where it is to be refused."""
    file = TfliteFile()
    x = file.add((1, 4), name="x")
    begin = file.const(np.zeros(2, np.int32))
    sizes = file.const(np.asarray([1, -1 if refused else 4], np.int32))
    cut = file.node("SLICE", (x, begin, sizes), (1, 4), options=schema.SliceOptionsT())
    out = file.node("ABS", (cut,), (1, 4), options=schema.AbsOptionsT())
    path = tmp_path / "slice.tflite"
    path.write_bytes(file.pack((x,), (out,)))
    return path


@pytest.mark.parametrize("refused", [True, False])
def test_a_slice_to_the_end_is_what_decides(tmp_path: Path, refused: bool) -> None:
    path = two_sided(tmp_path, refused)
    graph = read_tflite(path)
    real = delegated(path, graph)[1]
    assert said(xnnpack_delegation(graph)) == real
    assert (0 in real) is not refused


def _alone(case: Case) -> TfliteGraph:
    file = TfliteFile()
    x = file.add(case.shape)
    return parse_tflite(file.pack([x], case.make(file, x)), case.name)


def _unlike() -> list[Case]:
    """Of all cases of one operator, those that the rules treat differently."""
    groups = windows, binaries, unaries, choices, reductions, resizes, moves, slices, products
    first: dict[tuple[str, tuple[str, ...]], Case] = {}
    for case in (case for group in groups for case in group()):
        first.setdefault((case.op, xnnpack_delegation(_alone(case)).reasons), case)
    return list(first.values())


def test_single_operators(tmp_path: Path) -> None:
    wrong, answers = [], set()
    for case in _unlike():
        path = tmp_path / "one.tflite"
        file = TfliteFile()
        x = file.add(case.shape)
        path.write_bytes(file.pack([x], case.make(file, x)))
        graph = read_tflite(path)
        found = xnnpack_delegation(graph)
        real = delegated(path, graph)[1]
        answers |= {found.taken[at] for at in range(len(graph.ops))}
        if said(found) != real:
            wrong.append(case.name)
    assert wrong == []
    assert answers == {True, False}
