"""Core ML detectors that end in suppression: what they give, what they carry, what breaks them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import nn

from phoneproof.convert.backends.coreml import CoreMlConverter
from phoneproof.convert.backends.coreml_pipeline import PipelineRequest, write_pipeline
from phoneproof.convert.backends.vision_boxes import VisionBoxes
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.apple import AppleForm
from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.heads import canonical_heads
from phoneproof.decode.results import Detections
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.messages import Message
from phoneproof.formats.coreml.summary import summary
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.read_back import read_back
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools
from phoneproof.runtimes.backends.hub import save_hub
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from phoneproof.runtimes.predict import Predictor

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SIDE, STRIDE, ANCHORS = 64, 8, 64
CONTRACT = Contract(
    name="patches",
    task="detect",
    inputs=(
        ImageInput(geometry=(), size=(SIDE, SIDE), scale=1 / 255, mean=(0.0,) * 3, std=(1.0,) * 3),
    ),
    labels=("red", "green", "blue"),
    decode=Decode(confidence=0.6, nms=Nms(iou=0.5)),
)
IMAGE = InputBinding(tensor="image", shape=(1, 3, SIDE, SIDE), layout="NCHW")


class Patches(nn.Module):
    """Wide boxes around each patch of the picture, scored by its colours."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.patches = nn.Conv2d(3, 7, STRIDE, stride=STRIDE)
        rows, columns = torch.arange(ANCHORS) // STRIDE, torch.arange(ANCHORS) % STRIDE
        centres = torch.stack([columns, rows]) * STRIDE + STRIDE / 2
        self.places = nn.Buffer(torch.cat([centres, torch.full((2, ANCHORS), 24.0)])[None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.patches(image).reshape(1, 7, ANCHORS)
        boxes = self.places + 4 * torch.tanh(found[:, :4])
        return torch.cat([boxes, torch.sigmoid(6 * found[:, 4:] + 0.5)], 1)


def role(name: str, first: int, end: int, axis: str, **more: object) -> OutputBinding:
    plain = {"tensor": "joined", "shape": (1, 7, ANCHORS), "axes": (axis, "anchor")}
    return msgspec.convert(
        {"role": name, "slice": (first, end), **plain, **more}, OutputBinding, strict=False
    )


BINDING = Binding(
    contract=CONTRACT.sha256,
    format="hub",
    inputs=(IMAGE,),
    outputs=(
        role("boxes", 0, 4, "coord", box={"format": "cxcywh"}),
        role("scores", 4, 7, "class"),
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A package and the pipeline of it."""

    plain: PipelineRequest
    path: Path
    binding: Binding

    def detections(self, path: Path, binding: Binding, contract: Contract = CONTRACT) -> Detections:
        predictor = Predictor(RUNTIMES.load("coreml").open(path), contract, binding)
        pixels = np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        results, _ = predictor.predict_rgb(pixels)
        assert isinstance(results, Detections)
        return results


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("patches")
    program = torch.export.export(Patches().eval(), (torch.zeros(IMAGE.shape),))
    inputs = (TensorSpec(name="image", shape=IMAGE.shape, dtype="float32"),)
    outputs = (TensorSpec(name="joined", shape=(1, 7, ANCHORS), dtype="float32"),)
    save_hub(program, folder / "hub.pt2", inputs, outputs)
    request = ConvertRequest(
        source=folder / "hub.pt2",
        contract=CONTRACT,
        binding=BINDING,
        layout="NCHW",
        apple=AppleForm(input="image"),
        output=folder / "plain.mlpackage",
    )
    plain = PipelineRequest(
        source=request.output,
        contract=CONTRACT,
        binding=CoreMlConverter().convert(request).binding,
        output=folder / "nms.mlpackage",
    )
    return Made(plain=plain, path=plain.output, binding=write_pipeline(plain).binding)


def same(one: Detections, other: Detections) -> bool:
    return one.classes.tolist() == other.classes.tolist() and bool(
        np.allclose(one.boxes, other.boxes, atol=1e-3)
        and np.allclose(one.scores, other.scores, atol=1e-6)
    )


def changed(made: Made, folder: Path, change: Callable[[Message], None]) -> Path:
    """A copy of the pipeline with another specification."""
    path = Path(shutil.copytree(made.path, folder / "changed.mlpackage"))
    file = read_coreml(path)
    change(file.spec)
    write_bytes(file.model, file.spec.SerializeToString(deterministic=True))
    return path


def test_an_app_sees_what_decode_would_have_shown(made: Made) -> None:
    expected = made.detections(made.plain.source, made.plain.binding)
    loose = msgspec.structs.replace(CONTRACT, decode=Decode(confidence=0.6, nms=Nms(iou=1.0)))
    everything = made.detections(made.plain.source, made.plain.binding, loose)
    assert 3 <= len(expected.scores) < len(everything.scores)
    assert same(made.detections(made.path, made.binding), expected)


def test_another_overlap_or_threshold_is_noticed(made: Made, tmp_path: Path) -> None:
    expected = made.detections(made.plain.source, made.plain.binding)

    def overlap(spec: Message) -> None:
        spec.pipeline.models[2].nonMaximumSuppression.iouThreshold = 0.9

    def threshold(spec: Message) -> None:
        spec.pipeline.models[2].nonMaximumSuppression.confidenceThreshold = 0.8

    for number, change in enumerate((overlap, threshold)):
        (tmp_path / str(number)).mkdir()
        path = changed(made, tmp_path / str(number), change)
        assert not same(made.detections(path, made.binding), expected)


def test_corners_in_place_of_centres_are_noticed(made: Made, tmp_path: Path) -> None:
    expected = made.detections(made.plain.source, made.plain.binding)
    boxes, scores = made.plain.binding.outputs
    lie = msgspec.structs.replace(boxes, box=Box(format="xyxy"))
    wrong = msgspec.structs.replace(made.plain.binding, outputs=(lie, scores))
    request = replace(made.plain, binding=wrong, output=tmp_path / "wrong.mlpackage")
    binding = write_pipeline(request).binding
    assert not same(made.detections(request.output, binding), expected)


def test_the_app_s_own_threshold_is_that_of_the_suppression(made: Made, tmp_path: Path) -> None:
    own = Decode(confidence=0.5, nms=Nms(iou=0.4, class_agnostic=True))
    binding = msgspec.structs.replace(made.plain.binding, decode_override=own)
    request = replace(made.plain, binding=binding, output=tmp_path / "own.mlpackage")
    found = made.detections(request.output, write_pipeline(request).binding)
    assert same(found, made.detections(made.plain.source, binding))
    nms = read_coreml(request.output).spec.pipeline.models[2].nonMaximumSuppression
    assert (nms.iouThreshold, nms.confidenceThreshold) == (0.4, 0.5)
    assert not nms.pickTop.perClass


def test_the_network_inside_is_the_accepted_one_and_bytes_are_stable(
    made: Made, tmp_path: Path
) -> None:
    spec = read_coreml(made.path).spec
    assert spec.pipeline.models[0] == read_coreml(made.plain.source).spec
    again = replace(made.plain, output=tmp_path / "again.mlpackage")
    write_pipeline(again)
    assert tree_sha256(again.output) == tree_sha256(made.path)
    inside, plain = (read_back(path, "coreml") for path in (made.path, made.plain.source))
    assert inside is not None
    assert plain is not None
    assert (inside.macs, inside.shares) == (plain.macs, plain.shares)


def test_what_xcode_and_vision_find(made: Made, tmp_path: Path) -> None:
    spec = read_coreml(made.path).spec
    described = spec.description
    inputs = {one.name: one for one in described.input}
    assert list(inputs) == ["image", "iouThreshold", "confidenceThreshold"]
    assert inputs["image"].type.WhichOneof("Type") == "imageType"
    for name in ("iouThreshold", "confidenceThreshold"):
        assert inputs[name].type.isOptional
        assert inputs[name].type.WhichOneof("Type") == "doubleType"
    assert [one.name for one in described.output] == ["confidence", "coordinates"]
    nms = spec.pipeline.models[2].nonMaximumSuppression
    assert list(nms.stringClassLabels.vector) == ["red", "green", "blue"]
    carried = read_embedded(made.path, "coreml")
    assert (carried.contract, carried.binding) == (CONTRACT, made.binding)
    assert "confidence" in summary(made.path)
    tools = import_coremltools()
    # A copy: coremltools writes the manifest of what it opens anew.
    copy = shutil.copytree(made.path, tmp_path / "copy.mlpackage")
    loaded = tools.models.MLModel(str(copy), skip_model_load=True)
    assert loaded.get_spec().WhichOneof("Type") == "pipeline"


def test_broken_pipelines_are_refused(made: Made, tmp_path: Path) -> None:
    def short(spec: Message) -> None:
        del spec.pipeline.models[2]

    def renamed(spec: Message) -> None:
        spec.pipeline.models[1].CopyFrom(spec.pipeline.models[0])

    for number, (change, kind) in enumerate(((short, Unsupported), (renamed, InvalidInput))):
        (tmp_path / str(number)).mkdir()
        path = changed(made, tmp_path / str(number), change)
        with pytest.raises(kind, match="pipeline"):
            RUNTIMES.load("coreml").open(path)
    (tmp_path / "weights").mkdir()
    path = changed(made, tmp_path / "weights", lambda _: None)
    for weights in path.rglob("weight.bin"):
        weights.unlink()
    with pytest.raises(InvalidInput, match="weights"):
        RUNTIMES.load("coreml").open(path)


def test_a_pipeline_of_a_pipeline_is_refused(made: Made, tmp_path: Path) -> None:
    request = replace(made.plain, source=made.path, output=tmp_path / "twice.mlpackage")
    with pytest.raises(Unsupported, match="pipeline"):
        write_pipeline(request)


def outputs(box: Box, activation: str = "none", objectness: bool = False) -> Binding:
    """Boxes in two levels [1, 4, y, x], scores and objectness as [1, rows, values]."""
    parts = [
        OutputBinding(
            tensor=f"boxes{level}",
            role="boxes",
            shape=(1, 4, side, side),
            axes=("coord", "y", "x"),
            level=level,
            box=box,
        )
        for level, side in enumerate((3, 2))
    ]
    rows: list[tuple[str, int, str]] = [("scores", 3, "class")]
    rows += [("objectness", 1, "channel")] if objectness else []
    for name, width, axis in rows:
        given = {"role": name, "tensor": name, "shape": (1, 13, width), "activation": activation}
        parts.append(
            msgspec.convert({**given, "axes": ("anchor", axis)}, OutputBinding, strict=False)
        )
    return msgspec.structs.replace(BINDING, outputs=tuple(parts))


@pytest.mark.parametrize(
    "binding",
    [
        outputs(Box(format="xyxy")),
        outputs(Box(format="yxyx", units="fraction"), "sigmoid"),
        outputs(Box(format="cxcywh", order="yx"), "sigmoid", objectness=True),
        outputs(Box(format="cxcywh", units="fraction"), objectness=True),
    ],
    ids=["corners", "swapped corners", "swapped centres", "fractions"],
)
def test_every_form_of_boxes_comes_out_as_decode_reads_it(binding: Binding) -> None:
    generator = np.random.default_rng(6)
    shapes = {one.tensor: one.shape for one in binding.outputs}
    given = {n: generator.random(s, dtype=np.float32) for n, s in shapes.items()}
    heads = canonical_heads(given, CONTRACT, binding)
    module = VisionBoxes(binding)
    confidence, coordinates = module(*(torch.from_numpy(given[n]) for n in binding.tensors))
    assert ((confidence > 0).sum(dim=1) == 1).all()
    np.testing.assert_allclose(confidence.amax(dim=1), heads.scores.max(axis=1), rtol=1e-6)
    centres, sides = np.split(coordinates.numpy() * SIDE, 2, axis=1)
    corners = np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)
    np.testing.assert_allclose(corners, heads.boxes, atol=1e-4)
