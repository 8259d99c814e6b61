"""The floor of verification: the same images through the same model, with nothing kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, Decode, Nms
from phoneproof.core.dataset import ImageItem
from phoneproof.core.presets import preset_input
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.predict import Predictor

SIDE = 640


def bare_loop(model: Path, images: Sequence[Path]) -> None:
    """Decode, letterbox, scale and invoke, as short as it can be written."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(model), options)
    name = session.get_inputs()[0].name
    for path in images:
        bgr = cv2.imread(str(path))
        assert bgr is not None, path
        height, width = bgr.shape[:2]
        gain = min(SIDE / height, SIDE / width)
        resized = cv2.resize(bgr, (round(width * gain), round(height * gain)))
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        canvas[: resized.shape[0], : resized.shape[1]] = resized
        tensor = canvas[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
        session.run(None, {name: tensor})


def verification_loop(model: Path, images: Sequence[Path]) -> None:
    """What the pipeline does with an artifact: exact pixels, invoke, decode for app and mAP."""
    contract = Contract(
        name="benchmark",
        task="detect",
        inputs=(preset_input("ultralytics.detect", (SIDE, SIDE)),),
        labels=tuple(f"class {k}" for k in range(80)),
        decode=Decode(nms=Nms(iou=0.7)),
    )
    shape = (1, 84, 8400)
    box = Box(format="cxcywh", units="pixels")
    binding = Binding(
        contract=contract.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="images", shape=(1, 3, SIDE, SIDE), layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="output0",
                role="boxes",
                shape=shape,
                axes=("coord", "anchor"),
                slice=(0, 4),
                box=box,
            ),
            OutputBinding(
                tensor="output0",
                role="scores",
                shape=shape,
                axes=("class", "anchor"),
                slice=(4, 84),
            ),
        ),
    )
    items = [ImageItem(name=path.name, path=path, sha256=file_sha256(path)) for path in images]
    predictor = Predictor(RUNTIMES.load("onnx").open(model), contract, binding)
    for _ in predictor.predict_items(items, with_metric=True):
        pass
