"""The generated iOS app: complete, deterministic, and a project file that holds together."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import msgspec
import pytest

from phoneproof.core.artifact import Artifact, tree_sha256
from phoneproof.core.contract import Contract
from phoneproof.core.errors import MissingExtra
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.package import mobile_sources
from phoneproof.package.ios_app import (
    APP,
    LIBRARY,
    display_name,
    product_name,
    quoted,
    write_ios_app,
)
from tests.assets import ROOT
from tests.unit.device_samples import Shipped, ship
from tests.unit.openstep import NotAPropertyList, read_property_list

HOSTILE = [
    'a"b\\c; rm -rf / */ } );',
    "$(inherited) ${HOME} `id`",
    "../../etc/passwd",
    "42 is a number",
    "Größe, 大きさ, размер",
    "大",
    "",
    "   ",
    "line\nbreak\ttab\x00\u202e",
    "Phoneproof",
    "x" * 4000,
    "<app>&name;'",
]

Objects = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    made = ship(tmp_path_factory.mktemp("ios") / "bundle", "detect")
    write(made.folder)
    return made


def parts_of(bundle: Path) -> tuple[Contract, list[Artifact]]:
    contract = parse((bundle / "contract.json").read_bytes(), Contract, what="contract")
    manifest = msgspec.json.decode((bundle / "manifest.json").read_bytes())
    return contract, [msgspec.convert(one, Artifact) for one in manifest["artifacts"]]


def write(bundle: Path, name: str | None = None) -> None:
    contract, artifacts = parts_of(bundle)
    if name is not None:
        contract = msgspec.structs.replace(contract, name=name)
    write_ios_app(bundle, contract, artifacts)


def project_of(bundle: Path, name: str | None = None) -> tuple[dict[str, Any], Objects]:
    pattern = "*.xcodeproj" if name is None else f"{name}.xcodeproj"
    (folder,) = (bundle / APP).glob(pattern)
    document = cast(dict[str, Any], read_property_list((folder / "project.pbxproj").read_text()))
    return document, cast(Objects, document["objects"])


def referenced(value: object) -> set[str]:
    """Everything in `value` that looks like the id of an object."""
    if isinstance(value, dict):
        return {one for pair in value.items() for part in pair for one in referenced(part)}
    if isinstance(value, list):
        return {one for part in value for one in referenced(part)}
    return {value} if isinstance(value, str) and re.fullmatch(r"[0-9A-F]{24}", value) else set()


def of_kind(objects: Objects, kind: str) -> list[dict[str, Any]]:
    return [one for one in objects.values() if one["isa"] == kind]


def test_every_object_is_there_and_reachable(shipped: Shipped) -> None:
    document, objects = project_of(shipped.folder)
    assert document["objectVersion"] == "77"
    reached: set[str] = set()
    waiting = {document["rootObject"]}
    while waiting:
        one = waiting.pop()
        assert one in objects, f"{one} is referenced and not there"
        reached.add(one)
        waiting |= referenced(objects[one]) - reached
    assert reached == set(objects)


def test_the_project_shows_what_lies_beside_it(shipped: Shipped) -> None:
    app = shipped.folder / APP
    _, objects = project_of(shipped.folder)
    assert {one["path"] for one in of_kind(objects, "PBXFileSystemSynchronizedRootGroup")} == {
        "Sources",
        "Tests",
    }
    shown = [one for one in of_kind(objects, "PBXFileReference") if one["sourceTree"] == "<group>"]
    assert {one["path"] for one in shown} == {"phoneproof", "README.md"}
    synchronized = of_kind(objects, "PBXFileSystemSynchronizedRootGroup")
    assert all((app / one["path"]).exists() for one in (*shown, *synchronized))
    (folder,) = (one for one in shown if one["path"] == "phoneproof")
    assert folder["lastKnownFileType"] == "folder"  # blue: copied as it is
    (package,) = of_kind(objects, "XCLocalSwiftPackageReference")
    assert (app / package["relativePath"] / "Package.swift").is_file()
    library = (shipped.folder / LIBRARY / "Package.swift").read_text()
    for product in of_kind(objects, "XCSwiftPackageProductDependency"):
        assert f'.library(name: "{product["productName"]}"' in library


def test_targets_are_an_app_and_its_tests(shipped: Shipped) -> None:
    _, objects = project_of(shipped.folder)
    app, tests = of_kind(objects, "PBXNativeTarget")
    assert app["productType"] == "com.apple.product-type.application"
    assert tests["productType"] == "com.apple.product-type.bundle.unit-test"
    phases = [objects[phase]["isa"] for phase in app["buildPhases"]]
    assert phases == ["PBXSourcesBuildPhase", "PBXFrameworksBuildPhase", "PBXResourcesBuildPhase"]
    (dependency,) = (objects[one] for one in tests["dependencies"])
    assert objects[dependency["target"]] is app
    proxy = objects[dependency["targetProxy"]]
    assert objects[proxy["remoteGlobalIDString"]] is app
    for target in (app, tests):
        listed = objects[target["buildConfigurationList"]]["buildConfigurations"]
        assert [objects[one]["name"] for one in listed] == ["Debug", "Release"]


def settings(objects: Objects) -> list[dict[str, Any]]:
    return [one["buildSettings"] for one in of_kind(objects, "XCBuildConfiguration")]


def test_build_settings(shipped: Shipped) -> None:
    _, objects = project_of(shipped.folder)
    everywhere = [one for one in settings(objects) if "SWIFT_VERSION" in one]
    assert [one["SWIFT_VERSION"] for one in everywhere] == ["6.0", "6.0"]
    assert {one["IPHONEOS_DEPLOYMENT_TARGET"] for one in everywhere} == {"15.0"}
    assert {one["TARGETED_DEVICE_FAMILY"] for one in everywhere} == {"1,2"}
    apps = [one for one in settings(objects) if "INFOPLIST_KEY_CFBundleDisplayName" in one]
    assert len(apps) == 2
    for one in apps:
        assert one["INFOPLIST_KEY_NSCameraUsageDescription"]
        assert one["INFOPLIST_KEY_NSPhotoLibraryUsageDescription"]
        assert one["GENERATE_INFOPLIST_FILE"] == "YES"


def test_tests_run_inside_the_app(shipped: Shipped) -> None:
    _, objects = project_of(shipped.folder)
    hosts = [one["TEST_HOST"] for one in settings(objects) if "TEST_HOST" in one]
    (name,) = {target["name"] for target in of_kind(objects, "PBXNativeTarget")[:1]}
    place = f"$(BUILT_PRODUCTS_DIR)/{name}.app/$(BUNDLE_EXECUTABLE_FOLDER_PATH)/{name}"
    assert hosts == [place, place]


def test_the_scheme_names_the_targets(shipped: Shipped) -> None:
    _, objects = project_of(shipped.folder)
    (scheme,) = (shipped.folder / APP).rglob("*.xcscheme")
    root = ElementTree.parse(scheme).getroot()
    found = {
        (one.attrib["BlueprintIdentifier"], one.attrib["BlueprintName"])
        for one in root.iter("BuildableReference")
    }
    targets = {
        (key, one["name"]) for key, one in objects.items() if one["isa"] == "PBXNativeTarget"
    }
    assert found == targets
    containers = {one.attrib["ReferencedContainer"] for one in root.iter("BuildableReference")}
    assert containers == {f"container:{scheme.parents[2].name}"}


def test_parts_are_those_of_the_bundle(shipped: Shipped) -> None:
    resources = shipped.folder / APP / "phoneproof"
    for path in resources.rglob("*"):
        if path.is_file():
            inside = path.relative_to(resources)
            assert path.read_bytes() == (shipped.folder / inside).read_bytes(), inside
    contract, artifacts = parts_of(shipped.folder)
    for one in artifacts:
        assert tree_sha256(resources / one.path) == one.sha256
        assert (resources / f"{one.path}.binding.json").is_file()
    index = parse((resources / "golden/index.json").read_bytes(), GoldenIndex, what="index")
    assert index.contract == contract.sha256
    ids = {one.id for one in artifacts}
    for case in index.cases:
        needed = [case.file]
        for outputs in case.expected.artifacts:
            if outputs.artifact in ids:
                needed += [outputs.input.file, *(one.file for one in outputs.outputs)]
        for file in needed:
            assert (resources / "golden" / file).is_file(), file


def test_sources_are_copied_as_they_are(shipped: Shipped) -> None:
    ours = ROOT / "mobile" / "ios"
    for copied, original in (
        (shipped.folder / APP / "Sources", ours / "App" / "Sources"),
        (shipped.folder / APP / "Tests", ours / "App" / "Tests"),
        (shipped.folder / LIBRARY / "Sources/Phoneproof", ours / "Sources/Phoneproof"),
        (shipped.folder / LIBRARY / "Sources/PhoneproofCore", ours / "Sources/PhoneproofCore"),
    ):
        theirs = {p.relative_to(copied): p.read_bytes() for p in copied.rglob("*.swift")}
        assert theirs
        assert theirs == {
            p.relative_to(original): p.read_bytes() for p in original.rglob("*.swift")
        }
    assert not list((shipped.folder / LIBRARY).rglob("AppleStubs"))


def snapshot(bundle: Path) -> dict[str, bytes]:
    return {
        path.relative_to(bundle).as_posix(): path.read_bytes()
        for folder in (APP, LIBRARY)
        for path in (bundle / folder).rglob("*")
        if path.is_file()
    }


def test_it_is_deterministic(tmp_path: Path, shipped: Shipped) -> None:
    again = ship(tmp_path / "bundle", "detect")
    write(again.folder)
    assert snapshot(again.folder) == snapshot(shipped.folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_not_break_the_project(
    tmp_path: Path, shipped: Shipped, name: str
) -> None:
    bundle = tmp_path / "bundle"
    skipped = shutil.ignore_patterns("ios", "android")
    shutil.copytree(shipped.folder, bundle, ignore=skipped)
    before = set(tmp_path.rglob("*"))
    write(bundle, name)
    assert {path for path in tmp_path.rglob("*") if "ios" not in path.parts} == before
    document, objects = project_of(bundle, product_name(name))
    assert document["rootObject"] in objects
    shown = {one.get("INFOPLIST_KEY_CFBundleDisplayName") for one in settings(objects)} - {None}
    assert shown == {display_name(name)}
    (scheme,) = (bundle / APP).rglob("*.xcscheme")
    ElementTree.parse(scheme)


@pytest.mark.parametrize("name", [*HOSTILE, "\ud800", "yolov8n-coco", "a.b", "-x-", "_"])
def test_product_names_are_ones_that_xcode_takes(name: str) -> None:
    made = product_name(name)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,50}", made)
    assert made.lower() != "phoneproof"
    assert "$" not in display_name(name)
    assert display_name(name).isprintable()
    assert display_name(name)


def test_product_names_stay_readable() -> None:
    assert product_name("yolov8n-coco-rebuilt") == "yolov8n-coco-rebuilt"
    assert product_name("Café 2") == "Cafe-2"
    assert product_name("7 dwarfs") == "Model-7-dwarfs"
    assert product_name("大") == "Model"
    assert product_name("Phoneproof") == "Phoneproof-app"


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a b", "", "$(x)", "a\nb", "a-b", "ü"])
def test_quoted_text_is_read_back(text: str) -> None:
    assert read_property_list("{ a = " + quoted(text) + "; }") == {"a": text}


@pytest.mark.parametrize(
    "text",
    [
        "{ a = b }",
        "{ a = b; a = c; }",
        '{ a = "b; }',
        "{ a = (b, c; }",
        "{ a = b; } c",
        "{ a = ü; }",
    ],
)
def test_the_reader_refuses_what_is_no_property_list(text: str) -> None:
    """The control: a broken project does not pass."""
    with pytest.raises(NotAPropertyList):
        read_property_list(text)


def test_nothing_is_written_without_vectors_or_fitting_models(tmp_path: Path) -> None:
    made = ship(tmp_path / "bundle", format_="tflite")
    write(made.folder)
    assert not (made.folder / APP).exists()
    apple = ship(tmp_path / "apple")
    contract, artifacts = parts_of(apple.folder)
    other = tmp_path / "other"
    other.mkdir()
    write_ios_app(other, contract, artifacts)
    assert list(other.iterdir()) == []


def test_core_ai_models_come_with_the_system_that_they_need(tmp_path: Path) -> None:
    made = ship(tmp_path / "bundle", format_="coreai")
    write(made.folder)
    _, (artifact,) = parts_of(made.folder)
    assert (made.folder / APP / "phoneproof" / artifact.path).is_file()
    assert (
        f"`{artifact.path}`, for Core AI: iOS 27" in (made.folder / APP / "README.md").read_text()
    )


def test_missing_sources_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = ship(tmp_path / "bundle")
    monkeypatch.setattr(mobile_sources, "_CHECKED_OUT", tmp_path)
    with pytest.raises(MissingExtra, match="are missing"):
        write(made.folder)
