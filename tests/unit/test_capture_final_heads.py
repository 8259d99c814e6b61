"""Contracts of files that pick their own detections."""

from __future__ import annotations

import msgspec
import pytest

from phoneproof.capture.infer import classes_of, hub_binding, infer_contract
from phoneproof.core.binding import Box, OutputBinding
from phoneproof.core.capture import Evidence, Head, Inspection
from phoneproof.core.errors import Unsupported
from tests.unit.inspections import spec


def _inspection(*, names: tuple[str, ...] = ()) -> Inspection:
    shape = (1, 300, 6)
    box = OutputBinding(
        tensor="o",
        role="boxes",
        shape=shape,
        axes=("anchor", "channel"),
        slice=(0, 4),
        box=Box(format="xyxy"),
    )
    scores = msgspec.structs.replace(box, role="scores", slice=(4, 5), box=None)
    classes = msgspec.structs.replace(scores, role="classes", slice=(5, 6))
    return Inspection(
        format="onnx",
        sha256="0" * 64,
        bytes=1,
        inputs=(spec("x", 1, 3, 64, 64),),
        outputs=(spec("o", *shape),),
        layout="NCHW",
        size=(64, 64),
        task="detect",
        head=Head(outputs=(box, scores, classes), nms_in_file=True),
        preset="ultralytics.detect",
        labels=names,
        evidence=Evidence(framework="onnx"),
    )


def test_one_column_of_scores_is_not_one_class() -> None:
    head = _inspection().head
    assert head is not None
    assert classes_of(head) is None


@pytest.mark.parametrize(
    ("names", "found", "labels"),
    [
        (("a", "b", "c"), (), ("a", "b", "c")),
        ((), ("x", "y"), ("x", "y")),
        ((), (), ()),
    ],
    ids=["file", "data_set", "nothing"],
)
def test_labels_are_the_names_that_are_known(
    names: tuple[str, ...], found: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    inference = infer_contract(_inspection(names=names), name="m", labels_found=found)
    assert inference.contract.labels == labels
    assert inference.reason("contract.labels")
    assert "raw" not in inference.reason("contract.labels")


def test_suppression_inside_is_part_of_the_binding() -> None:
    inspection = _inspection()
    contract = infer_contract(inspection, name="m").contract
    assert hub_binding(inspection, contract, size=(64, 64), batch=1).nms_in_file


def test_rows_without_a_fixed_number_are_refused() -> None:
    raw = OutputBinding(tensor="o", role="raw", shape=(1, -1, 6))
    inspection = msgspec.structs.replace(
        _inspection(),
        outputs=(spec("o", 1, -1, 6),),
        task="raw",
        head=Head(outputs=(raw,), nms_in_file=True),
    )
    contract = infer_contract(inspection, name="m").contract
    with pytest.raises(Unsupported, match="NMS inside") as caught:
        hub_binding(inspection, contract, size=(64, 64), batch=1)
    assert "[1, -1, 6]" in caught.value.found
