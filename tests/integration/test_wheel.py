"""What is installed from a wheel is whole: the sources of the mobile libraries are in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.assets import ROOT

MOBILE = ROOT / "mobile"
PACKED = "phoneproof/_mobile/"
PARTS = (
    "android/.editorconfig",
    "android/android/consumer-rules.pro",
    "android/android/src/main",
    "android/app",
    "android/core/src/main",
    "android/engine-litert/src/main",
    "android/engine-onnxruntime/src/main",
    "android/engine-tflite/src/main",
    "ios/App",
    "ios/Sources/Phoneproof",
    "ios/Sources/PhoneproofCore",
)
ASK = "from phoneproof.package.mobile_sources import mobile_folder; print(mobile_folder())"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    words = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder))
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def files_of(place: Path) -> set[str]:
    found = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return {path.relative_to(MOBILE).as_posix() for path in found}


def test_the_mobile_sources_are_in_it_and_nothing_else_of_them(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packed = {name.removeprefix(PACKED) for name in names if name.startswith(PACKED)}
    assert packed == set().union(*(files_of(MOBILE / part) for part in PARTS))


def test_templates_and_the_apple_kit_are_in_it(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = ROOT / "src" / "phoneproof" / "package"
    places = [
        path for part in ("templates", "apple_verify") for path in (package / part).rglob("*")
    ]
    sources = {path.relative_to(ROOT / "src").as_posix() for path in places if path.is_file()}
    assert sources
    assert sources <= names


def test_an_installed_package_finds_its_own(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        (sys.executable, "-c", ASK),
        env={"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(tmp_path / "phoneproof" / "_mobile")
