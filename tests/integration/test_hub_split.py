"""Split heads: the same boxes and scores from outputs with ranges of their own."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.convert.base import CONVERTERS, ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Format, GridAnchors, Layout, YoloAnchors
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.recipe import Float16
from phoneproof.decode.heads import Heads
from phoneproof.formats.tflite import read_tflite
from phoneproof.optimize.backends.hub_probe import require_equal
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.embedded import read_embedded
from tests.assets import asset
from tests.integration.hub_agreement import photographs
from tests.integration.split_heads import SIZE, WH, Detector, Kind, captured, heads_of, tiny
from tests.integration.ultralytics_files import made
from tests.integration.ultralytics_tables import TABLES

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

PIXELS, SCORES = 0.01, 1e-5
Pixels = NDArray[np.float32]


def noise(shape: tuple[int, ...]) -> Pixels:
    return np.random.default_rng(8).random(shape, dtype=np.float32)


def require_same(found: Heads, expected: Heads) -> None:
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=1e-5, atol=PIXELS)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=SCORES)
    assert np.ptp(expected.boxes) > 1
    assert np.ptp(expected.scores) > 1e-6


def roles(model: WrittenModel) -> list[tuple[str, str]]:
    return [(output.tensor, output.role) for output in model.binding.outputs]


def targets(path: Path) -> set[str]:
    program, _ = load_hub(path)
    return {str(node.target) for node in program.graph.nodes}


@pytest.mark.parametrize(
    ("kind", "layout", "family", "parts"),
    [
        ("dfl", "NCHW", "distributions of distances", ("dfl", "scores")),
        ("dfl", "NHWC", "distributions of distances", ("dfl", "scores")),
        ("yolox", "NCHW", "centres and sides", ("boxes", "objectness", "scores")),
        ("yolov5", "NHWC", "anchor shapes", ("boxes", "objectness", "scores")),
        ("landmarks", "NCHW", "anchor shapes", ("boxes", "objectness", "scores")),
    ],
)
def test_each_family(
    kind: Kind, layout: Layout, family: str, parts: tuple[str, ...], tmp_path: Path
) -> None:
    whole = tiny(kind, tmp_path / "hub.pt2")
    path = tmp_path / "split.pt2"
    written = whole.split(path, layout)
    assert dict(written.options)["family"] == f'"{family}"'
    assert roles(written) == [(f"{part}_{level}", part) for level in (0, 1) for part in parts]
    for output in written.binding.outputs:
        assert output.slice is None
        assert output.axes[1:] == ("y", "x") if layout == "NCHW" else output.axes[:2] == ("y", "x")
    image = noise((1, 3, *SIZE))
    require_same(heads_of(path, whole.contract, written.binding, image), whole.heads(image))
    # What is left of the decode is the app's.
    left = targets(path)
    assert not {"aten.softmax.int", "aten.sigmoid.default", "aten.exp.default"} & left
    assert not {"aten.cat.default", "aten.pow.Tensor_Scalar"} & left
    embedded = read_embedded(path, "hub")
    assert (embedded.contract, embedded.binding) == (whole.contract, written.binding)


def test_a_batch_of_two(tmp_path: Path) -> None:
    whole = tiny("dfl", tmp_path / "hub.pt2", batch=2)
    written = whole.split(tmp_path / "split.pt2", "NHWC")
    assert {output.shape[0] for output in written.binding.outputs} == {2}


def test_a_layer_that_cannot_be_divided_keeps_its_roles_as_slices(tmp_path: Path) -> None:
    whole = tiny("grouped", tmp_path / "hub.pt2")
    path = tmp_path / "split.pt2"
    written = whole.split(path)
    assert roles(written) == [
        (f"head_{level}", role) for level in (0, 1) for role in ("dfl", "scores")
    ]
    image = noise((1, 3, *SIZE))
    require_same(heads_of(path, whole.contract, written.binding, image), whole.heads(image))


@pytest.mark.parametrize("kind", ["joined", "stretched"])
def test_what_is_no_known_head_is_split_where_it_was_joined(kind: Kind, tmp_path: Path) -> None:
    """`stretched` is the control of the proof: known but for strides that are 1 % too long."""
    whole = tiny(kind, tmp_path / "hub.pt2")
    path = tmp_path / "split.pt2"
    written = whole.split(path)
    assert dict(written.options)["family"] == '"concatenated outputs"'
    assert roles(written) == [("boxes", "boxes"), ("scores", "scores")]
    image = noise((1, 3, *SIZE))
    require_same(heads_of(path, whole.contract, written.binding, image), whole.heads(image))


def test_what_cannot_be_split_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(OptimizationFailed, match="not one that can be split") as raised:
        tiny("unknown", tmp_path / "hub.pt2").split(tmp_path / "split.pt2")
    assert "'predictions' from last layers 1x4x8x12, 1x3x8x12" in raised.value.found
    assert not (tmp_path / "split.pt2").exists()


def test_outputs_of_their_own_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(OptimizationFailed, match="nothing to split"):
        tiny("ssd", tmp_path / "hub.pt2").split(tmp_path / "split.pt2")
    whole = tiny("dfl", tmp_path / "hub.pt2")
    path = tmp_path / "split.pt2"
    again = Detector(path=path, contract=whole.contract, binding=whole.split(path, "NHWC").binding)
    with pytest.raises(OptimizationFailed, match="nothing to split"):
        again.split(tmp_path / "twice.pt2", "NHWC")


def test_equal_hubs_give_equal_bytes_and_the_anchor_shapes_of_their_constants(
    tmp_path: Path,
) -> None:
    whole = tiny("yolov5", tmp_path / "hub.pt2")
    written = [whole.split(tmp_path / name) for name in ("a.pt2", "b.pt2")]
    assert (tmp_path / "a.pt2").read_bytes() == (tmp_path / "b.pt2").read_bytes()
    assert written[0].binding.anchors == YoloAnchors(strides=(8, 16), wh=WH)


@pytest.mark.parametrize(
    "anchors",
    [
        GridAnchors(strides=(8, 16), offset=0.49),
        GridAnchors(strides=(16, 8)),
    ],
)
def test_a_program_that_gives_other_boxes_is_refused(anchors: GridAnchors, tmp_path: Path) -> None:
    whole = tiny("dfl", tmp_path / "hub.pt2")
    path = tmp_path / "split.pt2"
    binding = whole.split(path).binding
    programs = load_hub(whole.path)[0], load_hub(path)[0]
    names = whole.binding.tensors, binding.tensors

    def compared(after: Binding) -> None:
        require_equal(programs, names, (whole.binding, after), whole.contract)

    compared(binding)
    with pytest.raises(OptimizationFailed, match="other boxes or scores"):
        compared(msgspec.structs.replace(binding, anchors=anchors))


def test_bad_requests(tmp_path: Path) -> None:
    whole = tiny("dfl", tmp_path / "hub.pt2")
    request = OptimizeRequest(
        artifact=whole.path,
        contract=whole.contract,
        binding=whole.binding,
        recipe=Float16(float32_share=0.0),
        output=tmp_path / "split.pt2",
    )
    optimizer = OPTIMIZERS.load("hub-split")
    with pytest.raises(OptimizationFailed, match="splits heads alone"):
        optimizer.propose(request)
    other = tuple(msgspec.structs.replace(o, tensor="other") for o in whole.binding.outputs)
    foreign = msgspec.structs.replace(whole.binding, outputs=other)
    with pytest.raises(InvalidInput, match="does not have"):
        Detector(path=whole.path, contract=whole.contract, binding=foreign).split(request.output)
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(whole.path.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match="not a hub program"):
        Detector(path=broken, contract=whole.contract, binding=whole.binding).split(request.output)


@pytest.mark.parametrize("name", ["yolov8", "yolov10", "yolo26"])
def test_ultralytics_heads(name: str, tmp_path: Path) -> None:
    source = made(tmp_path / "a.pt", TABLES[name], train_args={"imgsz": [96, 128]})
    whole = captured(source, tmp_path)
    path = tmp_path / "split.pt2"
    written = whole.split(path)
    role = "boxes" if name == "yolo26" else "dfl"
    assert [output.role for output in written.binding.outputs] == [role, "scores"] * 2
    image = noise(whole.binding.image.shape)
    require_same(heads_of(path, whole.contract, written.binding, image), whole.heads(image))


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("yolov8n_coco_rebuilt.onnx", ("dfl", "scores")),
        ("yolox_nano.onnx", ("boxes", "objectness", "scores")),
        ("yolov5n_face.pt", ("boxes", "objectness", "scores")),
    ],
)
def test_real_detectors(source: str, parts: tuple[str, ...], tmp_path: Path) -> None:
    whole = captured(asset(f"models/detect/{source}"), tmp_path)
    path = tmp_path / "split.pt2"
    written = whole.split(path)
    expected = [(f"{part}_{level}", part) for level in range(3) for part in parts]
    assert roles(written) == expected
    scale = whole.contract.image.scale
    for image in photographs(whole.binding.image.shape, "NCHW", scale, 0.0)[:2]:
        require_same(heads_of(path, whole.contract, written.binding, image), whole.heads(image))


def test_a_real_detector_with_outputs_apart(tmp_path: Path) -> None:
    whole = captured(asset("models/detect/version-RFB-320.onnx"), tmp_path)
    with pytest.raises(OptimizationFailed, match="nothing to split") as raised:
        whole.split(tmp_path / "split.pt2")
    assert "boxes in 'boxes' [1, 4420, 4]" in raised.value.found


@pytest.mark.parametrize("kind", ["dfl", "yolov5"])
@pytest.mark.parametrize(("format_", "layout"), [("tflite", "NHWC"), ("onnx", "NCHW")])
def test_every_format_profits(kind: Kind, format_: Format, layout: Layout, tmp_path: Path) -> None:
    whole = tiny(kind, tmp_path / "hub.pt2")
    split = tmp_path / "split.pt2"
    binding = whole.split(split, layout).binding
    path = tmp_path / f"model.{format_}"
    converted = CONVERTERS.load(f"hub-{format_}").convert(
        ConvertRequest(
            source=split, contract=whole.contract, binding=binding, layout=layout, output=path
        )
    )
    image = noise((1, 3, *SIZE))
    own = image if layout == "NCHW" else np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    require_same(heads_of(path, whole.contract, converted.binding, own), whole.heads(image))
    if format_ == "tflite":
        # The levels leave as the convolutions of a phone make them.
        assert "TRANSPOSE" not in {op.name for op in read_tflite(path).ops}


def test_weights_that_are_not_needed_any_more_are_left_out(tmp_path: Path) -> None:
    whole = tiny("landmarks", tmp_path / "hub.pt2")
    whole.split(tmp_path / "split.pt2")
    before, after = (
        sum(value.numel() for value in load_hub(path)[0].state_dict.values())
        for path in (whole.path, tmp_path / "split.pt2")
    )
    levels, shapes, values, weights = 2, 2, 10, 8 + 1
    assert before - after == levels * shapes * values * weights
