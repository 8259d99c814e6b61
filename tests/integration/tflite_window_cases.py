"""Convolutions, pools, resizes and matrix products to be compared with LiteRT."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema

from tests.integration.tflite_cases import (
    SAME,
    VALID,
    Case,
    Make,
    ints,
    one,
    weights,
)
from tests.integration.tflite_files import TfliteFile


def conv(kernel: int, stride: int, padding: int, dilation: int, activation: int) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.Conv2DOptionsT(
            padding=padding,
            strideW=stride,
            strideH=stride,
            fusedActivationFunction=activation,
            dilationWFactor=dilation,
            dilationHFactor=dilation,
        )
        inputs = [x, file.const(weights(5, kernel, kernel, 4)), file.const(weights(5))]
        return [file.node("CONV_2D", inputs, options=options)]

    return make


def _depthwise(kernel: tuple[int, int], stride: int, padding: int, times: int) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.DepthwiseConv2DOptionsT(
            padding=padding, strideW=stride, strideH=stride, depthMultiplier=times
        )
        options.dilationHFactor = options.dilationWFactor = 1
        kernels = file.const(weights(1, *kernel, 4 * times))
        bias = file.const(weights(4 * times))
        return [file.node("DEPTHWISE_CONV_2D", [x, kernels, bias], options=options)]

    return make


def _transpose_conv(kernel: int, stride: int, padding: int, out: tuple[int, int]) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.TransposeConvOptionsT(padding=padding, strideW=stride, strideH=stride)
        sides = file.const(ints(1, *out, 3))
        kernels = file.const(weights(3, kernel, kernel, 4))
        return [file.node("TRANSPOSE_CONV", [sides, kernels, x], options=options)]

    return make


def _pool(op: str, kernel: int, stride: int, padding: int) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.Pool2DOptionsT(
            padding=padding,
            strideW=stride,
            strideH=stride,
            filterWidth=kernel,
            filterHeight=kernel,
        )
        return [file.node(op, [x], options=options)]

    return make


def windows() -> list[Case]:
    cases = [
        Case(
            name=f"conv_{k}_{s}_{p}_{d}_{a}",
            op="CONV_2D",
            make=conv(k, s, p, d, a),
        )
        for k, s, p, d, a in (
            (1, 1, SAME, 1, 0),
            (3, 1, SAME, 1, 1),
            (3, 2, SAME, 1, 3),
            (2, 2, SAME, 1, 2),
            (5, 3, VALID, 1, 0),
            (3, 1, SAME, 2, 0),
            (3, 1, VALID, 3, 0),
            (1, 3, SAME, 1, 0),
        )
    ]
    cases += [
        Case(name=f"depthwise_{k}_{s}_{p}_{m}", op="DEPTHWISE_CONV_2D", make=_depthwise(k, s, p, m))
        for k, s, p, m in (
            ((3, 3), 1, SAME, 1),
            ((3, 3), 2, SAME, 2),
            ((5, 3), 1, VALID, 1),
            ((2, 2), 1, SAME, 3),
        )
    ]
    cases += [
        Case(
            name=f"transposed_{k}_{s}_{p}_{o}",
            op="TRANSPOSE_CONV",
            make=_transpose_conv(k, s, p, o),
        )
        for k, s, p, o in (
            (2, 2, SAME, (18, 14)),
            (4, 2, SAME, (18, 14)),
            (3, 2, SAME, (18, 14)),
            (3, 2, SAME, (17, 13)),
            (3, 2, VALID, (19, 15)),
            (1, 2, SAME, (18, 14)),
        )
    ]
    cases += [
        Case(name=f"{op.lower()}_{k}_{s}_{p}", op=op, make=_pool(op, k, s, p))
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
        for k, s, p in (
            (2, 2, VALID),
            (3, 1, SAME),
            (3, 2, SAME),
            (2, 2, SAME),
            (7, 3, SAME),
            (2, 1, SAME),
        )
    ]
    return [*cases, Case(name="l2_pool", op="L2_POOL_2D", make=_pool("L2_POOL_2D", 2, 2, VALID))]


def resizes() -> list[Case]:
    cases = []
    sizes = {"twice": (18, 14), "odd": (13, 20), "smaller": (4, 5), "third": (3, 7), "one": (1, 1)}
    modes = {"legacy": (False, False), "half": (False, True), "corners": (True, False)}
    for (kind, size), (mode, flags) in itertools.product(sizes.items(), modes.items()):
        for op, options in (
            ("RESIZE_BILINEAR", schema.ResizeBilinearOptionsT(*flags)),
            ("RESIZE_NEAREST_NEIGHBOR", schema.ResizeNearestNeighborOptionsT(*flags)),
        ):
            make = one(op, options, [ints(*size)])
            cases.append(Case(name=f"{op.lower()}_{kind}_{mode}", op=op, make=make))
    from_pixel = one("RESIZE_BILINEAR", schema.ResizeBilinearOptionsT(), [ints(5, 6)])
    pixel = Case(name="bilinear_pixel", op="RESIZE_BILINEAR", make=from_pixel, shape=(1, 1, 1, 4))
    return [*cases, pixel]


def _dense(keep: bool) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        options = schema.FullyConnectedOptionsT(fusedActivationFunction=1, keepNumDims=keep)
        width = 4 if keep else 28
        inputs = [x, file.const(weights(6, width)), file.const(weights(6))]
        return [file.node("FULLY_CONNECTED", inputs, options=options)]

    return make


def _matmul(x_back: bool, y_back: bool) -> Make:
    def make(file: TfliteFile, x: int) -> Sequence[int]:
        inner = 7 if x_back else 4
        other = file.const(
            weights(*((9, 3, inner) if y_back else (9, inner, 3))).reshape(
                1, 9, *((3, inner) if y_back else (inner, 3))
            )
        )
        options = schema.BatchMatMulOptionsT(adjX=x_back, adjY=y_back)
        return [file.node("BATCH_MATMUL", [x, other], options=options)]

    return make


def products() -> list[Case]:
    cases = [Case(name=f"dense_{k}", op="FULLY_CONNECTED", make=_dense(k)) for k in (True, False)]
    return cases + [
        Case(name=f"matmul_{a}_{b}", op="BATCH_MATMUL", make=_matmul(a, b))
        for a, b in itertools.product((False, True), repeat=2)
    ]
