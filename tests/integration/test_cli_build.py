"""From a model file to a bundle and back, as a user types it."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.artifact import file_sha256
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.manifest import Manifest
from phoneproof.core.report import Report
from phoneproof.package.bundle import BASELINE, MANIFEST, read_bundle
from phoneproof.pipeline.loaded import load_artifact
from phoneproof.pipeline.run_pictures import PictureResult
from phoneproof.pipeline.step import StepRecord
from phoneproof.pipeline.verify_bundle import Verification
from tests.integration.colour_model import LABELS, save_classifier, write_pictures
from tests.integration.command_line import Ran, listing, phoneproof

BUNDLE = "dist/colours-1.0.0"
MADE = {"onnx-float32", "tflite-float32", "tflite-float16"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A project that was built once."""

    folder: Path
    init: Ran
    build: Ran
    first_report: bytes

    def run(self, *arguments: str | Path) -> Ran:
        return phoneproof(*arguments, cwd=self.folder)

    @property
    def bundle(self) -> Path:
        return self.folder / BUNDLE

    def report(self) -> Report:
        return parse((self.bundle / "report.json").read_bytes(), Report, what="report")

    def config(self, *changes: tuple[str, str]) -> Path:
        """A second configuration beside the first: it shares the cache."""
        text = (self.folder / "phoneproof.toml").read_text()
        for old, new in changes:
            assert old in text, f"{old!r} is not in the configuration"
            text = text.replace(old, new)
        path = self.folder / "other.toml"
        path.write_text(text)
        return path

    def steps(self) -> Mapping[str, StepRecord]:
        """Every finished step in the cache by its key."""
        found = (self.folder / ".phoneproof" / "steps").glob("*/step.json")
        return {p.parent.name: parse(p.read_bytes(), StepRecord, what="step") for p in found}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("colours")
    save_classifier(folder / "colours.onnx")
    write_pictures(folder / "val")
    init = phoneproof("init", "colours.onnx", "--images", "val", cwd=folder)
    build = phoneproof(
        "build", "--json", "--junit", "checks.xml", "--summary", "summary.md", cwd=folder
    )
    assert build.code == 0, build.said
    first = (folder / BUNDLE / "report.json").read_bytes()
    return Project(folder=folder, init=init, build=build, first_report=first)


def test_init_and_build_succeed(project: Project) -> None:
    assert project.init.code == 0, project.init.said
    assert project.build.code == 0, project.build.said
    assert (project.folder / "phoneproof.toml").is_file()
    report = project.report()
    assert {one.id for one in report.artifacts} == MADE
    assert report.accepted
    top1 = {c.value for a in report.artifacts for c in a.checks if c.name == "top1"}
    assert top1 == {1.0}


def test_the_three_outputs_parse(project: Project) -> None:
    printed = msgspec.json.decode(project.build.out, type=Report)
    assert printed == parse(project.first_report, Report, what="report")
    suites = ElementTree.parse(project.folder / "checks.xml").getroot()
    cases = list(suites.iter("testcase"))
    assert len(cases) >= sum(len(one.checks) for one in printed.artifacts if one.accepted)
    assert not list(suites.iter("failure"))
    summary = (project.folder / "summary.md").read_text()
    assert all(one in summary for one in MADE)
    assert "|" in summary


def test_no_path_of_the_disk_is_in_the_bundle(project: Project) -> None:
    assert _leaks(project.bundle, project.folder) == []
    # The control: the cache, which stays at home, does name files of this disk.
    assert _leaks(project.folder / ".phoneproof", project.folder)


def test_every_artifact_carries_the_one_contract(project: Project) -> None:
    bundle = read_bundle(project.bundle)
    carried = [load_artifact(bundle.path_of(one)) for one in bundle.manifest.artifacts]
    assert len(carried) == len(MADE)
    assert {one.contract.sha256 for one in carried} == {bundle.contract.sha256}
    assert {one.binding.contract for one in carried} == {bundle.contract.sha256}
    assert bundle.contract.labels == LABELS


def test_verify_alone_and_with_images(project: Project) -> None:
    alone = project.run("verify", BUNDLE)
    assert alone.code == 0, alone.said
    assert "verified" in alone.out
    again = project.run("verify", BUNDLE, "--images", "val", "--json")
    assert again.code == 0, again.said
    found = msgspec.json.decode(again.out, type=Verification)
    assert {one.id for one in found.artifacts} == MADE
    assert (found.images, found.unmatched) == (12, 0)
    names = {check.name for one in found.artifacts for check in one.checks}
    assert {"golden_pixels", "golden_outputs", "golden_results", "top1_agreement"} <= names


def test_run_draws_and_lists(project: Project) -> None:
    model = f"{BUNDLE}/artifacts/model_float32.tflite"
    drawn = project.run("run", model, "val/red", "val/blue/0.png", "--output", "seen")
    assert drawn.code == 0, drawn.said
    assert len(list((project.folder / "seen").rglob("*.jpg"))) == 5
    listed = project.run("run", model, "val/red", "--json")
    results = msgspec.json.decode(listed.out, type=list[PictureResult])
    assert [one.result.top[0].label for one in results] == ["red"] * 4  # type: ignore[union-attr]


def test_compare_accepts_the_same_model(project: Project) -> None:
    folder = f"{BUNDLE}/artifacts"
    done = project.run(
        "compare", f"{folder}/model.onnx", f"{folder}/model_float16.tflite", "--images", "val"
    )
    assert done.code == 0, done.said
    assert "top1_agreement" in done.out


def test_pixels_takes_the_newest_bundle(project: Project) -> None:
    done = project.run("pixels", "val/red/0.png")
    assert done.code == 0, done.said
    assert "colours-1.0.0, tflite-float32" in done.out
    golden = project.run("pixels", f"{BUNDLE}/golden/pictures/landscape.png")
    named = project.run("pixels", "landscape-png", "--bundle", BUNDLE)
    assert (golden.code, named.code) == (0, 0)
    assert golden.out.splitlines()[1:] == named.out.splitlines()[1:]


def test_a_second_build_does_nothing_again(project: Project) -> None:
    before = project.steps()
    done = project.run("build")
    assert done.code == 0, done.said
    assert project.steps() == before
    assert "started" not in _steps_of(done)
    assert "cached" in done.err


def test_another_limit_converts_nothing(project: Project) -> None:
    before = project.steps()
    stamps = {key: _stamp(project, key) for key in before}
    config = project.config(("[checks]", "[checks]\nmax_abs = 0.002"))
    done = project.run("build", "--config", config)
    assert done.code == 0, done.said
    fresh = [one.name for key, one in project.steps().items() if key not in before]
    assert fresh
    assert all(name.startswith("verify") for name in fresh), fresh
    assert {key: _stamp(project, key) for key in before} == stamps
    limits = {c.limit for a in project.report().artifacts for c in a.checks if c.name == "max_abs"}
    assert limits == {0.002}


def test_an_impossible_limit_is_refused(project: Project) -> None:
    config = project.config(
        ("[checks]", "[checks]\nsnr_db = 1000.0"), ('directory = "dist"', 'directory = "strict"')
    )
    done = project.run("build", "--config", config, "--junit", "refused.xml")
    assert done.code == 7, done.said
    assert "refused" in done.out
    assert "snr_db" in done.out
    assert listing(project.folder / "strict") == {
        "colours-1.0.0-refused",
        "colours-1.0.0-refused/report.html",
        "colours-1.0.0-refused/report.json",
    }
    failures = ElementTree.parse(project.folder / "refused.xml").getroot().iter("failure")
    assert len(list(failures)) >= len(MADE)


def test_labels_one_place_off_are_refused(project: Project) -> None:
    config = project.config(
        ('labels = ["blue", "green", "red"]', 'labels = ["green", "red", "blue"]'),
        ('directory = "dist"', 'directory = "shifted"'),
    )
    done = project.run("build", "--config", config)
    assert done.code == 7, done.said
    assert "hub label_order: every label is one place off" in done.out
    assert not (project.folder / "shifted/colours-1.0.0").exists()


def test_one_target_alone(project: Project) -> None:
    config = project.config(('directory = "dist"', 'directory = "phones"'))
    done = project.run("build", "--config", config, "--target", "android")
    assert done.code == 0, done.said
    made = {p.name for p in (project.folder / "phones/colours-1.0.0/artifacts").iterdir()}
    assert made == {
        "model_float16.tflite",
        "model_float16.tflite.binding.json",
        "model_float32.tflite",
        "model_float32.tflite.binding.json",
    }


def test_an_unknown_or_missing_target(project: Project) -> None:
    near = project.run("build", "--target", "andriod")
    assert near.code == 2
    assert "android" in near.err
    missing = project.run("build", "--target", "ios")
    assert missing.code == 2
    assert "[targets.ios]" in missing.err


def test_an_altered_bundle_is_refused(project: Project, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    shutil.copytree(project.bundle, copy)
    model = copy / "artifacts" / "model.onnx"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    done = phoneproof("verify", copy, cwd=tmp_path)
    assert done.code == 7
    assert "altered: artifacts/model.onnx" in done.err
    assert (project.bundle / BASELINE).is_dir()


def test_a_file_that_carries_shifted_labels_is_refused(project: Project, tmp_path: Path) -> None:
    """Every hash is right; only what the file says of itself is another contract."""
    copy = tmp_path / "bundle"
    shutil.copytree(project.bundle, copy)
    _forge(copy, b'["blue","green","red"]', b'["green","red","blue"]')
    done = phoneproof("verify", copy, "--json", cwd=tmp_path)
    assert done.code == 7, done.said
    found = msgspec.json.decode(done.out, type=Verification)
    failed = {
        (one.id, check.name)
        for one in found.artifacts
        for check in one.checks
        if check.verdict == "fail"
    }
    assert failed == {("onnx-float32", "contract_match")}


def _forge(bundle: Path, old: bytes, new: bytes) -> None:
    """Change the contract inside the ONNX file, and every hash that speaks of the file."""
    model = bundle / "artifacts" / "model.onnx"
    before = file_sha256(model)
    data = model.read_bytes()
    assert old in data
    model.write_bytes(data.replace(old, new))
    after = file_sha256(model)
    for path in bundle.rglob("*.json"):
        path.write_text(path.read_text().replace(before, after))
    manifest = parse((bundle / MANIFEST).read_bytes(), Manifest, what="manifest")
    files = tuple(
        msgspec.structs.replace(one, sha256=file_sha256(bundle / one.path))
        for one in manifest.files
    )
    forged = msgspec.structs.replace(manifest, files=files)
    (bundle / MANIFEST).write_bytes(pretty_bytes(forged))


def _leaks(folder: Path, project: Path) -> list[tuple[str, bytes]]:
    """(file, path found in it) of every file that names a folder of this disk."""
    secrets = (str(project).encode(), str(Path.home()).encode() + b"/", b"/site-packages/")
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (path.name, secret) for path in files for secret in secrets if secret in path.read_bytes()
    ]


def _steps_of(ran: Ran) -> str:
    """The progress lines of what is cached; reading the images is no such step."""
    return "\n".join(line for line in ran.err.splitlines() if not line.startswith("images"))


def _stamp(project: Project, key: str) -> int:
    return (project.folder / ".phoneproof" / "steps" / key / "step.json").stat().st_mtime_ns
