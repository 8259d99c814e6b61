"""The generated iOS app, compiled here: all of it against stubs of Apple's frameworks, its library
for Linux, where its golden proof runs on the bundle's own vectors.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from phoneproof.core.contract import Contract
from phoneproof.core.json_format import parse
from phoneproof.package.ios_app import APP, LIBRARY
from phoneproof.pixels.image import read_image
from tests.integration.swift_chroot import Swift, toolchain
from tests.unit.device_samples import ship

pytestmark = pytest.mark.timeout(1800)

ROOT = Path(__file__).parents[2]
STUBS = ("CoreVideo", "CoreML", "CoreAI", "CoreGraphics", "ImageIO", "UIKit",
         "UniformTypeIdentifiers", "PhotosUI", "AVFoundation", "SwiftUI")  # fmt: skip
"""In the order in which they import each other."""
PICTURES = 8
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """Bundles of a classifier and a detector. swift: sees their folder as ``/work``."""

    swift: Swift

    def bundle(self, task: str) -> Path:
        return self.swift.folder / task

    def parts(self, task: str) -> Path:
        return self.bundle(task) / APP / "phoneproof"

    def check(self, app: str = f"detect/{APP}") -> str:
        """Type-check an app's sources and tests in Swift 6 mode; what the compiler says."""
        checked = "swiftc -swift-version 6 -typecheck -parse-as-library -I stubbed -module-name"
        return self.swift.run(
            f"{checked} PhoneproofApp $(find {app}/Sources -name '*.swift') && "
            f"{checked} PhoneproofAppTests $(find {app}/Tests -name '*.swift')"
        ).stdout

    def proof(self, task: str, decoded: str) -> list[str]:
        """What the proof prints."""
        found = self.swift.succeed(f"./prove {task}/{APP}/phoneproof {decoded}")
        return found.splitlines()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    swift = Swift(root=toolchain(), folder=tmp_path_factory.mktemp("ios"))
    for task in ("classify", "detect"):
        ship(swift.folder / task, task)
    shutil.copytree(ROOT / "mobile/ios/Tests/AppleStubs", swift.folder / "stubs")
    shutil.copy(ROOT / "tests/integration/apple_stubs/CoreAI/CoreAI.swift", swift.folder / "stubs")
    shutil.copy(ROOT / "tests/integration/swift_proof.swift", swift.folder / "main.swift")
    swift.succeed(" && ".join(["mkdir stubbed linux", *_stubbed(), *_for_linux()]))
    return Made(swift=swift)


def _sources(name: str) -> str:
    return f"$(find detect/{LIBRARY}/Sources/{name} -name '*.swift')"


def _stubbed() -> list[str]:
    """Modules of Apple's frameworks and of the library as it is on them."""
    emit = "swiftc -parse-as-library -emit-module -I stubbed -module-name"
    stubs = [
        f"{emit} {one} -emit-module-path stubbed/{one}.swiftmodule stubs/{one}.swift"
        for one in STUBS
    ]
    library = [
        f"{emit} {one} -swift-version 6 -emit-module-path stubbed/{one}.swiftmodule {_sources(one)}"
        for one in ("PhoneproofCore", "Phoneproof")
    ]
    return [*stubs, *library]


def _for_linux() -> list[str]:
    """The library without Apple's frameworks, and the program that runs its proof."""
    emit = "swiftc -O -swift-version 6 -parse-as-library -emit-library -emit-module -I linux"
    emit += " -L linux -Xlinker -rpath -Xlinker /work/linux"
    core = f"{emit} -module-name PhoneproofCore -emit-module-path linux/PhoneproofCore.swiftmodule"
    library = f"{emit} -lPhoneproofCore -module-name Phoneproof"
    library += " -emit-module-path linux/Phoneproof.swiftmodule"
    return [
        f"{core} -o linux/libPhoneproofCore.so {_sources('PhoneproofCore')}",
        f"{library} -o linux/libPhoneproof.so {_sources('Phoneproof')}",
        "swiftc -swift-version 6 -I linux -L linux -lPhoneproofCore -lPhoneproof "
        "-Xlinker -rpath -Xlinker /work/linux -o prove main.swift",
    ]


def test_all_sources_of_the_app_fit_the_frameworks(made: Made) -> None:
    assert made.check() == ""


def test_both_engines_of_apples_were_compiled(made: Made) -> None:
    """The control: nothing was left out by a ``canImport`` that says no."""
    (made.swift.folder / "engines.swift").write_text(
        "import Phoneproof\n@available(iOS 27.0, macOS 27.0, *)\n"
        "func engines() -> [any EngineFactory.Type] { [CoreMLEngines.self, CoreAIEngines.self] }\n"
    )
    assert made.swift.succeed("swiftc -swift-version 6 -typecheck -I stubbed engines.swift") == ""


def test_a_call_that_is_wrong_is_noticed(made: Made) -> None:
    """The control: the type check sees what Xcode would refuse."""
    broken = made.swift.folder / "broken"
    shutil.copytree(made.bundle("detect") / APP, broken)
    screen = broken / "Sources" / "PhotoScreen.swift"
    text = screen.read_text()
    assert "try await Findings.of" in text
    screen.write_text(text.replace("try await Findings.of", "try Findings.of"))
    assert "'async' but is not marked with 'await'" in made.check("broken")


def test_the_class_for_objective_c_fits_but_for_its_attributes(made: Made) -> None:
    """Linux has no Objective-C: its attributes are taken off, all else is compiled."""
    swift = made.swift
    shutil.copytree(made.bundle("detect") / LIBRARY / "Sources", swift.folder / "objc")
    (swift.folder / "ObjectiveC.swift").write_text("// Nothing of it is called.\n")
    place = "objc/Phoneproof/Apple/ObjectiveC.swift"
    assert "@objc(PHPVisionModel)" in (swift.folder / place).read_text()
    said = swift.succeed(
        "cp -r stubbed with && swiftc -parse-as-library -emit-module -module-name ObjectiveC "
        "-emit-module-path with/ObjectiveC.swiftmodule ObjectiveC.swift && "
        f"sed -i -E 's/@objc(\\([^)]*\\))? ?//' {place} && "
        "swiftc -swift-version 6 -typecheck -parse-as-library -I with -module-name Phoneproof "
        "$(find objc/Phoneproof -name '*.swift')"
    )
    assert said == ""


def test_everything_is_formatted(made: Made) -> None:
    assert made.swift.succeed("swift-format lint --strict --recursive detect/ios/App") == ""
    assert made.swift.succeed(f"swift-format lint --strict --recursive detect/{LIBRARY}") == ""
    assert made.swift.succeed("swift-format lint --strict main.swift") == ""


def test_the_package_names_what_is_there(made: Made) -> None:
    said = made.swift.succeed(
        f"cd detect/{LIBRARY} && swift package --disable-sandbox describe --type json 2>/dev/null"
    )
    described = json.loads(said)
    targets = {one["name"]: len(one["sources"]) for one in described["targets"]}
    for name, count in targets.items():
        folder = made.bundle("detect") / LIBRARY / "Sources" / name
        assert count == len(list(folder.rglob("*.swift"))) > 0
    products = {one["name"]: set(one["targets"]) for one in described["products"]}
    assert products == {"Phoneproof": set(targets)}


def decode(made: Made, task: str, name: str, change: Callable[[Path, Pixels], Pixels]) -> str:
    """Write what a device decodes of the golden pictures; the folder's name."""
    folder = made.swift.folder / name
    folder.mkdir()
    contract = parse((made.parts(task) / "contract.json").read_bytes(), Contract, what="contract")
    for path in (made.parts(task) / "golden" / "pictures").iterdir():
        pixels = np.ascontiguousarray(change(path, read_image(path, contract.image)))
        sides = np.array(pixels.shape[:2], "<u4").tobytes()
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / sha256).write_bytes(sides + pixels.tobytes())
    return name


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_the_bundles_own_vectors_are_proved(made: Made, task: str) -> None:
    decoded = decode(made, task, f"{task}-right", lambda _, pixels: pixels)
    said = made.proof(task, decoded)
    assert said == [f"proved artifacts/model.mlmodel by {PICTURES} pictures"]


def test_pictures_in_bgr_are_found(made: Made) -> None:
    decoded = decode(made, "detect", "bgr", lambda _, pixels: pixels[..., ::-1])
    found = made.proof("detect", decoded)[1:]
    # A picture without colour is the same either way.
    assert len(found) == PICTURES - 1
    assert all("pixels" in one and "red and blue are swapped" in one for one in found)


def test_a_picture_that_is_not_turned_is_found(made: Made) -> None:
    def unturned(path: Path, pixels: Pixels) -> Pixels:
        with Image.open(path) as picture:
            orientation = picture.getexif().get(0x0112, 1)
        return np.rot90(pixels) if orientation != 1 else pixels

    found = made.proof("detect", decode(made, "detect", "unturned", unturned))[1:]
    assert len(found) == 1
    assert "rotated-png" in found[0]
    assert "EXIF" in found[0]


def test_a_result_of_another_decoder_is_found(made: Made) -> None:
    other = made.swift.folder / "other"
    shutil.copytree(made.bundle("detect"), other)
    index = other / APP / "phoneproof/golden/index.json"
    document = json.loads(index.read_text())
    boxes = [
        box
        for case in document["cases"]
        for one in case["expected"]["artifacts"]
        for box in one["boxes"]
    ]
    assert boxes
    for box in boxes:
        box["box"][0] += 1e-3
    index.write_text(json.dumps(document))
    decoded = decode(made, "detect", "other-pictures", lambda _, pixels: pixels)
    found = made.proof("other", decoded)[1:]
    assert found
    assert all("results" in one and "lies at" in one for one in found)
