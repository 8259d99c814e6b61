"""Whole programs in the reference runtime: float16, planted faults, images, memory."""

from __future__ import annotations

import shutil
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.program import BlobReference, Operation, Program, Reference
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.formats.quiet import quiet
from phoneproof.runtimes.backends.coreml import CoreMlRuntime, MilSession, open_counting
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools
from phoneproof.runtimes.backends.mil_torch.float16 import finding
from tests.integration.mil_programs import Array, Body, save
from tests.unit import coreml_files

X = np.random.default_rng(5).uniform(-1, 1, (1, 3, 12, 10)).astype(np.float32)
WEIGHT = "Data/com.apple.CoreML/weights/weight.bin"


def weights(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def net(seed: int = 1, width: int = 8) -> Body:
    """Two convolutions, the second with a palette of 16 weights."""
    indices = np.random.default_rng(seed).integers(0, 16, (5, width, 3, 3)).astype(np.uint8)
    each = (indices.reshape(-1, 1) >> np.arange(4)) & 1
    packed = np.packbits(each.astype(np.uint8).reshape(-1), bitorder="little")
    lut = np.sort(weights(seed + 1, 16))

    def body(mb: Any, x: Any) -> Any:
        x = mb.conv(x=x, weight=weights(seed, width, 3, 3, 3), pad_type="same", name="first")
        x = mb.silu(x=x, name="act")
        palette = mb.constexpr_lut_to_dense(
            lut=lut, indices=packed, shape=np.array([5, width, 3, 3], np.uint32), name="palette"
        )
        return mb.conv(x=x, weight=palette, pad_type="valid", name="second")

    return body


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(net(), [X], tmp_path_factory.mktemp("net") / "net.mlpackage")


@pytest.fixture
def copy(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "copy.mlpackage"))


def output(path: Path, x: Array = X) -> Array:
    session = CoreMlRuntime().open(path, threads=1)
    (found,) = session.run({session.inputs[0].name: x}).values()
    return found


def shift(path: Path, package: Path) -> float:
    """Largest difference from the untouched package, relative to its largest value."""
    whole = output(package)
    return float(np.abs(output(path) - whole).max() / np.abs(whole).max())


def stored(path: Path, operation: str, key: str) -> BlobReference:
    """Where a constant that an operation reads lies in the file of weights."""
    program: Program = program_of(read_coreml(path))
    made = {out.name: each for each in program.operations for out in each.outputs}
    owner = next(each for each in program.operations if each.name == operation)
    value = owner.attributes.get(key) or owner.inputs[key][0]
    if isinstance(value, Reference):
        source: Operation = made[value.name]
        value = source.attributes["val"]
    assert isinstance(value, BlobReference)
    return value


def edit(path: Path, place: BlobReference, change: Callable[[Array], Array]) -> None:
    """Change a float32 tensor in the file of weights; its numbers follow a header."""
    count = int(np.prod(place.type.shape))
    start = place.offset + coreml_files.ENTRY.size
    numbers = np.memmap(path / WEIGHT, np.float32, "r+", start, (count,))
    numbers[:] = change(np.array(numbers))
    numbers.flush()


def test_an_untouched_copy_gives_the_same(copy: Path, package: Path) -> None:
    edit(copy, stored(copy, "first", "weight"), lambda numbers: numbers)
    assert shift(copy, package) == 0


def test_one_layer_scaled_is_seen(copy: Path, package: Path) -> None:
    edit(copy, stored(copy, "first", "weight"), lambda numbers: numbers * np.float32(1e6))
    assert shift(copy, package) > 1e4


def test_two_palette_entries_exchanged_are_seen(copy: Path, package: Path) -> None:
    def exchange(lut: Array) -> Array:
        lut[[3, 4]] = lut[[4, 3]]
        return lut

    place = stored(copy, "palette", "lut")
    assert place.type.shape == (16,)
    edit(copy, place, exchange)
    assert shift(copy, package) > 1e-3


def test_weights_of_a_sister_are_seen(copy: Path, package: Path, tmp_path: Path) -> None:
    other = save(net(seed=9), [X], tmp_path / "other.mlpackage")
    shutil.copyfile(other / WEIGHT, copy / WEIGHT)
    assert shift(copy, package) > 0.1


def test_weights_of_another_network_are_refused(copy: Path, tmp_path: Path) -> None:
    other = save(net(width=6), [X], tmp_path / "other.mlpackage")
    shutil.copyfile(other / WEIGHT, copy / WEIGHT)
    with pytest.raises(InvalidInput, match="another model's"):
        output(copy)


def test_a_package_without_its_weights_is_refused(copy: Path) -> None:
    (copy / WEIGHT).unlink()
    with pytest.raises(InvalidInput, match=r"copy\.mlpackage comes without its weights"):
        CoreMlRuntime().open(copy)


# float16


def half_net(gain: float) -> Body:
    """Cast, scale, sum over places, in 16 bits, and back."""

    def body(mb: Any, x: Any) -> Any:
        x = mb.cast(x=x, dtype="fp16", name="narrow")
        x = mb.mul(x=x, y=np.float16(gain), name="scaled")
        x = mb.reduce_sum(x=x, axes=[2, 3], name="summed")
        return mb.cast(x=x, dtype="fp32", name="out")

    return body


def test_float16_is_rounded_after_each_operation(tmp_path: Path) -> None:
    path = save(half_net(3.3), [X], tmp_path / "half.mlpackage")
    narrow = X.astype(np.float16).astype(np.float32)
    scaled = (narrow * np.float32(np.float16(3.3))).astype(np.float16).astype(np.float64)
    expected = scaled.sum((2, 3)).astype(np.float16).astype(np.float32)
    assert np.array_equal(output(path), expected)


def test_float16_overflow_is_infinite_and_counted(tmp_path: Path) -> None:
    x = np.full_like(X, 100.0)
    x[0, 1] = 1.0
    session = open_counting(save(half_net(600.0), [X], tmp_path / "half.mlpackage"))
    (found,) = session.run({session.inputs[0].name: x}).values()
    assert found.tolist() == [[np.inf, np.inf, np.inf]]
    found_by = {item.operation: item for item in session.float16_findings()}
    assert list(found_by) == ["narrow", "scaled", "summed"]
    # 60000 can be held, its sum over 120 places cannot; nor can 120 times 600
    assert [item.overflows for item in found_by.values()] == [0, 0, 3]
    assert found_by["scaled"].largest == 60000
    assert found_by["summed"].values == 3


def test_small_numbers_are_counted(tmp_path: Path) -> None:
    x = np.zeros_like(X)
    x[0, 0, 0, :4] = [2.0**-14, 2.0**-15, 2.0**-24, 2.0**-26]
    session = open_counting(save(half_net(1.0), [X], tmp_path / "half.mlpackage"))
    for _ in range(2):
        session.run({session.inputs[0].name: x})
    narrow = session.float16_findings()[0]
    assert (narrow.operation, narrow.type, narrow.values) == ("narrow", "cast", 2 * x.size)
    assert (narrow.subnormals, narrow.vanished, narrow.overflows) == (4, 2, 0)


def test_findings_count_what_rounding_does() -> None:
    rng = np.random.default_rng(2)
    values = np.exp(rng.uniform(-25, 15, 5000)).astype(np.float32)
    values[:7] = [0.0, np.inf, -np.inf, np.nan, -0.0, 65519.0, 65520.0]
    with np.errstate(over="ignore"):
        half = values.astype(np.float16)
    small = (np.abs(half) < 2.0**-14) & (half != 0)
    found = finding("op", "add", torch.from_numpy(values))
    assert found.overflows == np.sum(np.isinf(half) & np.isfinite(values))
    assert found.subnormals == np.sum(small)
    assert found.vanished == np.sum((half == 0) & (values != 0))
    assert found.largest == values[np.isfinite(values)].max()


def test_nothing_is_counted_unless_asked(tmp_path: Path) -> None:
    session = MilSession(read_coreml(save(half_net(1.0), [X], tmp_path / "half.mlpackage")))
    session.run({session.inputs[0].name: X})
    assert session.float16_findings() == ()


# images, memory, imports


@pytest.fixture
def picture_model(tmp_path: Path) -> Path:
    path = coreml_files.package(tmp_path / "image.mlpackage")
    file = read_coreml(path)
    image = file.spec.description.input[0].type.imageType
    image.height, image.width, image.colorSpace = 8, 6, 30
    file.model.write_bytes(file.spec.SerializeToString())
    return path


def test_an_image_input_takes_raw_pixels(picture_model: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (1, 3, 8, 6)).astype(np.uint8)
    session = CoreMlRuntime().open(picture_model)
    (spec,) = session.inputs
    assert (spec.shape, spec.dtype) == ((1, 3, 8, 6), "float32")
    whole = session.run({"image": pixels})["out"]
    assert np.array_equal(whole, session.run({"image": pixels.astype(np.float32)})["out"])
    turned = session.run({"image": np.ascontiguousarray(pixels[:, ::-1])})["out"]
    assert np.abs(turned - whole).max() > 0.1 * np.abs(whole).max()
    scaled = session.run({"image": pixels.astype(np.float32) / np.float32(255)})["out"]
    np.testing.assert_allclose(scaled * 255, whole, rtol=1e-4, atol=1e-2)


def test_an_array_input_takes_no_bytes(package: Path) -> None:
    session = CoreMlRuntime().open(package)
    with pytest.raises(InvalidInput, match="wrong type"):
        session.run({session.inputs[0].name: X.astype(np.uint8)})


def test_a_classifier_gives_its_probabilities(tmp_path: Path) -> None:
    tools = import_coremltools()

    class Shares(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.softmax(x.flatten(1), 1)

    x = X[:, :1, :1, :5]
    program = torch.export.export(Shares(), (torch.from_numpy(x.copy()),))
    with quiet():
        model = tools.convert(
            program.run_decompositions({}),
            classifier_config=tools.ClassifierConfig(list("abcde")),
            minimum_deployment_target=tools.target.iOS17,
            compute_precision=tools.precision.FLOAT32,
            skip_model_load=True,
        )
    model.save(str(tmp_path / "classes.mlpackage"))
    session = CoreMlRuntime().open(tmp_path / "classes.mlpackage")
    (spec,) = session.outputs
    (found,) = session.run({session.inputs[0].name: x}).values()
    assert (spec.name, spec.shape) == ("classLabel_probs", (1, 5))
    np.testing.assert_allclose(found, torch.softmax(torch.from_numpy(x).flatten(1), 1), rtol=1e-6)


def test_values_go_when_nothing_reads_them_again(tmp_path: Path) -> None:
    def body(mb: Any, x: Any) -> Any:
        kept = x
        for _ in range(6):
            x = mb.add(x=x, y=1.0)
        return mb.add(x=x, y=kept, name="out")

    session = MilSession(read_coreml(save(body, [X], tmp_path / "chain.mlpackage")))
    seen: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def watch(name: str, value: torch.Tensor) -> None:
        alive.append(sum(ref() is not None for ref in seen))
        seen.append(weakref.ref(value))

    fed = {session.inputs[0].name: torch.from_numpy(X.copy())}
    session._module.run(fed, watch)
    assert len(alive) == 7
    assert max(alive) <= 1


def test_reading_and_running_need_no_coremltools_itself(package: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from phoneproof.runtimes.base import RUNTIMES\n"
        f"RUNTIMES.load('coreml').open(Path({str(package)!r}))\n"
        "heavy = [name for name in ('coremltools', 'tensorflow') if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
