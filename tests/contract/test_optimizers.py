"""What every optimizer promises, whatever library it wraps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding
from phoneproof.core.errors import InvalidInput
from phoneproof.core.recipe import Float16
from phoneproof.formats.tflite import TfliteGraph, TfliteOp, TfliteTensor
from phoneproof.optimize.base import OPTIMIZERS, Optimizer, OptimizeRequest
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(params=list(OPTIMIZERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def optimizer(name: str) -> Optimizer:
    return OPTIMIZERS.load(name)


@pytest.fixture
def source(name: str, model_files: dict[str, Path]) -> Path:
    return model_files[name.partition("-")[0]]


def bound(source: Path) -> Binding:
    return read_embedded(source, "tflite" if source.suffix == ".tflite" else "onnx").binding


def propose(optimizer: Optimizer, source: Path, output: Path) -> WrittenModel:
    return optimizer.propose(
        OptimizeRequest(
            recipe=Float16(float32_share=0.01),
            artifact=source,
            contract=tiny.CONTRACT,
            binding=bound(source),
            output=output,
        )
    )


def test_the_precision_is_that_of_its_name(
    optimizer: Optimizer, name: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "candidate"
    proposal = propose(optimizer, source, output)
    assert proposal.binding.precision == name.partition("-")[2]
    assert proposal.binding.artifact is None
    embedded = read_embedded(output, proposal.binding.format)
    assert (embedded.contract, embedded.binding) == (tiny.CONTRACT, proposal.binding)
    assert [path.name for path in tmp_path.iterdir()] == ["candidate"]


def test_the_candidate_runs_and_resembles_its_parent(
    optimizer: Optimizer, name: str, source: Path, tmp_path: Path
) -> None:
    output = tmp_path / "candidate"
    propose(optimizer, source, output)
    runtime = RUNTIMES.load(name.partition("-")[0])
    parent, candidate = runtime.open(source), runtime.open(output)
    assert (candidate.inputs, candidate.outputs) == (parent.inputs, parent.outputs)
    feed = {"image": tiny.pixels("NCHW")}
    before, after = parent.run(feed), candidate.run(feed)
    changed = False
    for key, value in before.items():
        np.testing.assert_allclose(after[key], value, atol=1e-2 * np.abs(value).max())
        changed |= not np.array_equal(after[key], value)
    assert changed, "an optimizer that changes no number did nothing"


def test_the_artifact_is_not_touched(optimizer: Optimizer, source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    propose(optimizer, source, tmp_path / "candidate")
    assert source.read_bytes() == before


def test_proposing_twice_gives_the_same_bytes(
    optimizer: Optimizer, source: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    propose(optimizer, source, first)
    propose(optimizer, source, second)
    assert first.read_bytes() == second.read_bytes()


def test_its_own_result_is_refused(optimizer: Optimizer, source: Path, tmp_path: Path) -> None:
    candidate = tmp_path / "candidate.tflite"
    propose(optimizer, source, candidate)
    with pytest.raises(InvalidInput):
        propose(optimizer, candidate, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_garbage_is_refused(optimizer: Optimizer, source: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"no model at all")
    with pytest.raises(InvalidInput):
        optimizer.propose(
            OptimizeRequest(
                artifact=garbage,
                contract=tiny.CONTRACT,
                binding=bound(source),
                recipe=Float16(float32_share=0.01),
                output=tmp_path / "candidate",
            )
        )


def _graph(first: int, second: int) -> TfliteGraph:
    """image -> pad -> conv with `first` weights -> conv with `second` weights."""

    def tensor(name: str, weights: int = 0) -> TfliteTensor:
        data = np.zeros(4 * weights, np.uint8)
        return TfliteTensor(name=name, dtype="float32", shape=(1, weights), quant=None, data=data)

    def op(name: str, inputs: tuple[int, ...], output: int) -> TfliteOp:
        return TfliteOp(name=name, custom=False, inputs=inputs, outputs=(output,))

    return TfliteGraph(
        tensors=(
            tensor("image"),
            tensor("padded"),
            tensor("w1", first),
            tensor("stem"),
            tensor("w2", second),
            tensor("out"),
        ),
        ops=(op("PAD", (0,), 1), op("CONV_2D", (1, 2), 3), op("CONV_2D", (3, 4), 5)),
        other_ops=(),
        inputs=(0,),
        outputs=(5,),
        signature_inputs=(),
        signature_outputs=(),
        description="",
        metadata={},
    )


@pytest.mark.parametrize(
    ("first", "second", "share", "kept"),
    [
        (10, 10_000, 0.01, ("stem",)),
        (49, 10_000, 0.01, ("stem",)),
        (100, 10_000, 0.01, ()),
        (100, 10_000, 0.1, ("stem",)),
        (10_000, 10, 0.1, ()),  # the layer that meets the picture comes first, or none
        (100, 10_000, 1.0, ("stem", "out")),
    ],
)
def test_small_layers_stay_float32(
    first: int, second: int, share: float, kept: tuple[str, ...]
) -> None:
    from phoneproof.optimize.backends.tflite_float16 import float32_layers

    assert float32_layers(_graph(first, second), share) == kept
