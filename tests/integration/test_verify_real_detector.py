"""Planted faults on a real detector and real photographs, each caught by a named check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Pad, Resize
from phoneproof.core.dataset import ImageItem, ImageSet, LabelledBox
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from phoneproof.runtimes.predict import Prediction, Predictor
from phoneproof.verify.limits import limits_for
from phoneproof.verify.measure import hub_equivalence, measure
from phoneproof.verify.verdicts import accepted
from tests.assets import asset

IMAGES = 8
SIZE = (640, 640)
LETTERBOX = (Resize(to="contain", size=SIZE), Pad(size=SIZE))
PILLOW_LETTERBOX = (
    Resize(to="contain", size=SIZE, filter="pillow.bilinear"),
    Pad(size=SIZE),
)


def contract_with(*, nms_iou: float = 0.45, **changes: object) -> Contract:
    image = ImageInput(
        geometry=LETTERBOX, size=SIZE, scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    return Contract(
        name="yolov8n",
        task="detect",
        inputs=(msgspec.structs.replace(image, **changes),),
        labels=tuple(f"class {i}" for i in range(80)),
        decode=Decode(confidence=0.25, nms=Nms(iou=nms_iou)),
    )


CONTRACT = contract_with()


def predictions(contract: Contract, images: ImageSet) -> list[Prediction]:
    shape = (1, 84, 8400)
    binding = Binding(
        contract=contract.sha256,
        format="onnx",
        inputs=(InputBinding(tensor="images", shape=(1, 3, *SIZE), layout="NCHW"),),
        outputs=(
            OutputBinding(
                tensor="output0",
                role="boxes",
                shape=shape,
                axes=("coord", "anchor"),
                slice=(0, 4),
                box=Box(format="cxcywh"),
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
    session = OnnxRuntime().open(asset("models/detect/yolov8n_coco_rebuilt.onnx"))
    predictor = Predictor(session, contract, binding)
    return list(predictor.predict_items(images.items, keep_roles=2, with_metric=True))


def labelled_boxes(path: Path) -> Iterator[LabelledBox]:
    for line in path.read_text().splitlines():
        label, x, y, w, h = (float(word) for word in line.split())
        yield LabelledBox(label=int(label), xyxy=(x - w / 2, y - h / 2, x + w / 2, y + h / 2))


@pytest.fixture(scope="module")
def images() -> ImageSet:
    folder = asset("images/coco128_train")
    items: list[ImageItem] = []
    for path in sorted((folder / "images").glob("*.jpg")):
        text = folder / "labels" / f"{path.stem}.txt"
        if text.exists() and len(items) < IMAGES:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            boxes = tuple(labelled_boxes(text))
            items.append(ImageItem(name=path.name, path=path, sha256=digest, boxes=boxes))
    return ImageSet(split="all", items=tuple(items))


@pytest.fixture(scope="module")
def baseline(images: ImageSet) -> list[Prediction]:
    return predictions(CONTRACT, images)


def compare(
    images: ImageSet, baseline: list[Prediction], candidate: list[Prediction]
) -> tuple[Check, ...]:
    return measure(
        baseline=baseline,
        candidate=candidate,
        images=images,
        contract=CONTRACT,
        precision="float32",
        limits=limits_for("float32"),
        runtime="onnxruntime",
        device="cpu",
    ).checks


def test_the_same_model_passes(images: ImageSet, baseline: list[Prediction]) -> None:
    checks = compare(images, baseline, baseline)
    figures = {check.name: check.value for check in checks}
    assert (figures["map50"] or 0) > 0.5
    assert figures["box_agreement"] == 1
    assert figures["map50_95_drop"] == 0
    assert accepted(checks, limits_for("float32"))


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (contract_with(channels="bgr"), "box_agreement"),
        (contract_with(scale=1 / 127.5, mean=(1.0, 1.0, 1.0)), "box_agreement"),
        (contract_with(geometry=(Resize(to="stretch", size=SIZE),)), "box_agreement"),
        # COCO's pictures are 640 wide: few are resized at all, so boxes alone would not tell.
        (contract_with(geometry=PILLOW_LETTERBOX), "max_abs"),
        (contract_with(nms_iou=0.8), "box_agreement"),
    ],
    ids=["bgr", "minus-one-to-one", "stretch", "filter", "nms"],
)
def test_a_planted_fault_is_refused(
    images: ImageSet, baseline: list[Prediction], fault: Contract, seen: str
) -> None:
    checks = compare(images, baseline, predictions(fault, images))
    assert seen in {check.name for check in checks if check.gating and check.verdict == "fail"}
    assert not accepted(checks, limits_for("float32"))


@pytest.mark.parametrize("shift", [-1, 0, 1])
def test_labels_one_place_off_are_refused_at_the_gate(
    images: ImageSet, baseline: list[Prediction], shift: int
) -> None:
    """No comparison of models can see it: both name every class alike."""
    items = tuple(
        msgspec.structs.replace(
            item,
            boxes=tuple(
                msgspec.structs.replace(box, label=(box.label + shift) % 80)
                for box in item.boxes or ()
            ),
        )
        for item in images.items
    )
    moved = ImageSet(split="all", items=items)
    checks = hub_equivalence(baseline, baseline, images=moved, contract=CONTRACT)
    failed = [check.name for check in checks if check.verdict == "fail"]
    assert failed == (["label_order"] if shift else [])
