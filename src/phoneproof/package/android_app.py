"""``android/``: a complete Gradle project with an app for the bundle's models.

Its sources are those of ``mobile/android``, which is compiled and tested by itself; only the few
files that hold names are drawn from templates.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from jinja2 import Environment, PackageLoader, StrictUndefined

from phoneproof.core.artifact import Artifact
from phoneproof.core.contract import Contract
from phoneproof.core.engine import ENGINE_FORMATS, AndroidEngine
from phoneproof.package.app_parts import app_artifacts, write_parts
from phoneproof.package.mobile_sources import copy_sources, mobile_folder

PROJECT: Final = "android"
ASSETS: Final = f"{PROJECT}/app/src/main/assets/phoneproof"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLibrary:
    """An engine's library by its Maven coordinates."""

    title: str
    module: str
    version: str
    note: str


ENGINES: Final[dict[AndroidEngine, EngineLibrary]] = {
    "litert": EngineLibrary(
        title="LiteRT",
        module="com.google.ai.edge.litert:litert",
        version="2.3.0",
        note="Its native libraries have the 16 KB pages that the Play store asks for.",
    ),
    "tflite": EngineLibrary(
        title="TensorFlow Lite",
        module="org.tensorflow:tensorflow-lite",
        version="2.16.1",
        note="Its native library has 4 KB pages: for side-loading and tests; the Play store "
        "refuses it in apps for Android 15 and later.",
    ),
    "onnxruntime": EngineLibrary(
        title="ONNX Runtime",
        module="com.microsoft.onnxruntime:onnxruntime-android",
        version="1.22.0",
        note="It runs the bundle's ONNX files.",
    ),
}
"""Versions that the engines were written against; ONNX Runtime's and LiteRT's Android libraries
could not be run where this is tested."""

_PAGES: Final = (
    ("settings.gradle.kts", "settings.gradle.kts.j2"),
    ("build.gradle.kts", "build.gradle.kts.j2"),
    ("gradle.properties", "gradle.properties.j2"),
    ("gradle/libs.versions.toml", "libs.versions.toml.j2"),
    ("README.md", "README.md.j2"),
    (".gitignore", "gitignore.j2"),
    ("app/build.gradle.kts", "app.gradle.kts.j2"),
    ("phoneproof/build.gradle.kts", "phoneproof.gradle.kts.j2"),
)


def write_android_app(
    bundle: Path, contract: Contract, artifacts: Sequence[Artifact], engine: AndroidEngine
) -> None:
    """Write ``android/`` into a bundle that holds models for `engine` and golden vectors.

    Args:
        bundle: its folder; contract, `artifacts` and ``golden`` are in place.
        contract: what the artifacts carry.
        artifacts: all of the bundle's; files of other formats, without golden vectors, or that the
            library does not run are left out. Nothing is written where none is left.
        engine: the library that runs them.

    Raises:
        MissingExtra: the installation lacks the libraries' sources.
    """
    chosen = app_artifacts(bundle, artifacts, {ENGINE_FORMATS[engine]})
    if not chosen:
        return
    project = bundle / PROJECT
    _write_sources(project, engine)
    write_parts(bundle, bundle / ASSETS, chosen)
    _write_pages(project, contract, chosen, ENGINES[engine])
    _name_app(project, contract.name)


def _write_sources(project: Path, engine: AndroidEngine) -> None:
    sources = mobile_folder() / "android"
    copy_sources(sources / ".editorconfig", project / ".editorconfig")
    for module in ("core", "android", f"engine-{engine}"):
        copy_sources(sources / module / "src/main", project / "phoneproof/src/main")
    rules = "consumer-rules.pro"
    copy_sources(sources / "android" / rules, project / "phoneproof" / rules)
    app = sources / "app"
    for part in ("src/main", "src/test", "src/androidTest", "proguard-rules.pro"):
        copy_sources(app / part, project / "app" / part)
    copy_sources(app / "src" / engine, project / "app/src/main")


def _write_pages(
    project: Path, contract: Contract, artifacts: Sequence[Artifact], library: EngineLibrary
) -> None:
    environment = Environment(
        loader=PackageLoader("phoneproof.package", "templates/android"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    for path, template in _PAGES:
        text = environment.get_template(template).render(
            name=contract.name,
            version=contract.version,
            application_id=application_id(contract.name),
            models=", ".join(f"`{one.path}`" for one in artifacts),
            engine=library,
        )
        target = project / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def application_id(name: str) -> str:
    """The app's id: a Java package name whose last part is `name` in letters, digits and "_"."""
    last = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"ai.phoneproof.app.{last if last[:1].isalpha() else f'm{last}'}"


def _name_app(project: Path, name: str) -> None:
    """The launcher shows the model's name: several such apps may be on one phone."""
    path = project / "app/src/main/res/values/strings.xml"
    text = path.read_text(encoding="utf-8")
    words = escape(name).replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"')
    element = '<string name="app_name"{}>{}</string>'
    pattern = re.compile(r'<string name="app_name"([^>]*)>[^<]*</string>')
    named = pattern.sub(lambda found: element.format(found.group(1), words), text, count=1)
    path.write_text(named, encoding="utf-8")
