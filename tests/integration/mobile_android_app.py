"""A generated Android app: its resources by aapt2, its code and screens by Maven."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from PIL import Image

from tests.integration.android_apk import run
from tests.integration.maven_runs import run_alone
from tests.integration.mobile_android_build import LITERT, Suite, run_maven, suites

NAMESPACE: Final = "ai.phoneproof.app"
_ANDROID: Final = "org.robolectric:android-all:14-robolectric-10818077"
_COPY: Final = "org.apache.maven.plugins:maven-dependency-plugin:3.9.0:copy"
_SIZES: Final = {"portrait": (822, 1782), "landscape": (1782, 822)}
SCREENS: Final = {
    "main-empty": "portrait",
    "main-portrait-light": "portrait",
    "main-portrait-dark": "portrait",
    "main-landscape-light": "landscape",
    "main-error": "portrait",
    "details-light": "portrait",
    "details-self-test-light": "portrait",
    "details-self-test-dark": "landscape",
    "live-refused": "portrait",
    "live-found": "portrait",
}
"""What the screen tests draw, and how the phone is held."""


def aapt2() -> Path:
    """The command; skips where it is missing, and fails under CI."""
    found = shutil.which("aapt2")
    if found is None:
        message = "no aapt2: run scripts/android_toolchain.sh as root"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return Path(found)


def android_jar(command: Path, folder: Path) -> Path:
    """Android's classes with its resources, which aapt2 takes for an SDK's ``android.jar``."""
    words = (f"-Dartifact={_ANDROID}", f"-DoutputDirectory={folder}")
    done = run_alone(command, folder, "-q", _COPY, *words)
    assert done.returncode == 0, done.stdout
    (jar,) = folder.glob("android-all-*.jar")
    return jar


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """r: folder of R.java. config: folder that tells Robolectric where everything lies. manifest:
    as Gradle would merge it."""

    r: Path
    config: Path
    manifest: Path


def link_resources(tool: Path, jar: Path, project: Path, folder: Path) -> Resources:
    """What Gradle does before it compiles: R.java, linked resources, the merged manifest."""
    main = project / "app/src/main"
    manifest = folder / "AndroidManifest.xml"
    text = (main / "AndroidManifest.xml").read_text().replace("${applicationId}", NAMESPACE)
    manifest.write_text(text.replace("<manifest ", f'<manifest package="{NAMESPACE}" ', 1))
    compiled, linked = folder / "compiled.zip", folder / "resources.apk"
    run(tool, "compile", "--dir", main / "res", "-o", compiled)
    run(tool, "link", "-I", jar, "--manifest", manifest, "--java", folder / "r",
        "--min-sdk-version", "24", "--target-sdk-version", "35",
        "-A", main / "assets", "-0", "tflite", "-o", linked, compiled)  # fmt: skip
    properties = folder / "config/com/android/tools/test_config.properties"
    properties.parent.mkdir(parents=True)
    properties.write_text(
        f"android_merged_manifest={manifest}\n"
        f"android_merged_assets={main / 'assets'}\n"
        f"android_resource_apk={linked}\n"
        f"android_custom_package={NAMESPACE}\n"
    )
    return Resources(r=folder / "r", config=folder / "config", manifest=manifest)


@dataclass(frozen=True, kw_only=True, slots=True)
class AppRun:
    """A finished run. out: the screens as PNG files. testing: the modules beside the library."""

    code: int
    said: str
    out: Path
    testing: Path
    suites: dict[str, Suite]


def compile_and_test(
    command: Path, folder: Path, project: Path, resources: Resources, picture: Path
) -> AppRun:
    """Compile a generated project, run its golden test, and draw its screens with `picture`."""
    out = folder / "out"
    out.mkdir()
    given = {
        "phoneproof.app": project,
        "phoneproof.app.r": resources.r,
        "phoneproof.app.config": resources.config,
        "phoneproof.litert": LITERT,
        "phoneproof.picture": picture,
        "phoneproof.out": out,
    }
    words = [f"-D{name}={value}" for name, value in given.items()]
    tests = ("-Dtest=GoldenTest,ScreensTest,LiveTest", "-Dsurefire.failIfNoSpecifiedTests=false")
    done = run_maven(command, folder, "-pl", "testing/apk,testing/app", "-am", *tests, *words)
    return AppRun(
        code=done.returncode,
        said=done.stdout,
        out=out,
        testing=folder / "mobile/android/testing",
        suites=suites(folder),
    )


def require_screens(out: Path) -> None:
    """Every screen was drawn in its size, and shows something: more than a few colours."""
    assert {path.stem for path in out.glob("*.png")} == set(SCREENS)
    for name, held in SCREENS.items():
        with Image.open(out / f"{name}.png") as picture:
            assert picture.size == _SIZES[held], name
            colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
            assert colours is not None
            assert len(colours) > 10, name
