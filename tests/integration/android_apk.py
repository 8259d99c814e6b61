"""A generated app assembled into a signed APK without an Android SDK: R8, aapt2, zipalign,
apksigner, and Android's own classes from Robolectric's copy."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ABIS = ("arm64-v8a", "armeabi-v7a", "x86_64")
"""Those of app/build.gradle.kts; here in one APK."""
PASSWORD = "android"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What an APK takes beside the app. folder: what testing/apk gathers. android: Android 14's
    classes and resources."""

    folder: Path
    android: Path

    def unpacked(self, archive: str, folder: Path) -> Path:
        """An .aar's folder: ``classes.jar``, ``jni/<abi>/``, ``proguard.txt``."""
        target = folder / archive
        with zipfile.ZipFile(self.folder / f"{archive}.aar") as opened:
            opened.extractall(target)
        return target


def assemble(
    project: Path, manifest: Path, classes: Path, parts: Parts, folder: Path, application: str
) -> Path:
    """The signed APK of a project whose Kotlin was compiled into the folder `classes`.

    Args:
        manifest: merged as Gradle would: with its package and without placeholders.
        application: the app's id.
        folder: where everything is made; it is empty.
    """
    resources, rules = _linked(project, manifest, parts, folder, application)
    dex = _shrunk(project, classes, parts, rules, folder)
    with zipfile.ZipFile(resources, "a") as apk:
        apk.write(dex, "classes.dex", zipfile.ZIP_DEFLATED)
        for abi in ABIS:
            for library in sorted((folder / "tensorflow-lite/jni" / abi).glob("*.so")):
                apk.write(library, f"lib/{abi}/{library.name}", zipfile.ZIP_STORED)
    aligned, signed, key = (folder / name for name in ("aligned.apk", "signed.apk", "key.jks"))
    run("zipalign", "-p", "4", resources, aligned)
    run("keytool", "-genkeypair", "-keystore", key, "-storepass", PASSWORD, "-keypass", PASSWORD,
        "-alias", "test", "-keyalg", "RSA", "-keysize", "2048", "-validity", "1",
        "-dname", "CN=test")  # fmt: skip
    run("apksigner", "sign", "--ks", key, "--ks-pass", f"pass:{PASSWORD}", "--out", signed, aligned)
    return signed


def _linked(
    project: Path, manifest: Path, parts: Parts, folder: Path, application: str
) -> tuple[Path, Path]:
    """Resources, manifest and assets; and what the manifest and the layouts name."""
    main = project / "app/src/main"
    compiled, resources, rules = (folder / n for n in ("res.zip", "app.apk", "manifest.pro"))
    run("aapt2", "compile", "--dir", main / "res", "-o", compiled)
    run("aapt2", "link", "-I", parts.android, "--manifest", manifest, "-A", main / "assets",
        "--min-sdk-version", "24", "--target-sdk-version", "35", "--version-code", "1",
        "--version-name", "1", "--rename-manifest-package", application, "-0", ".tflite",
        "--proguard", rules, "-o", resources, compiled)  # fmt: skip
    return resources, rules


def _shrunk(project: Path, classes: Path, parts: Parts, rules: Path, folder: Path) -> Path:
    """``classes.dex`` as a release build has it."""
    libraries = [
        parts.unpacked(name, folder) for name in ("tensorflow-lite", "tensorflow-lite-api")
    ]
    own = shutil.make_archive(str(folder / "own"), "zip", classes)
    (folder / "own.zip").rename(folder / "own.jar")
    absent = folder / "absent.pro"
    absent.write_text("-dontwarn org.jetbrains.annotations.**\n")
    given = [rules, absent, project / "app/proguard-rules.pro",
             project / "phoneproof/consumer-rules.pro"]  # fmt: skip
    given += [path for one in libraries if (path := one / "proguard.txt").is_file()]
    words: list[str | Path] = ["java", "-Xmx1500m", "-cp", parts.folder / "r8.jar",
             "com.android.tools.r8.R8", "--release", "--min-api", "24",
             "--output", folder / "dex.zip",
             "--lib", parts.android, "--lib", _java_home()]  # fmt: skip
    for path in given:
        words += ["--pg-conf", path]
    inputs = [Path(own).with_suffix(".jar"), *(one / "classes.jar" for one in libraries)]
    run(*words, *inputs, parts.folder / "kotlin-stdlib.jar")
    with zipfile.ZipFile(folder / "dex.zip") as archive:
        return Path(archive.extract("classes.dex", folder))


def _java_home() -> Path:
    return Path(shutil.which("javac") or "").resolve().parents[1]


def run(*words: str | Path) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{words[0]}: {done.stdout[-4000:]}"
    return done.stdout


def badging(apk: Path) -> Sequence[str]:
    """What a phone's installer reads, line by line."""
    return run("aapt", "dump", "badging", apk).splitlines()
