"""``precisions = ["int8"]`` from a model file to a bundle, or to a refusal that says why."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from phoneproof.core.artifact import file_sha256
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.manifest import Manifest
from phoneproof.package.bundle import MANIFEST, read_bundle
from phoneproof.runtimes.embedded import read_embedded
from tests.assets import asset
from tests.integration.colour_model import LABELS, colour_classifier, write_pictures
from tests.integration.command_line import phoneproof
from tests.integration.int8_project import CIFAR, Project, square_project

INT8 = "static_wi8_ai8"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("resnet8")
    shutil.copy(asset("models/classify/cifar10_resnet8.h5"), folder / "model.h5")
    return Project(
        folder=folder,
        source="model.h5",
        task="classify",
        labels=CIFAR,
        side=32,
        scale=1.0,
        evaluation=asset("images/cifar10_test500"),
    )


@pytest.fixture(scope="module")
def shipped(classifier: Project) -> Project:
    """int8 pixels in, float32 probabilities out."""
    ran = classifier.build(target='io = { input = "int8", output = "float32" }')
    assert ran.code == 0, ran.said
    return classifier


def test_int8_in_and_float32_out_is_accepted(shipped: Project) -> None:
    report = shipped.report()
    assert report.accepted
    assert report.precision == INT8
    (artifact,) = read_bundle(shipped.bundle).manifest.artifacts
    assert artifact.binding.image.dtype == "int8"
    assert artifact.binding.image.quant is not None
    assert [one.dtype for one in artifact.binding.outputs] == ["float32"]
    carried = read_embedded(shipped.bundle / artifact.path, "tflite").binding
    assert carried == msgspec.structs.replace(artifact.binding, artifact=None)


def test_its_golden_vectors_come_again(shipped: Project) -> None:
    ran = phoneproof("verify", shipped.bundle, cwd=shipped.folder)
    assert ran.code == 0, ran.said
    assert "golden_outputs" in ran.said


def test_a_swapped_weight_file_is_refused(shipped: Project, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(shipped.bundle, bundle)
    (weights,) = (bundle / "artifacts").glob("*.tflite")
    before = file_sha256(weights)
    _spoil(weights)
    altered = phoneproof("verify", bundle, cwd=tmp_path)
    assert altered.code == 7
    assert weights.name in altered.said
    # Even where every hash was made to fit, the golden vectors are those of other weights.
    _forge(bundle, before, file_sha256(weights))
    forged = phoneproof("verify", bundle, "--json", cwd=tmp_path)
    assert forged.code == 7, forged.said
    assert '"golden_outputs"' in forged.out


def _spoil(weights: Path) -> None:
    """Other numbers in the middle of the file, where the weights are."""
    data = bytearray(weights.read_bytes())
    middle = len(data) // 2
    for place in range(middle, middle + 256):
        data[place] ^= 0x55
    weights.write_bytes(bytes(data))


def _forge(bundle: Path, before: str, after: str) -> None:
    """Put the new hash in the place of the old one wherever it stands."""
    for path in sorted(bundle.rglob("*.json")):
        path.write_text(path.read_text().replace(before, after))
    manifest = parse((bundle / MANIFEST).read_bytes(), Manifest, what="manifest")
    files = tuple(
        msgspec.structs.replace(
            one,
            sha256=hashlib.sha256((bundle / one.path).read_bytes()).hexdigest(),
            bytes=(bundle / one.path).stat().st_size,
        )
        for one in manifest.files
    )
    (bundle / MANIFEST).write_bytes(pretty_bytes(msgspec.structs.replace(manifest, files=files)))


def _photographs(folder: Path, kind: str) -> Path:
    """Twenty calibration pictures that would calibrate another model."""
    folder.mkdir()
    generator = np.random.default_rng(5)
    count = 4 if kind == "few" else 20
    for number in range(count):
        pixels = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        if kind == "grey":
            pixels = np.repeat(pixels[..., :1], 3, axis=2)
        if kind == "blank":
            pixels = np.full_like(pixels, (10 * number, 200 - 10 * number, 60))
        if kind == "identical":
            pixels = np.random.default_rng(6).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=number % 10)
    return folder


@pytest.mark.parametrize(
    ("kind", "word"),
    [("grey", "grey"), ("blank", "blank"), ("few", "few"), ("identical", "the same picture")],
)
def test_images_that_calibrate_another_model_are_refused(
    shipped: Project, tmp_path: Path, kind: str, word: str
) -> None:
    ran = shipped.build(calibration=_photographs(tmp_path / kind, kind))
    assert ran.code == 9, ran.said
    assert "calibration" in ran.err
    assert word in ran.err


def test_a_model_that_is_quantized_already_is_quantized_anew(
    classifier: Project, tmp_path: Path
) -> None:
    shutil.copy(asset("models/classify/cifar10_resnet8_int8.tflite"), tmp_path / "model.tflite")
    project = replace(classifier, folder=tmp_path, source="model.tflite")
    ran = project.build()
    assert ran.code == 0, ran.said
    report = project.report()
    assert report.precision == INT8
    assert report.attempts[0].rung == "int8"


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Boxes in pixels and scores in one tensor."""
    return square_project(tmp_path_factory.mktemp("squares"), joined=True, confidence=0.25)


def test_boxes_and_scores_on_one_scale_are_refused_and_the_split_repairs_them(
    squares: Project,
) -> None:
    ran = squares.build(calibration=squares.folder / "cal")
    assert ran.code == 0, ran.said
    report = squares.report()
    first, *others = report.attempts
    assert (first.rung, first.accepted) == ("int8", False)
    assert {name for name, _ in first.failed} >= {"score_shift", "lost_share"}
    assert {one.rung for one in others} == {"split heads"}
    assert others[-1].accepted
    assert report.precision == INT8
    (artifact,) = read_bundle(squares.bundle).manifest.artifacts
    assert len(artifact.binding.tensors) == 2
    assert "split heads" in ran.said
    assert "refused" in ran.said


def test_without_repair_the_first_try_is_refused(squares: Project) -> None:
    ran = squares.build(calibration=squares.folder / "cal", target="repair = false")
    assert ran.code == 7, ran.said
    (attempt,) = squares.report("-refused").attempts
    assert (attempt.rung, attempt.accepted) == ("int8", False)
    assert "what was tried" in ran.said
    assert "came closest" in ran.said


def test_a_budget_too_small_ends_with_a_larger_file_and_says_what_was_not_tried(
    squares: Project,
) -> None:
    ran = squares.build("--budget", "0.001", calibration=squares.folder / "cal")
    assert ran.code == 0, ran.said
    report = squares.report()
    rungs = [one.rung for one in report.attempts if not one.broke]
    assert rungs[:2] == ["int8", "weight-only"]
    (untried,) = [one for one in report.attempts if one.broke]
    assert "split heads" in untried.what
    assert "not tried" in untried.broke
    assert "not tried" in ran.said


def test_an_activation_that_is_not_finite_names_the_layer(tmp_path: Path) -> None:
    """exp overflows, and one over infinity is zero again: the outputs show nothing of it."""
    model = colour_classifier()
    steep = numpy_helper.from_array(np.float32(1e4).reshape(1), "steep")
    model.graph.initializer.append(steep)
    hidden = [
        helper.make_node("Mul", ["pooled", "steep"], ["large"], "large"),
        helper.make_node("Exp", ["large"], ["overflowing"], "overflowing"),
        helper.make_node("Reciprocal", ["overflowing"], ["nothing"], "nothing"),
        helper.make_node("Add", ["pooled", "nothing"], ["same"], "same"),
    ]
    nodes = list(model.graph.node)
    place = next(i for i, node in enumerate(nodes) if "features" in node.output)
    nodes[place].input[0] = "same"
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *hidden, *nodes[place:]])
    onnx.save(model, tmp_path / "model.onnx")
    project = Project(
        folder=tmp_path,
        source="model.onnx",
        task="classify",
        labels=LABELS,
        side=32,
        scale=1 / 255,
        evaluation=write_pictures(tmp_path / "val"),
    )
    ran = project.build(formats="onnx")
    assert ran.code == 6, ran.said
    assert "not finite" in ran.err
    assert "Exp" in ran.err
