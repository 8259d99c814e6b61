"""The Swift package on Linux, built once, with what its tests read beside it."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.contract import ImageInput
from phoneproof.package.bundle import read_bundle
from phoneproof.pixels.image import read_image
from tests.integration.mobile_android_build import LITERT
from tests.integration.swift_chroot import Swift, toolchain

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mobile" / "ios"
VECTORS = ROOT / "mobile" / "vectors"
FLAGS = "-c release -Xswiftc -enable-testing"


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """The package with its tests at ``ios``, the vectors at ``vectors``. said: by the compiler."""

    swift: Swift
    said: str

    @property
    def folder(self) -> Path:
        return self.swift.folder

    def test(self, chosen: str, **env: str) -> str:
        """What `swift test` said of the chosen tests, which must pass."""
        return self.swift.succeed(f"cd ios && swift test --skip-build {FLAGS} {chosen}", env)


def built(factory: pytest.TempPathFactory) -> Built:
    """The same for every test of a process. Skips where there is no toolchain."""
    return _built(factory.getbasetemp() / "swift-package")


@cache
def _built(folder: Path) -> Built:
    root = toolchain()
    folder.mkdir()
    shutil.copytree(PACKAGE, folder / "ios", ignore=shutil.ignore_patterns(".build"))
    shutil.copytree(VECTORS, folder / "vectors")
    shutil.copyfile(LITERT, folder / LITERT.name)
    swift = Swift(root=root, folder=folder)
    said = swift.succeed(f"cd ios && swift build --build-tests {FLAGS}")
    return Built(swift=swift, said=said)


def write_raw(run: Path) -> None:
    """Every picture of a run and of its bundle as pixels, since Swift decodes none on Linux.

    ``raw/<SHA-256 of the file>.rgb``: height and width (int32), then RGB; little-endian.
    """
    spec = read_bundle(run / "bundle").contract.image
    (run / "raw").mkdir()
    for folder in (run / "images", run / "bundle" / "golden" / "pictures"):
        for path in sorted(folder.iterdir()):
            _write_raw(path, spec, run / "raw")


def _write_raw(path: Path, spec: ImageInput, folder: Path) -> None:
    pixels = read_image(path, spec)
    name = hashlib.sha256(path.read_bytes()).hexdigest()
    sides = np.array(pixels.shape[:2], "<i4").tobytes()
    (folder / f"{name}.rgb").write_bytes(sides + pixels.tobytes())
