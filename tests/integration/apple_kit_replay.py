"""What a phone would give, for the stub of Core ML that the kit is built against on Linux."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.golden import GoldenCase
from phoneproof.package.apple_kit import KIT, PAYLOAD, KitArtifact
from phoneproof.package.bundle import Bundle
from phoneproof.package.golden import preprocessor
from phoneproof.package.golden_check import read_golden
from phoneproof.package.golden_tensors import read_tensor
from phoneproof.pixels.image import read_image

STUBS = Path(__file__).parent / "apple_stubs"
MODULES = ("CoreML", "CoreVideo", "CoreAI", "SwiftUI")
Change = Callable[[str, NDArray[Any]], NDArray[Any]]
"""(case, an output) -> what the device gives instead."""


def with_stubs(kit: Path, target: Path) -> Path:
    """A copy of a kit whose Apple frameworks are the stubs; nothing else is changed."""
    shutil.copytree(kit, target)
    for name in MODULES:
        shutil.copytree(STUBS / name, target / "Sources" / name)
    path = target / "Package.swift"
    text = path.read_text()
    users = 'dependencies: ["GoldenVectors", "PhoneproofCore"],\n      resources'
    names = ", ".join(f'"{name}"' for name in ("GoldenVectors", "PhoneproofCore", *MODULES))
    assert text.count(users) == 1
    text = text.replace(users, f"dependencies: [{names}],\n      resources")
    stubs = (
        '.target(name: "CoreVideo"), .target(name: "CoreAI"), .target(name: "SwiftUI"),\n'
        '    .target(name: "CoreML", dependencies: ["CoreVideo"]),'
    )
    path.write_text(text.replace("  targets: [\n", f"  targets: [\n    {stubs}\n", 1))
    return target


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The folder that the stub plays from: for each case an input and its outputs."""

    bundle: Bundle
    folder: Path

    def write(self, *, picture: bool, change: Change = lambda _, values: values) -> Path:
        """Inputs as the contract makes them from the pictures, by this side's own code."""
        shutil.rmtree(self.folder, ignore_errors=True)
        golden = self.bundle.folder / "golden"
        cases = [case for case in read_golden(golden).cases if "lossless" in case.flags]
        for case in cases:
            place = self.folder / case.id
            place.mkdir(parents=True)
            (place / "input.bin").write_bytes(self._fed(case, picture=picture))
            for one in case.expected.artifacts[0].outputs:
                assert one.every == 1, "a replay needs whole outputs"
                values = change(case.id, read_tensor(golden, one).copy())
                (place / f"{one.name}.bin").write_bytes(values.tobytes())
        expected = cases[0].expected.artifacts[0]
        outputs = [
            {"name": one.name, "shape": one.shape, "float16": one.dtype == "float16"}
            for one in expected.outputs
        ]
        document = {
            "input": expected.input.name,
            "isPicture": picture,
            "outputs": outputs,
            "cases": [case.id for case in cases],
        }
        (self.folder / "replay.json").write_text(json.dumps(document))
        return self.folder

    def _fed(self, case: GoldenCase, *, picture: bool) -> bytes:
        artifact, contract = self.bundle.manifest.artifacts[0], self.bundle.contract
        rgb = read_image(self.bundle.folder / "golden" / case.file, contract.image)
        prepare = preprocessor(contract, artifact)
        if not picture:
            return bytes(prepare.prepare(rgb).tensor.tobytes())
        pixels = prepare.pixels(rgb)
        order = [0, 1, 2] if contract.image.channels == "bgr" else [2, 1, 0]
        opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        return np.concatenate([pixels[:, :, order], opaque], axis=2).astype(np.uint8).tobytes()


def described(bundle: Bundle) -> KitArtifact:
    """What the bundle's kit says of its first model."""
    data = (bundle.folder / KIT / PAYLOAD / "kit.json").read_bytes()
    return msgspec.json.decode(data, type=_Kit).artifacts[0]


class _Kit(msgspec.Struct, frozen=True):
    artifacts: tuple[KitArtifact, ...]
