"""Which detectors can end in Core ML's suppression, and why the others cannot."""

from __future__ import annotations

import msgspec
import pytest

from phoneproof.convert.nms_pipeline import require_pipeline, why_no_pipeline
from phoneproof.core.binding import Binding, Box, GridAnchors, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms
from phoneproof.core.errors import Unsupported

CONTRACT = Contract(
    name="squares",
    task="detect",
    inputs=(
        ImageInput(
            geometry=(), size=(64, 64), scale=1 / 255, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)
        ),
    ),
    labels=("red", "blue"),
    decode=Decode(nms=Nms()),
)
BOXES = OutputBinding(
    tensor="boxes", role="boxes", shape=(1, 4, 16), axes=("coord", "anchor"), box=Box(format="xyxy")
)
SCORES = OutputBinding(tensor="scores", role="scores", shape=(1, 2, 16), axes=("class", "anchor"))
BINDING = Binding(
    contract=CONTRACT.sha256,
    format="hub",
    inputs=(InputBinding(tensor="image", shape=(1, 3, 64, 64), layout="NCHW"),),
    outputs=(BOXES, SCORES),
)


def changed(output: OutputBinding, **what: object) -> Binding:
    new = msgspec.structs.replace(output, **what)
    outputs = tuple(new if one == output else one for one in (BOXES, SCORES))
    return msgspec.structs.replace(BINDING, outputs=outputs)


def test_decoded_boxes_and_scores_can() -> None:
    assert why_no_pipeline(CONTRACT, BINDING) == ""
    require_pipeline(CONTRACT, BINDING)
    assert why_no_pipeline(CONTRACT, changed(SCORES, activation="sigmoid")) == ""


@pytest.mark.parametrize(
    ("contract", "word"),
    [
        (msgspec.structs.replace(CONTRACT, task="raw", decode=None), "task is raw"),
        (msgspec.structs.replace(CONTRACT, decode=Decode()), "final"),
        (
            msgspec.structs.replace(CONTRACT, decode=Decode(multi_label=True, nms=Nms())),
            "one class",
        ),
        (msgspec.structs.replace(CONTRACT, labels=("red", None)), "without a label"),
        (msgspec.structs.replace(CONTRACT, labels=()), "without a label"),
    ],
)
def test_a_contract_that_cannot_says_why(contract: Contract, word: str) -> None:
    with pytest.raises(Unsupported) as caught:
        require_pipeline(contract, BINDING)
    assert word in caught.value.found


@pytest.mark.parametrize(
    ("binding", "word"),
    [
        (msgspec.structs.replace(BINDING, nms_in_file=True), "final"),
        (msgspec.structs.replace(BINDING, batch=4), "batch is 4"),
        (msgspec.structs.replace(BINDING, outputs=(BOXES,)), "gives boxes"),
        (changed(BOXES, role="dfl"), "gives dfl, scores"),
        (msgspec.structs.replace(BINDING, anchors=GridAnchors(strides=(8,))), "grid"),
        (changed(BOXES, box=Box(format="ltrb")), "decode of its boxes"),
        (changed(BOXES, box=None), "decode of its boxes"),
        (changed(SCORES, activation="softmax"), "softmax"),
        (changed(SCORES, packed=3), "packed"),
    ],
)
def test_a_binding_that_cannot_says_why(binding: Binding, word: str) -> None:
    assert word in why_no_pipeline(CONTRACT, binding)
