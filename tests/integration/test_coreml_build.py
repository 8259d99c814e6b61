"""From a model to a verified Core ML file, as a user types it, and what goes wrong on the way."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from phoneproof.core.check import Check
from phoneproof.core.errors import VerificationFailed
from phoneproof.core.events import silence
from phoneproof.core.json_format import parse
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.loaded import load_artifact
from phoneproof.pipeline.verify_bundle import verify_bundle
from tests.assets import asset
from tests.integration import apple_faults
from tests.integration.apple_faults import Fault, altered
from tests.integration.colour_model import save_classifier, write_pictures
from tests.integration.command_line import Ran, phoneproof

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

IOS = "[targets.ios]\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A project with one target."""

    folder: Path
    build: Ran

    @property
    def bundle(self) -> Path:
        (found,) = (self.folder / "dist").iterdir()
        return found

    def report(self) -> Report:
        return parse((self.bundle / "report.json").read_bytes(), Report, what="report")

    def artifact(self) -> ArtifactReport:
        (found,) = self.report().artifacts
        return found


def built(folder: Path, source: Path, images: Path, ios: str, *init: str) -> Built:
    """Let init write the configuration, then build what `ios` says alone."""
    done = phoneproof("init", source, "--images", images, *init, cwd=folder)
    assert done.code == 0, done.said
    path = folder / "phoneproof.toml"
    text = path.read_text()
    begin, end = text.index("[targets.android]"), text.index("[checks]")
    path.write_text(text[:begin] + IOS + ios + "\n" + text[end:])
    return Built(folder=folder, build=phoneproof("build", cwd=folder))


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The colour classifier as one float32 file that takes images."""
    folder = tmp_path_factory.mktemp("colours")
    save_classifier(folder / "colours.onnx")
    write_pictures(folder / "val")
    made = built(folder, folder / "colours.onnx", folder / "val", 'precisions = ["float32"]')
    assert made.build.code == 0, made.build.said
    return made


def subset(folder: Path, source: Path, each: int) -> Path:
    """The first pictures of every class."""
    for label in sorted(path for path in source.iterdir() if path.is_dir()):
        (folder / label.name).mkdir(parents=True)
        for picture in sorted(label.iterdir())[:each]:
            (folder / label.name / picture.name).symlink_to(picture)
    return folder


def gating(artifact: ArtifactReport) -> dict[str, Check]:
    return {f"{one.name} {one.slice}".strip(): one for one in artifact.checks if one.gating}


def test_the_report_names_the_runtime_and_never_calls_it_core_ml(colours: Built) -> None:
    artifact = colours.artifact()
    assert (artifact.id, artifact.path) == (
        "coreml-float32",
        "artifacts/model_float32.mlpackage",
    )
    assert artifact.accepted
    options = dict(artifact.options)
    assert (options["input"], options["minimum_ios"]) == ("image", "17")
    assert float(options["scaling_ulp"]) <= 1
    runtimes = {one.runtime for one in artifact.checks if one.runtime}
    assert len(runtimes) == 1
    assert "MIL reference interpreter" in runtimes.pop()
    page = (colours.bundle / "report.html").read_text()
    assert "MIL reference interpreter" in page


def test_a_second_build_gives_the_same_bytes(colours: Built, tmp_path: Path) -> None:
    for name in ("colours.onnx", "phoneproof.toml"):
        shutil.copy(colours.folder / name, tmp_path / name)
    shutil.copytree(colours.folder / "val", tmp_path / "val")
    again = Built(folder=tmp_path, build=phoneproof("build", cwd=tmp_path))
    assert again.build.code == 0, again.build.said
    assert again.artifact().sha256 == colours.artifact().sha256


def test_the_bundle_can_be_verified_run_and_compared(colours: Built, tmp_path: Path) -> None:
    package = colours.bundle / "artifacts" / "model_float32.mlpackage"
    val = colours.folder / "val"
    verified = verify_bundle(colours.bundle, images=val, listener=silence)
    assert verified.accepted
    assert {one.name for one in verified.artifacts[0].checks} >= {
        "contract_match",
        "golden_pixels",
        "golden_outputs",
        "top1_agreement",
    }
    ran = phoneproof("run", package, *sorted((val / "red").iterdir()), cwd=tmp_path)
    assert ran.code == 0, ran.said
    assert "red" in ran.out
    compared = phoneproof("compare", package, package, "--images", val, cwd=tmp_path)
    assert compared.code == 0, compared.said
    loaded = load_artifact(package)
    assert loaded.binding.image.normalise_in_file
    assert loaded.sha256 == colours.artifact().sha256


@pytest.mark.parametrize(
    ("fault", "caught"),
    [
        (apple_faults.exchange_weights, {"golden_outputs", "golden_results", "top1_agreement"}),
        (apple_faults.scale_twice, {"golden_outputs", "golden_results", "top1_agreement"}),
        (apple_faults.declare_bgr, {"contract_match"}),
    ],
    ids=["weights of another model", "scaled by 255 twice", "BGR"],
)
def test_planted_faults_are_caught_by_name(
    colours: Built, tmp_path: Path, fault: Fault, caught: set[str]
) -> None:
    folder = altered(colours.bundle, tmp_path / "bundle", fault)
    found = verify_bundle(folder, images=colours.folder / "val", listener=silence)
    failed = {one.name for one in found.artifacts[0].checks if one.verdict == "fail"}
    assert not found.accepted
    assert failed >= caught
    if caught == {"contract_match"}:
        assert failed == caught


def test_an_unaltered_copy_passes(colours: Built, tmp_path: Path) -> None:
    folder = altered(colours.bundle, tmp_path / "bundle", lambda _: None)
    assert verify_bundle(folder, images=None, listener=silence).accepted


def test_an_altered_file_is_known_by_its_hash(colours: Built, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(colours.bundle, folder)
    apple_faults.exchange_weights(folder / colours.artifact().path)
    with pytest.raises(VerificationFailed) as caught:
        verify_bundle(folder, images=None, listener=silence)
    assert "weight.bin" in str(caught.value)


def test_a_missing_library_leaves_the_file_unrun_and_says_so(
    colours: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hash and contract are checked where coremltools is not; the build itself asks for it."""
    from phoneproof.core.errors import MissingExtra
    from phoneproof.runtimes.base import RUNTIMES

    def missing(_: object, name: str) -> object:
        raise MissingExtra.of("coremltools", "ios")

    monkeypatch.setattr(type(RUNTIMES), "load", missing)
    (found,) = verify_bundle(colours.bundle, images=None, listener=silence).artifacts
    assert found.accepted
    assert "phoneproof[ios]" in found.not_run
    assert [one.name for one in found.checks] == ["contract_match"]


def test_float16_keeps_float32_islands_where_noise_asks_for_them(tmp_path: Path) -> None:
    """CIFAR's ResNet takes pixels of 0..255; its logits lose 4 dB too much in float16."""
    images = subset(tmp_path / "val", asset("images/cifar10_test500"), 6)
    source = asset("models/classify/cifar10_resnet8_float.tflite")
    made = built(tmp_path, source, images, "")
    assert made.build.code == 0, made.build.said
    artifact = made.artifact()
    assert (artifact.requested, artifact.precision) == ("float16", "mixed")
    assert artifact.accepted
    snr = gating(artifact)["snr_db probabilities"]
    assert snr.limit == 55.0
    assert snr.value is not None
    assert snr.value >= 55.0
    unwritten, *refused = artifact.attempts
    assert unwritten.broke.startswith("not written: computed layer by layer on 8 images")
    assert all("snr_db probabilities" in dict(one.failed) for one in refused)
    assert artifact.bytes < 0.6 * source.stat().st_size


def test_a_checkpoint_becomes_a_float16_image_classifier(tmp_path: Path) -> None:
    images = subset(tmp_path / "val", asset("images/weather_val"), 8)
    source = asset("models/classify/yolov8n-cls_weather_best.pt")
    made = built(tmp_path, source, images, "minimum_ios = 15\n")
    assert made.build.code == 0, made.build.said
    artifact = made.artifact()
    assert (artifact.id, artifact.requested) == ("coreml-float16", "float16")
    bundle = read_bundle(made.bundle)
    (kept,) = bundle.manifest.artifacts
    assert kept.binding.image.normalise_in_file
    assert kept.lineage.parent != bundle.report.capture.hub_sha256


def test_a_detector_of_tensors_is_verified_box_by_box(tmp_path: Path) -> None:
    """UltraFace: SSD priors in the binding, boxes and scores as named outputs."""
    images = tmp_path / "faces"
    images.mkdir()
    for name in ("faces_10.jpg", "faces_11.jpg"):
        (images / name).symlink_to(asset(f"images/single/{name}"))
    source = asset("models/detect/version-RFB-320.onnx")
    made = built(tmp_path, source, images, 'precisions = ["float32"]\ninput = "tensor"\n')
    assert made.build.code == 0, made.build.said
    artifact = made.artifact()
    assert artifact.accepted
    assert gating(artifact)["box_agreement"].value == 1.0
    assert dict(artifact.options)["input"] == "tensor"
