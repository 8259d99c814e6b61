"""The Android apps that bundles bring: compiled, their golden test run, their screens drawn."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.assets import asset
from tests.integration.android_apk import ABIS, Parts, assemble, badging, run
from tests.integration.android_mutations import MUTATIONS, Compiled, Mutation
from tests.integration.command_line import phoneproof
from tests.integration.conftest import write_project
from tests.integration.maven_runs import maven
from tests.integration.mobile_android_app import (
    AppRun,
    Resources,
    aapt2,
    android_jar,
    compile_and_test,
    link_resources,
    require_screens,
)

pytestmark = pytest.mark.timeout(3600)

Folders = pytest.TempPathFactory

APPLICATION = "ai.phoneproof.app.version_rfb_320"
MODEL = "assets/phoneproof/artifacts/model_float32.tflite"
LETTERBOX = """[[contract.geometry]]
op = "resize"
to = "contain"
size = [32, 32]
filter = "opencv.linear"
[[contract.geometry]]
op = "pad"
size = [32, 32]
value = [114, 114, 114]
"""

NAMES = ("Golden", "Screens", "Live")
TARGETS = """[targets.android]
formats = ["tflite"]
precisions = ["float32"]
engine = "{engine}"

"""


@dataclass(frozen=True, kw_only=True, slots=True)
class App:
    """A generated project with its resources. picture: one that the model finds something in."""

    project: Path
    resources: Resources
    picture: Path


@pytest.fixture(scope="module")
def command() -> Path:
    """Asked for first: without it nothing is built only to be skipped."""
    aapt2()
    return maven()


@pytest.fixture(scope="module")
def jar(command: Path, tmp_path_factory: Folders) -> Path:
    return android_jar(command, tmp_path_factory.mktemp("jar"))


@pytest.fixture(scope="module")
def classifier(jar: Path, tmp_path_factory: Folders) -> App:
    """The colour classifier, fed with letterboxed pictures; LiteRT 2.x is its engine."""
    project = write_project(tmp_path_factory.mktemp("colours"))
    picture = sorted((project / "val").rglob("*.png"))[0]
    _init(project, "colours.onnx", "val", "litert")
    config = project / "phoneproof.toml"
    text = config.read_text()
    first, last = text.index("[[contract.geometry]]"), text.index("[targets")
    text = text[:first] + LETTERBOX + text[last:]
    config.write_text(text.replace("[checks]", '[checks]\ncontract_search = "off"'))
    return _app(jar, project, picture)


@pytest.fixture(scope="module")
def detector(jar: Path, tmp_path_factory: Folders) -> App:
    """UltraFace, with TensorFlow Lite as its engine."""
    project = tmp_path_factory.mktemp("faces")
    (project / "images").mkdir()
    picture = asset("images/single/faces_10.jpg")
    shutil.copyfile(picture, project / "images" / picture.name)
    source = asset("models/detect/version-RFB-320.onnx")
    _init(project, source, "images", "tflite")
    return _app(jar, project, picture)


def _init(home: Path, source: Path | str, images: Path | str, engine: str) -> None:
    init = phoneproof("init", source, "--images", images, cwd=home)
    assert init.code == 0, init.said
    config = home / "phoneproof.toml"
    text = config.read_text()
    targets = TARGETS.format(engine=engine)
    config.write_text(text[: text.index("[targets")] + targets + text[text.index("[checks]") :])


def _app(jar: Path, home: Path, picture: Path) -> App:
    build = phoneproof("build", cwd=home)
    assert build.code == 0, build.said
    (bundle,) = (home / "dist").iterdir()
    project = bundle / "android"
    scratch = home / "scratch"
    scratch.mkdir()
    resources = link_resources(aapt2(), jar, project, scratch)
    return App(project=project, resources=resources, picture=picture)


@pytest.fixture(scope="module")
def tested_classifier(command: Path, classifier: App, tmp_path_factory: Folders) -> AppRun:
    return _tested(command, classifier, tmp_path_factory)


@pytest.fixture(scope="module")
def tested_detector(command: Path, detector: App, tmp_path_factory: Folders) -> AppRun:
    return _tested(command, detector, tmp_path_factory)


def _tested(command: Path, app: App, folders: Folders) -> AppRun:
    folder = folders.mktemp("app")
    return compile_and_test(command, folder, app.project, app.resources, app.picture)


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_an_app_passes_its_golden_test_and_draws_its_screens(
    kind: str, request: pytest.FixtureRequest
) -> None:
    tested: AppRun = request.getfixturevalue(f"tested_{kind}")
    assert tested.code == 0, tested.said[-8000:]
    assert set(tested.suites) == {f"ai.phoneproof.app.{name}Test" for name in NAMES}
    for suite in tested.suites.values():
        assert suite.tests > 0
        assert suite.failed == 0
        assert not suite.skipped, suite
    require_screens(tested.out)


@pytest.fixture(scope="module")
def compiled(classifier: App, tested_classifier: AppRun) -> Compiled:
    assert tested_classifier.code == 0, tested_classifier.said[-8000:]
    return Compiled(
        project=classifier.project,
        target=tested_classifier.testing / "app/target",
        compiler=tested_classifier.testing / "apk/target/compiler",
        config=classifier.resources.config,
    )


def test_the_golden_test_passes_by_itself(compiled: Compiled) -> None:
    """What the mutations are compared with."""
    done = compiled.golden_test()
    assert done.returncode == 0, done.stdout[-4000:]
    assert "OK (1 test)" in done.stdout


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_golden_test_catches(mutation: Mutation, compiled: Compiled, tmp_path: Path) -> None:
    done = compiled.golden_test(compiled.mutated(mutation, tmp_path))
    assert done.returncode == 1, done.stdout[-4000:]
    assert "Failures: 1" in done.stdout
    assert mutation.cause in done.stdout


@pytest.fixture(scope="module")
def apk(jar: Path, detector: App, tested_detector: AppRun, tmp_path_factory: Folders) -> Path:
    """The detector's app with TensorFlow Lite, as a release."""
    assert tested_detector.code == 0, tested_detector.said[-8000:]
    testing = tested_detector.testing
    return assemble(
        detector.project,
        detector.resources.manifest,
        testing / "app/target/classes",
        Parts(folder=testing / "apk/target/parts", android=jar),
        tmp_path_factory.mktemp("apk"),
        APPLICATION,
    )


def test_the_apk_is_signed_and_aligned(apk: Path) -> None:
    run("zipalign", "-c", "-p", "4", apk)
    said = run("apksigner", "verify", "--verbose", "--min-sdk-version", "24", apk)
    assert "Verified using v2 scheme (APK Signature Scheme v2): true" in said


def test_an_altered_apk_is_refused(apk: Path, tmp_path: Path) -> None:
    """The control: the signature covers the model."""
    copy = tmp_path / "altered.apk"
    with zipfile.ZipFile(apk) as archive:
        place = archive.getinfo(MODEL).header_offset
    data = bytearray(apk.read_bytes())
    data[place + 1000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(AssertionError, match="DOES NOT VERIFY"):
        run("apksigner", "verify", copy)


def test_an_installer_reads_what_the_app_is(apk: Path) -> None:
    lines = badging(apk)
    assert lines[0].startswith(f"package: name='{APPLICATION}'")
    assert "sdkVersion:'24'" in lines
    assert "targetSdkVersion:'35'" in lines
    assert "application-label:'version-rfb-320'" in lines
    (launched,) = [line for line in lines if line.startswith("launchable-activity:")]
    assert "name='ai.phoneproof.app.MainActivity'" in launched
    (native,) = [line for line in lines if line.startswith("native-code:")]
    assert [abi for abi in ABIS if abi in native] == list(ABIS)
    # Phones without a camera may have the app: it also takes photos that are there.
    assert "uses-feature-not-required: name='android.hardware.camera'" in map(str.strip, lines)


def test_the_apk_holds_the_model_as_it_was_built(apk: Path, detector: App) -> None:
    with zipfile.ZipFile(apk) as archive:
        entry = archive.getinfo(MODEL)
        data = archive.read(entry)
        code = archive.read("classes.dex")
    # Stored as it is, it can be mapped.
    assert entry.compress_type == zipfile.ZIP_STORED
    assert data == (detector.project.parent / "artifacts/model_float32.tflite").read_bytes()
    for name in ("ai/phoneproof/app/LiveActivity", "org/tensorflow/lite/NativeInterpreterWrapper"):
        assert f"L{name};".encode() in code
