"""What every optimizer promises, whatever library it wraps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.artifact import WrittenModel, tree_sha256
from phoneproof.core.binding import Binding, Format, Precision
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import (
    Dynamic,
    Float16,
    Io,
    MethodRanges,
    Palette,
    Ranges,
    Recipe,
    Sparse,
    Static,
    TensorRange,
    WeightOnly,
)
from phoneproof.core.tensors import TensorSpec
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.pixels.values import stored
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One optimizer with one recipe.

    precision: what has to be read back. near: largest difference to the parent's outputs, as a
    share of their largest magnitude: a few steps of the recipe's coarsest numbers.
    """

    optimizer: str
    recipe: Recipe
    precision: Precision
    near: float

    def __str__(self) -> str:
        io = self.recipe.io if isinstance(self.recipe, Static) else Io()
        return f"{self.optimizer}-{self.precision}-{io.input}-{io.output}"


def _static(optimizer: str, io: Io) -> Case:
    return Case(optimizer=optimizer, recipe=Static(io=io), precision="static_wi8_ai8", near=0.05)


FLOAT16: Final = Float16(float32_share=0.01)
SPARSE: Final = Sparse(share=0.3)
CASES: Final = (
    Case(optimizer="coreml-float16", recipe=FLOAT16, precision="float16", near=0.01),
    _static("coreml-quantized", Io()),
    Case(optimizer="coreml-quantized", recipe=WeightOnly(), precision="weight_only_wi8", near=0.03),
    Case(optimizer="coreml-quantized", recipe=Palette(bits=4), precision="palette4", near=0.3),
    Case(optimizer="coreml-sparse", recipe=SPARSE, precision="sparse", near=0.3),
    Case(optimizer="onnx-float16", recipe=FLOAT16, precision="float16", near=0.01),
    _static("onnx-quantized", Io()),
    Case(optimizer="onnx-quantized", recipe=Dynamic(), precision="dynamic_wi8", near=0.05),
    Case(optimizer="onnx-quantized", recipe=WeightOnly(), precision="weight_only_wi8", near=0.03),
    Case(optimizer="onnx-float16", recipe=FLOAT16, precision="float16", near=0.01),
    _static("onnx-quantized", Io()),
    Case(optimizer="onnx-quantized", recipe=Dynamic(), precision="dynamic_wi8", near=0.03),
    Case(optimizer="onnx-quantized", recipe=WeightOnly(), precision="weight_only_wi8", near=0.03),
    Case(optimizer="onnx-sparse", recipe=SPARSE, precision="sparse", near=0.3),
    Case(optimizer="tflite-float16", recipe=FLOAT16, precision="float16", near=0.01),
    _static("tflite-quantized", Io()),
    _static("tflite-quantized", Io(input="int8")),
    _static("tflite-quantized", Io(input="uint8")),
    _static("tflite-quantized", Io(input="int8", output="int8")),
    _static("tflite-quantized", Io(input="uint8", output="uint8")),
    _static("tflite-quantized", Io(output="uint8")),
    Case(optimizer="tflite-quantized", recipe=Dynamic(), precision="dynamic_wi8", near=0.03),
    Case(optimizer="tflite-quantized", recipe=WeightOnly(), precision="weight_only_wi8", near=0.03),
    Case(
        optimizer="tflite-quantized",
        recipe=WeightOnly(bits=4),
        precision="weight_only_wi4",
        near=0.3,
    ),
    Case(optimizer="tflite-sparse", recipe=SPARSE, precision="sparse", near=0.3),
)
"""Every optimizer of the table is here (`test_every_optimizer_of_an_artifact_has_a_case`)."""


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    found = request.param
    assert isinstance(found, Case)
    return found


def test_every_optimizer_of_an_artifact_has_a_case() -> None:
    """Those of the hub change the graph before there is an artifact; they have their own suite."""
    artifacts = {name for name in OPTIMIZERS if not name.startswith("hub-")}
    assert {case.optimizer for case in CASES} == artifacts


@pytest.fixture
def source(case: Case, model_files: dict[str, Path]) -> Path:
    return model_files[case.optimizer.partition("-")[0]]


@pytest.fixture
def ranges(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ranges") / "ranges.json"
    write_ranges(path, seen(source), of=source)
    return path


_FORMATS: Final[dict[str, Format]] = {".coreml": "coreml", ".onnx": "onnx", ".tflite": "tflite"}


def format_of(source: Path) -> Format:
    return _FORMATS[source.suffix]


def seen(source: Path) -> dict[str, tuple[float, float]]:
    """Tensor -> smallest and largest value over a few seeded pictures."""
    session = RUNTIMES.load(format_of(source)).open_for_trace(source)
    found = {"image": (0.0, 1.0)}
    for seed in range(4):
        for name, value in session.trace({"image": tiny.pixels("NCHW", seed)}):
            low, high = found.get(name, (np.inf, -np.inf))
            found[name] = (min(low, float(value.min())), max(high, float(value.max())))
    return found


def write_ranges(path: Path, bounds: Mapping[str, tuple[float, float]], *, of: Path) -> None:
    tensors = tuple(
        TensorRange(tensor=name, low=low, high=high) for name, (low, high) in bounds.items()
    )
    method = MethodRanges(method="min_max", ranges=tensors)
    path.write_bytes(canonical_bytes(Ranges(artifact=tree_sha256(of), methods=(method,))))


def bound(source: Path) -> Binding:
    return read_embedded(source, format_of(source)).binding


def request_of(case: Case, source: Path, ranges: Path | None, output: Path) -> OptimizeRequest:
    return OptimizeRequest(
        recipe=case.recipe,
        artifact=source,
        contract=tiny.CONTRACT,
        binding=bound(source),
        output=output,
        ranges=ranges,
    )


def propose(case: Case, source: Path, ranges: Path | None, output: Path) -> WrittenModel:
    return OPTIMIZERS.load(case.optimizer).propose(request_of(case, source, ranges, output))


def test_the_precision_is_read_back(case: Case, source: Path, ranges: Path, tmp_path: Path) -> None:
    output = tmp_path / "candidate"
    proposal = propose(case, source, ranges, output)
    assert proposal.binding.precision == case.precision
    assert proposal.binding.artifact is None
    embedded = read_embedded(output, proposal.binding.format)
    assert (embedded.contract, embedded.binding) == (tiny.CONTRACT, proposal.binding)
    assert [path.name for path in tmp_path.iterdir()] == ["candidate"]


def test_the_candidate_runs_and_resembles_its_parent(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    output = tmp_path / "candidate"
    binding = propose(case, source, ranges, output).binding
    runtime = RUNTIMES.load(format_of(source))
    parent, candidate = runtime.open(source), runtime.open(output)
    pixels = tiny.pixels("NCHW")
    before = parent.run({"image": pixels})
    after = candidate.run({"image": stored(pixels, binding.image)})
    changed = False
    for spec in candidate.outputs:
        value = reals(after[spec.name], spec)
        wanted = before[spec.name]
        np.testing.assert_allclose(value, wanted, atol=case.near * np.abs(wanted).max())
        changed |= not np.array_equal(value, wanted)
    assert changed, "an optimizer that changes no number did nothing"


def test_the_binding_says_what_the_file_holds(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    output = tmp_path / "candidate"
    binding = propose(case, source, ranges, output).binding
    session = RUNTIMES.load(format_of(source)).open(output)
    parent = RUNTIMES.load(format_of(source)).open(source)
    io = case.recipe.io if isinstance(case.recipe, Static) else Io()
    (image,) = session.inputs
    assert (image.name, image.dtype) == (binding.image.tensor, binding.image.dtype)
    assert (image.dtype, image.quant) == (io.input, binding.image.quant)
    assert [spec.name for spec in session.outputs] == [spec.name for spec in parent.outputs]
    for spec, item in zip(session.outputs, binding.outputs, strict=True):
        assert (item.tensor, item.dtype, item.quant) == (spec.name, spec.dtype, spec.quant)
        assert spec.dtype == io.output
        assert (spec.quant is None) == (io.output == "float32")


def reals(value: NDArray[Any], spec: TensorSpec) -> NDArray[np.float64]:
    """real = (q - zero point) * scale."""
    if spec.quant is None:
        return value.astype(np.float64)
    return (value.astype(np.float64) - spec.quant.zero_point) * spec.quant.scale


def test_the_artifact_is_not_touched(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    before = tree_sha256(source)
    propose(case, source, ranges, tmp_path / "candidate")
    assert tree_sha256(source) == before


def test_proposing_twice_gives_the_same_bytes(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    propose(case, source, ranges, first)
    propose(case, source, ranges, second)
    assert tree_sha256(first) == tree_sha256(second)


def test_its_own_result_is_refused(case: Case, source: Path, ranges: Path, tmp_path: Path) -> None:
    candidate = tmp_path / f"candidate{source.suffix}"
    propose(case, source, ranges, candidate)
    with pytest.raises(InvalidInput):
        propose(case, candidate, ranges, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_garbage_is_refused(case: Case, source: Path, ranges: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no model at all")
    request = msgspec.structs.replace(
        request_of(case, source, ranges, tmp_path / "candidate"), artifact=garbage
    )
    with pytest.raises(InvalidInput):
        OPTIMIZERS.load(case.optimizer).propose(request)


def test_another_recipe_than_its_own_is_refused(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    other: Recipe = Dynamic() if isinstance(case.recipe, Float16) else FLOAT16
    wrong = replace(case, recipe=other)
    with pytest.raises(OptimizationFailed):
        propose(wrong, source, ranges, tmp_path / "candidate")
    assert not (tmp_path / "candidate").exists()


QUANTIZED: Final = tuple(
    case for case in CASES if isinstance(case.recipe, Static | Dynamic | WeightOnly | Palette)
)
CALIBRATED: Final = tuple(case for case in CASES if isinstance(case.recipe, Static))


@pytest.mark.parametrize("case", QUANTIZED, ids=str)
def test_a_layer_that_is_not_there_is_named_with_a_near_one(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    recipe = case.recipe
    assert isinstance(recipe, Static | Dynamic | WeightOnly | Palette)
    known = next(name for name in seen(source) if name != "image")
    wrong = replace(case, recipe=msgspec.structs.replace(recipe, float_layers=(f"{known}_x",)))
    with pytest.raises(OptimizationFailed) as failure:
        propose(wrong, source, ranges, tmp_path / "candidate")
    assert f"{known}_x" in failure.value.found
    assert "did you mean" in failure.value.next_step
    assert not (tmp_path / "candidate").exists()


@pytest.mark.parametrize("case", QUANTIZED, ids=str)
def test_a_recipe_that_leaves_nothing_is_refused(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    recipe = case.recipe
    assert isinstance(recipe, Static | Dynamic | WeightOnly | Palette)
    layers = tuple(name for name in seen(source) if name != "image")
    wrong = replace(case, recipe=msgspec.structs.replace(recipe, float_layers=layers))
    with pytest.raises(OptimizationFailed):
        propose(wrong, source, ranges, tmp_path / "candidate")
    assert not (tmp_path / "candidate").exists()


@pytest.mark.parametrize("case", CALIBRATED, ids=str)
def test_a_missing_range_is_named(case: Case, source: Path, ranges: Path, tmp_path: Path) -> None:
    """Not every format rounds every tensor: all but the image's are lost, one is named."""
    bounds = seen(source)
    lost = "|".join(re.escape(repr(name)) for name in bounds if name != "image")
    write_ranges(ranges, {"image": bounds["image"]}, of=source)
    with pytest.raises(OptimizationFailed, match=lost):
        propose(case, source, ranges, tmp_path / "candidate")


@pytest.mark.parametrize("case", CALIBRATED, ids=str)
def test_no_ranges_at_all_are_refused(case: Case, source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptimizationFailed, match="ranges"):
        propose(case, source, None, tmp_path / "candidate")


@pytest.mark.parametrize("case", CALIBRATED, ids=str)
def test_ranges_of_another_method_are_refused(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    assert isinstance(case.recipe, Static)
    wrong = replace(case, recipe=msgspec.structs.replace(case.recipe, ranges="entropy"))
    with pytest.raises(OptimizationFailed, match="entropy"):
        propose(wrong, source, ranges, tmp_path / "candidate")


@pytest.mark.parametrize("case", CALIBRATED, ids=str)
def test_ranges_of_another_file_are_refused(
    case: Case, source: Path, ranges: Path, tmp_path: Path
) -> None:
    write_ranges(ranges, seen(source), of=ranges)
    with pytest.raises(InvalidInput, match="another file"):
        propose(case, source, ranges, tmp_path / "candidate")


@pytest.mark.parametrize("planted", ["null", "1e999", "-9.0"])
@pytest.mark.parametrize("case", CALIBRATED[:1], ids=str)
def test_ranges_that_are_no_ranges_are_refused(
    case: Case, source: Path, ranges: Path, tmp_path: Path, planted: str
) -> None:
    """NaN is null in JSON; 1e999 is infinite; a high end of -9 lies below the low end of 0."""
    text = ranges.read_text()
    broken = text.replace('{"high":1.0,"low":0.0,', f'{{"high":{planted},"low":0.0,', 1)
    assert broken != text
    ranges.write_text(broken)
    with pytest.raises(InvalidInput):
        propose(case, source, ranges, tmp_path / "candidate")
