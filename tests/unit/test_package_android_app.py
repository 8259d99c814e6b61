"""``android/`` of a bundle: a Gradle project with the library, the app and the bundle's parts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import msgspec
import pytest

from phoneproof.core.engine import ENGINE_FORMATS, AndroidEngine
from phoneproof.core.errors import MissingExtra
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.package import mobile_sources
from phoneproof.package.android_app import (
    ASSETS,
    ENGINES,
    PROJECT,
    application_id,
    write_android_app,
)
from phoneproof.package.bundle import Bundle
from tests.assets import ROOT
from tests.unit.device_samples import ship

KOTLIN = ROOT / "mobile" / "android"
PARTS = f"{ASSETS.removeprefix(f'{PROJECT}/')}/"
STRINGS = "app/src/main/res/values/strings.xml"


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return ship(tmp_path / "bundle", "detect", format_="tflite").bundle


def write(bundle: Bundle, engine: AndroidEngine = "litert") -> Mapping[str, bytes]:
    write_android_app(bundle.folder, bundle.contract, bundle.manifest.artifacts, engine)
    project = bundle.folder / PROJECT
    files = (path for path in project.rglob("*") if path.is_file())
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in files}


def named(bundle: Bundle, name: str) -> Bundle:
    return replace(bundle, contract=msgspec.structs.replace(bundle.contract, name=name))


@pytest.mark.parametrize(
    ("engine", "package"),
    [("litert", "LiteRtEngines"), ("tflite", "TfLiteEngines")],
)
def test_the_library_is_vendored_with_one_engine(
    bundle: Bundle, engine: AndroidEngine, package: str
) -> None:
    files = write(bundle, engine)
    own = "phoneproof/src/main/kotlin/"
    vendored = {name.removeprefix(own) for name in files if name.startswith(own)}
    places = [KOTLIN / part / "src/main/kotlin" for part in ("core", "android", f"engine-{engine}")]
    assert vendored == {
        path.relative_to(place).as_posix() for place in places for path in place.rglob("*.kt")
    }
    engines = [name for name in files if name.endswith("/Engines.kt")]
    assert engines == ["app/src/main/kotlin/ai/phoneproof/app/Engines.kt"]
    assert package in files[engines[0]].decode()


def test_the_app_carries_what_it_needs_of_the_bundle(bundle: Bundle) -> None:
    files = write(bundle)
    (artifact,) = bundle.manifest.artifacts
    carried = {name.removeprefix(PARTS) for name in files if name.startswith(PARTS)}
    for name in carried:
        assert files[PARTS + name] == (bundle.folder / name).read_bytes()
    assert {"contract.json", artifact.path, f"{artifact.path}.binding.json"} <= carried
    index = parse(files[f"{PARTS}golden/index.json"], GoldenIndex, what="index")
    left_behind = {
        f"golden/{case.expected.pixels.file}"
        for case in index.cases
        if "lossless" not in case.flags
    }
    assert len(left_behind) == 8
    known = {f"golden/{name}" for name in index.files}
    assert carried & known == known - left_behind


def test_only_models_that_the_engine_runs_are_carried(bundle: Bundle) -> None:
    (one,) = bundle.manifest.artifacts
    other = msgspec.structs.replace(one, id="onnx", format="onnx", path="artifacts/other.onnx")
    rows_vary = msgspec.structs.replace(
        one,
        path="artifacts/rows.tflite",
        binding=msgspec.structs.replace(
            one.binding,
            nms_in_file=True,
            outputs=(msgspec.structs.replace(one.binding.outputs[0], shape=(-1, 6)),),
        ),
    )
    write_android_app(bundle.folder, bundle.contract, [one, other, rows_vary], "litert")
    carried = {path.name for path in (bundle.folder / ASSETS / "artifacts").iterdir()}
    name = Path(one.path).name
    assert carried == {name, f"{name}.binding.json"}


def test_nothing_is_written_where_no_model_fits(bundle: Bundle) -> None:
    assert write(bundle, "onnxruntime") == {}


def test_the_gradle_files_name_the_model_and_the_engine(bundle: Bundle) -> None:
    files = write(named(bundle, "Meter-Detector.2"))
    settings = files["settings.gradle.kts"].decode()
    assert 'rootProject.name = "Meter-Detector.2"' in settings
    app = files["app/build.gradle.kts"].decode()
    assert 'applicationId = "ai.phoneproof.app.meter_detector_2"' in app
    assert f'versionName = "{bundle.contract.version}"' in app
    versions = tomllib.loads(files["gradle/libs.versions.toml"].decode())
    assert versions["libraries"]["engine"]["module"] == "com.google.ai.edge.litert:litert"
    used = {alias for name in ("app", "phoneproof") for alias in re.findall(
        r"libs\.((?!plugins)[\w.]+)", files[f"{name}/build.gradle.kts"].decode())}  # fmt: skip
    assert {alias.replace(".", "-") for alias in used} == set(versions["libraries"])


def test_no_file_names_an_address(bundle: Bundle) -> None:
    for name, data in write(bundle).items():
        if Path(name).suffix in (".kts", ".toml", ".properties", ".md"):
            assert b"http" not in data, name


def test_the_launcher_shows_the_models_name(bundle: Bundle) -> None:
    files = write(named(bundle, 'Bob\'s "best" <model> & co'))
    resources = ElementTree.fromstring(files[STRINGS].decode())
    label = resources.find("string[@name='app_name']")
    assert label is not None
    assert label.text == 'Bob\\\'s \\"best\\" <model> & co'


@pytest.mark.parametrize(
    ("name", "last"),
    [("yolov8n-coco", "yolov8n_coco"), ("8bit", "m8bit"), ("--", "m"), ("Zähler", "z_hler")],
)
def test_any_name_gives_a_java_package(name: str, last: str) -> None:
    found = application_id(name)
    assert found == f"ai.phoneproof.app.{last}"
    assert re.fullmatch(r"([a-z][a-z0-9_]*\.)+[a-z][a-z0-9_]*", found)


def test_every_engine_has_a_library() -> None:
    assert set(ENGINES) == set(ENGINE_FORMATS) == set(get_args(AndroidEngine))


def test_an_installation_without_sources_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mobile_sources, "_PACKED", tmp_path / "_mobile")
    monkeypatch.setattr(mobile_sources, "_CHECKED_OUT", tmp_path / "mobile")
    with pytest.raises(MissingExtra) as caught:
        mobile_sources.mobile_folder()
    assert "install phoneproof again" in caught.value.next_step


def test_what_a_build_left_is_not_copied(tmp_path: Path) -> None:
    (tmp_path / "a/target").mkdir(parents=True)
    (tmp_path / "a/target/x.class").write_bytes(b"")
    (tmp_path / "a/b.kt").write_text("")
    mobile_sources.copy_sources(tmp_path / "a", tmp_path / "c")
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["b.kt"]
