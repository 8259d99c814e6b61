"""A little SSD model as TensorFlow's object detection API writes them."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

from tests.integration.tflite_files import Node, TfliteFile

SIDE, CELLS, CLASSES = 16, 8, 3
NAMES = ("boxes", "scores")


def options(*, regular: bool, confidence: float = 0.55, iou: float = 0.5) -> bytes:
    """The operator's flexbuffer."""
    builder = flexbuffers.Builder()
    with builder.Map():
        for axis, scale in zip("yxhw", (10.0, 8.0, 5.0, 4.0), strict=True):
            builder.Float(f"{axis}_scale", scale)
        builder.Int("num_classes", CLASSES)
        builder.Int("max_detections", 20)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("detections_per_class", 20)
        builder.Bool("use_regular_nms", regular)
        builder.Float("nms_score_threshold", confidence)
        builder.Float("nms_iou_threshold", iou)
    return bytes(builder.Finish())


def ssd_file(custom_options: bytes) -> bytes:
    """Two heads on an 8 x 8 grid of one anchor a cell, then TFLite_Detection_PostProcess."""
    rng = np.random.default_rng(5)
    file = TfliteFile()
    image = file.add((1, SIDE, SIDE, 3), name="image")
    conv = schema.Conv2DOptionsT(padding=0, strideW=2, strideH=2)
    conv.dilationWFactor = conv.dilationHFactor = 1
    heads = []
    for width in (4, CLASSES + 1):
        weights = file.const(rng.normal(0, 0.6, (width, 3, 3, 3)).astype(np.float32))
        bias = file.const(np.zeros(width, np.float32))
        made = file.node("CONV_2D", [image, weights, bias], (1, CELLS, CELLS, width), options=conv)
        shape = (1, CELLS * CELLS, width)
        heads.append(file.node("RESHAPE", [made, file.const(np.array(shape, np.int32))], shape))
    scores = file.node("LOGISTIC", [heads[1]], (1, CELLS * CELLS, CLASSES + 1))
    for index, name in zip((heads[0], scores), NAMES, strict=True):
        file.tensors[index].name = name
    grid = (np.argwhere(np.ones((CELLS, CELLS))) + 0.5) / CELLS
    sides = np.tile([0.3, 0.2], (CELLS * CELLS, 1))
    anchors = file.const(np.hstack([grid, sides]).astype(np.float32))
    outputs = tuple(file.add(()) for _ in range(4))
    file.nodes.append(
        Node(
            op="TFLite_Detection_PostProcess",
            inputs=(heads[0], scores, anchors),
            outputs=outputs,
            custom_options=custom_options,
        )
    )
    return file.pack([image], outputs)
