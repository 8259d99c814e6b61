"""Reshapes, joins, slices and borders to be compared with LiteRT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.integration.tflite_cases import (
    IMAGE,
    VALID,
    Array,
    Case,
    Make,
    ints,
    one,
    weights,
)
from tests.integration.tflite_files import Node, TfliteFile
from tests.integration.tflite_window_cases import conv


def _split(file: TfliteFile, x: int) -> Sequence[int]:
    parts = (file.add(()), file.add(()))
    axis = file.const(np.array(3, np.int32))
    options = schema.SplitOptionsT(2)
    file.nodes.append(Node(op="SPLIT", inputs=(axis, x), outputs=parts, options=options))
    return parts


def _split_v(file: TfliteFile, x: int) -> Sequence[int]:
    parts = (file.add(()), file.add(()), file.add(()))
    inputs = (x, file.const(ints(2, 4, 3)), file.const(np.array(1, np.int32)))
    options = schema.SplitVOptionsT(3)
    file.nodes.append(Node(op="SPLIT_V", inputs=inputs, outputs=parts, options=options))
    return parts


def _unpack(file: TfliteFile, x: int) -> Sequence[int]:
    parts = tuple(file.add(()) for _ in range(7))
    options = schema.UnpackOptionsT(7, 2)
    file.nodes.append(Node(op="UNPACK", inputs=(x,), outputs=parts, options=options))
    return parts


def _concat(axis: int) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.ConcatenationOptionsT(axis, 0)
        other = file.const(weights(*IMAGE))
        return [file.node("CONCATENATION", [x, other, x], options=options)]

    return make


def _pack(file: TfliteFile, x: int) -> Sequence[int]:
    return [file.node("PACK", [x, file.const(weights(*IMAGE))], options=schema.PackOptionsT(2, 3))]


def _there_and_back(file: TfliteFile, x: int) -> Sequence[int]:
    """NHWC -> NCHW, arithmetic there, and back: what ONNX files leave."""
    first = file.node("TRANSPOSE", [x, file.const(ints(0, 3, 1, 2))])
    added = file.node("ADD", [first, file.const(weights(1, 4, 1, 1))], options=schema.AddOptionsT())
    return [file.node("TRANSPOSE", [added, file.const(ints(0, 2, 3, 1))])]


def _shape_of(file: TfliteFile, x: int) -> Sequence[int]:
    """The shape is read, cut and joined, as exporters flatten: a constant here."""
    sides = file.node("SHAPE", [x], (4,), "int32", options=schema.ShapeOptionsT(2))
    bounds = [file.const(ints(n)) for n in (0, 1, 1)]
    batch = file.node(
        "STRIDED_SLICE",
        [sides, *bounds],
        dtype="int32",
        options=schema.StridedSliceOptionsT(shrinkAxisMask=1),
    )
    rest = file.const(np.array(-1, np.int32))
    wanted = file.node("PACK", [batch, rest], (2,), "int32", options=schema.PackOptionsT(2, 0))
    return [file.node("RESHAPE", [x, wanted], (1, 252))]


def _filled(file: TfliteFile, x: int) -> Sequence[int]:
    rank = file.node("RANK", [x], (), "int32", options=schema.RankOptionsT())
    steps = [file.const(np.array(n, np.int32)) for n in (0, 1)]
    places = file.node("RANGE", [steps[0], rank, steps[1]], (4,), "int32")
    as_real = file.node("CAST", [places], (4,), options=schema.CastOptionsT(2, 0))
    value = file.const(np.array(2.0, np.float32))
    twos = file.node("FILL", [file.const(ints(4)), value], (4,), options=schema.FillOptionsT())
    both = file.node("MUL", [as_real, twos], (4,), options=schema.MulOptionsT())
    return [file.node("ADD", [x, both], options=schema.AddOptionsT())]


def moves() -> list[Case]:
    return [
        Case(name="reshape", op="RESHAPE", make=one("RESHAPE", None, [ints(1, -1, 12)])),
        Case(
            name="reshape_option",
            op="RESHAPE",
            make=one("RESHAPE", schema.ReshapeOptionsT(newShape=[7, 36])),
        ),
        Case(
            name="reshape_pixel",
            op="RESHAPE",
            make=one("RESHAPE", None, [ints(1, 4)]),
            shape=(1, 1, 1, 4),
        ),
        Case(
            name="squeeze",
            op="SQUEEZE",
            make=one("SQUEEZE", schema.SqueezeOptionsT([1, 2])),
            shape=(1, 1, 1, 4),
        ),
        Case(name="squeeze_all", op="SQUEEZE", make=one("SQUEEZE", schema.SqueezeOptionsT([]))),
        Case(
            name="expand",
            op="EXPAND_DIMS",
            make=one("EXPAND_DIMS", schema.ExpandDimsOptionsT(), [np.array(1, np.int32)]),
        ),
        Case(name="transpose", op="TRANSPOSE", make=one("TRANSPOSE", None, [ints(0, 2, 1, 3)])),
        Case(name="to_first", op="TRANSPOSE", make=one("TRANSPOSE", None, [ints(0, 3, 1, 2)])),
        Case(name="there_and_back", op="TRANSPOSE", make=_there_and_back),
        *(Case(name=f"concat_{a}", op="CONCATENATION", make=_concat(a)) for a in (1, 2, 3, -1)),
        Case(name="split", op="SPLIT", make=_split),
        Case(name="split_v", op="SPLIT_V", make=_split_v),
        Case(name="pack", op="PACK", make=_pack),
        Case(name="unpack", op="UNPACK", make=_unpack),
        Case(name="tile", op="TILE", make=one("TILE", None, [ints(1, 2, 1, 3)])),
        Case(
            name="broadcast",
            op="BROADCAST_TO",
            make=one("BROADCAST_TO", None, [ints(1, 9, 7, 4)]),
            shape=(1, 1, 7, 4),
        ),
        Case(name="shape", op="SHAPE", make=_shape_of),
        Case(name="fill", op="FILL", make=_filled),
        Case(
            name="depth_to_space",
            op="DEPTH_TO_SPACE",
            make=one("DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT(2)),
        ),
        Case(
            name="depth_to_space_many",
            op="DEPTH_TO_SPACE",
            make=one("DEPTH_TO_SPACE", schema.DepthToSpaceOptionsT(2)),
            shape=(1, 3, 2, 12),
        ),
        Case(
            name="space_to_depth",
            op="SPACE_TO_DEPTH",
            make=one("SPACE_TO_DEPTH", schema.SpaceToDepthOptionsT(2)),
            shape=(1, 6, 4, 4),
        ),
        Case(name="dilated", op="SPACE_TO_BATCH_ND", make=_dilated),
    ]


def _dilated(file: TfliteFile, x: int) -> Sequence[int]:
    """A dilated convolution as TensorFlow 1 writes it."""
    block = file.const(ints(2, 2))
    before = file.const(np.array([[2, 3], [2, 3]], np.int32))
    many = file.node("SPACE_TO_BATCH_ND", [x, block, before])
    (found,) = conv(3, 1, VALID, 1, 1)(file, many)
    after = file.const(np.array([[0, 1], [0, 1]], np.int32))
    return [file.node("BATCH_TO_SPACE_ND", [found, block, after])]


def _strided(begin: Array, end: Array, step: Array, **masks: int) -> Make:
    return one("STRIDED_SLICE", schema.StridedSliceOptionsT(**masks), [begin, end, step])


def slices() -> list[Case]:
    zero, ones = ints(0, 0, 0, 0), ints(1, 1, 1, 1)
    borders = np.array([[0, 0], [1, 2], [3, 0], [0, 0]], np.int32)
    deep = np.array([[0, 0], [0, 0], [1, 1], [2, 1]], np.int32)
    strided = {
        "inside": _strided(ints(0, 1, 2, 0), ints(1, 8, 6, 3), ones),
        "steps": _strided(zero, ints(1, 9, 7, 4), ints(1, 2, 3, 1)),
        "masks": _strided(ints(0, 3, 3, 1), ints(0, 4, 4, 4), ones, beginMask=3, endMask=7),
        "negative": _strided(ints(0, -3, 0, -2), ints(1, -1, 7, 4), ones),
        "backward": _strided(zero, zero, ints(1, -1, -2, 1), beginMask=15, endMask=15),
        "shrink": _strided(ints(0, 2, 0, -1), ints(1, 3, 7, 0), ones, shrinkAxisMask=10),
        "beyond": _strided(zero, ints(9, 99, 5, 99), ones),
        "new": _strided(ints(0, 0, 0), ints(0, 0, 2), ints(1, 1, 1), ellipsisMask=1, newAxisMask=2),
        "few": _strided(ints(0, 2), ints(1, 5), ints(1, 1)),
    }
    gather = schema.GatherOptionsT
    mirror = schema.MirrorPadOptionsT
    return [
        *(Case(name=f"strided_{n}", op="STRIDED_SLICE", make=m) for n, m in strided.items()),
        Case(
            name="slice",
            op="SLICE",
            make=one("SLICE", None, [ints(0, 2, 1, 0), ints(1, 3, -1, 2)]),
        ),
        Case(name="gather", op="GATHER", make=one("GATHER", gather(axis=2), [ints(3, 0, 3)])),
        Case(name="gather_c", op="GATHER", make=one("GATHER", gather(axis=3), [ints(3, 0)])),
        Case(
            name="gather_one",
            op="GATHER",
            make=one("GATHER", gather(axis=1), [np.array(2, np.int32)]),
        ),
        Case(
            name="gather_table",
            op="GATHER",
            make=one("GATHER", gather(axis=1), [ints(0, 1, 2, 8).reshape(2, 2)]),
        ),
        Case(name="reverse", op="REVERSE_V2", make=one("REVERSE_V2", None, [ints(1)])),
        Case(name="pad", op="PAD", make=one("PAD", schema.PadOptionsT(), [borders])),
        Case(name="pad_channels", op="PAD", make=one("PAD", schema.PadOptionsT(), [deep])),
        Case(
            name="padv2", op="PADV2", make=one("PADV2", None, [borders, np.array(1.5, np.float32)])
        ),
        *(
            Case(
                name=f"mirror_{m}_{n}",
                op="MIRROR_PAD",
                make=one("MIRROR_PAD", mirror(mode=m), [b]),
            )
            for m in (0, 1)
            for n, b in (("border", borders), ("deep", deep))
        ),
    ]
