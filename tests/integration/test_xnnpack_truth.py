"""What we say XNNPACK takes, against what it takes here, operator by operator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from phoneproof.formats.delegates.cost import Delegation, xnnpack_delegation
from phoneproof.formats.tflite import TfliteGraph, parse_tflite, read_tflite
from phoneproof.runtimes.backends.litert import LiteRtRuntime
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


def _enlarged(tmp_path: Path) -> tuple[Path, Path]:
    """Enlarging by 2 as the one operator, and as the rewrite that is advised."""
    high, wide, deep = 3, 5, 4
    plain = TfliteFile()
    x = plain.add((1, high, wide, deep), name="x")
    size = plain.const(np.asarray([2 * high, 2 * wide], np.int32))
    options = schema.ResizeNearestNeighborOptionsT()
    y = plain.node(
        "RESIZE_NEAREST_NEIGHBOR", (x, size), (1, 2 * high, 2 * wide, deep), options=options
    )
    other = TfliteFile()
    z = first = other.add((1, high, wide, deep), name="x")
    for shape in ((1, high, wide, 2 * deep), (1, high, 1, 4 * wide * deep)):
        joined = schema.ConcatenationOptionsT(axis=3)
        z = other.node("CONCATENATION", (z, z), shape, options=joined)
        after = (1, high, 1, 2 * wide * deep) if shape[2] > 1 else (1, 2 * high, 2 * wide, deep)
        z = other.node("RESHAPE", (z, other.const(np.asarray(after, np.int32))), after)
    paths = tmp_path / "plain.tflite", tmp_path / "other.tflite"
    paths[0].write_bytes(plain.pack((x,), (y,)))
    paths[1].write_bytes(other.pack((first,), (z,)))
    return paths


def test_the_advised_enlarging_gives_the_same_values_and_is_taken(tmp_path: Path) -> None:
    plain, other = _enlarged(tmp_path)
    image = np.random.default_rng(3).normal(size=(1, 3, 5, 4)).astype(np.float32)
    values = []
    for path in (plain, other):
        session = LiteRtRuntime().open(path, threads=1)
        values.append(next(iter(session.run({"x": image}).values())))
    assert np.array_equal(values[0], values[1])
    assert delegated(plain, read_tflite(plain))[1] == set()
    assert delegated(other, read_tflite(other))[1] == {0, 1, 2, 3}
    assert all(xnnpack_delegation(read_tflite(other)).taken)


@pytest.mark.parametrize("op", ["MEAN", "AVERAGE_POOL_2D"])
def test_an_int8_mean_is_taken_and_an_int8_average_pool_is_not(tmp_path: Path, op: str) -> None:
    file = TfliteFile()
    x = file.add((1, 4, 4, 8), "int8", quant=(0.1, 0), name="x")
    inputs, options = [x], schema.Pool2DOptionsT(filterWidth=4, filterHeight=4)
    if op == "MEAN":
        inputs.append(file.const(np.asarray([1, 2], np.int32)))
        options = schema.ReducerOptionsT(keepDims=True)
    else:
        options.strideW = options.strideH = options.padding = 1
    y = file.node(op, inputs, (1, 1, 1, 8), "int8", options=options, quant=(0.1, 0))
    path = tmp_path / "mean.tflite"
    path.write_bytes(file.pack((x,), (y,)))
    graph = read_tflite(path)
    real = delegated(path, graph)[1]
    assert said(xnnpack_delegation(graph)) == real
    assert (real == {0}) is (op == "MEAN")
