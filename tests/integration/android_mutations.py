"""Mistakes that apps make, put into the library of a generated app one at a time."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TIMEOUT = 900
TEST: Final = "ai.phoneproof.app.GoldenTest"
_OPENED: Final = ("java.lang", "java.util", "java.nio")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """In `file` (of the package ai.phoneproof) `before` becomes `after`. cause: what the golden
    test says of it, in part."""

    name: str
    file: str
    before: str
    after: str
    cause: str


MUTATIONS: Final = (
    Mutation(
        name="blue and red exchanged",
        file="pixels/RowWriter.kt",
        before="input.channels == Channels.BGR",
        after="input.channels != Channels.BGR",
        cause="red and blue are swapped",
    ),
    Mutation(
        name="letterbox one row off",
        file="pixels/Planning.kt",
        before="missingY / 2 else 0",
        after="max(0, missingY / 2 - 1) else 0",
        cause="off by 1 rows",
    ),
    Mutation(
        name="the filter of the other library",
        file="pixels/filters/Resizers.kt",
        before="OpenCvLinear(height, width, rows, centerSamples(width, to.width), channels)",
        after="PillowResizer(height, width, to.height, to.width, channels, "
        "pillowKernel(Filter.PILLOW_BILINEAR))",
        cause="another resize",
    ),
    Mutation(
        name="orientation tag not heeded",
        file="image/PictureDecoder.kt",
        before="Orientation.ofExif(exif.getAttributeInt(ExifInterface.TAG_ORIENTATION, 1))",
        after="Orientation.UPRIGHT",
        cause="orientation tag",
    ),
    Mutation(
        name="divided by 256",
        file="pixels/ValueTables.kt",
        before="pixel * input.scale",
        after="pixel / 256.0",
        cause="255/256",
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """A generated project as testing/app left it.

    project: its folder. target: ``testing/app/target``. compiler: the jars of the Kotlin compiler.
    config: the folder that tells Robolectric where manifest, resources and assets lie.
    """

    project: Path
    target: Path
    compiler: Path
    config: Path

    @property
    def libraries(self) -> str:
        """The class path of tests without the project itself."""
        return (self.target / "classpath.txt").read_text().strip()

    def golden_test(self, *first: Path) -> subprocess.CompletedProcess[str]:
        """The golden test that ships, with the classes in `first` before those of the project."""
        own = [*first, self.config, self.target / "test-classes", self.target / "classes"]
        opened = [f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED]
        places = ":".join([*map(str, own), self.libraries])
        return _java("-Xmx1000m", *opened, "-cp", places, "org.junit.runner.JUnitCore", TEST)

    def mutated(self, mutation: Mutation, folder: Path) -> Path:
        """A folder of the classes of the one file that the mutation changes."""
        package = self.project / "phoneproof/src/main/kotlin/ai/phoneproof"
        text = (package / mutation.file).read_text()
        assert text.count(mutation.before) == 1, mutation.name
        source = folder / Path(mutation.file).name
        source.write_text(text.replace(mutation.before, mutation.after))
        classes, out = self.target / "classes", folder / "classes"
        # Part of the module: what is internal is seen, and called by the same mangled names.
        done = _java(
            *("-Xmx1000m", "-cp", ":".join(map(str, sorted(self.compiler.glob("*.jar"))))),
            *("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", "-no-stdlib", "-no-reflect"),
            *("-jvm-target", "17", "-nowarn", "-module-name", "app"),
            *("-cp", f"{classes}:{self.libraries}", f"-Xfriend-paths={classes}"),
            *("-d", str(out), str(source)),
        )
        assert done.returncode == 0, done.stdout
        return out


def _java(*words: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = ("java", *words)
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
