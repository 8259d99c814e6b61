"""Repairs before rounding, on a small network: what each promises, and where it must refuse."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from phoneproof.core.artifact import file_sha256
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.events import silent
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.recipe import Ranges, Static
from phoneproof.formats.tflite import parse_tflite, read_tflite
from phoneproof.formats.tflite_constants import with_constants
from phoneproof.formats.tflite_values import constant_values
from phoneproof.optimize.base import REPAIRERS, OptimizeRequest, RepairRequest
from tests.integration import repair_files as files

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

ALL: Final = ("tflite-equalise", "tflite-bias", "tflite-distill")


def _bad_pair() -> files.Weights:
    """Channels of the stem differ by up to 2**9; the depthwise layer makes up for it."""
    ordinary = files.weights()
    spread = 2.0 ** np.linspace(0, 9, files.CHANNELS).astype(np.float32)
    stem_bias, *others = ordinary.biases
    return replace(
        ordinary,
        stem=ordinary.stem * spread[:, None, None, None],
        depthwise=ordinary.depthwise / spread,
        biases=(stem_bias * spread, *others),
    )


def _repair(name: str, request: RepairRequest) -> Path:
    made = REPAIRERS.load(name).repair(request, silent)
    return request.output / made.file


def _spread(file: Path, images: tuple[Path, ...], tensor: str) -> float:
    """How much wider the widest channel of a tensor is than the median one."""
    values = np.abs(files.watched(file, images)[tensor])
    largest = values.reshape(-1, values.shape[-1]).max(axis=0)
    return float(largest.max() / np.median(largest))


def _scores(file: Path, images: tuple[Path, ...]) -> NDArray[np.float32]:
    return files.watched(file, images)["scores"]


def _int8_error(request: RepairRequest, file: Path, ranges: Path, recipe: Static) -> float:
    """Noise power of the real int8 file relative to the float file's signal power."""
    wanted = _scores(request.artifact, request.images)
    found = _int8_scores(request, file, ranges, recipe)
    return float(((found - wanted) ** 2).mean() / wanted.var())


def _int8_scores(
    request: RepairRequest, file: Path, ranges: Path, recipe: Static
) -> NDArray[np.float32]:
    """What the real int8 file gives on the request's images."""
    from phoneproof.optimize.backends.tflite_quantized import TfliteQuantized
    from phoneproof.runtimes.base import RUNTIMES

    output = request.output / "int8.tflite"
    TfliteQuantized().propose(
        OptimizeRequest(
            artifact=file,
            contract=request.contract,
            binding=request.binding,
            recipe=recipe,
            output=output,
            ranges=ranges,
        )
    )
    session = RUNTIMES.load("tflite").open(output)
    pixels = files.watched(request.artifact, request.images)["image"]
    return np.concatenate([session.run({"image": one[None]})["scores"] for one in pixels])


def test_equalisation_keeps_the_function_and_evens_out_a_bad_pair(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(_bad_pair()))
    file = _repair("tflite-equalise", request)
    before, after = _scores(request.artifact, request.images), _scores(file, request.images)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
    assert _spread(request.artifact, request.images, "conv_2d_0") > 10
    assert _spread(file, request.images, "conv_2d_0") < 2.5


def test_equalisation_keeps_names_and_metadata(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(_bad_pair()))
    graph = read_tflite(_repair("tflite-equalise", request))
    former = read_tflite(request.artifact)
    assert [tensor.name for tensor in graph.tensors] == [tensor.name for tensor in former.tensors]
    assert graph.signature_outputs == former.signature_outputs
    assert graph.metadata["note"] == b"kept"


def test_equalisation_says_that_there_is_nothing_to_do(tmp_path: Path) -> None:
    relu6 = 3  # not homogeneous: max(min(s * x, 6), 0) is not s * max(min(x, 6), 0)
    request = files.request(tmp_path, files.network(_bad_pair(), activation=relu6))
    # the pointwise layer's ReLU6 ends before the mean: no pair is left
    with pytest.raises(OptimizationFailed, match="nothing to equalise"):
        _repair("tflite-equalise", request)


def test_equalised_again_nothing_is_left(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(_bad_pair()))
    file = _repair("tflite-equalise", request)
    with pytest.raises(OptimizationFailed, match="alike already"):
        _repair("tflite-equalise", msgspec.structs.replace(request, artifact=file))


def test_bias_correction_reduces_a_planted_shift(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(_coarse_weights()))
    wanted = _scores(request.artifact, request.images).mean(axis=0)
    before = _int8_scores(request, request.artifact, request.ranges, Static()).mean(axis=0)
    file = _repair("tflite-bias", request)
    ranges = tmp_path / "corrected.json"
    _rename(request.ranges, ranges, file)
    after = _int8_scores(request, file, ranges, Static()).mean(axis=0)
    assert np.abs(before - wanted).max() > 0.05
    assert np.abs(after - wanted).max() < np.abs(before - wanted).max() / 3


def _coarse_weights() -> files.Weights:
    """One weight a row is huge and reads a channel that is always 0: the others round badly."""
    ordinary = files.weights()
    stem, pointwise = ordinary.stem.copy(), ordinary.pointwise.copy()
    bias, *others = (one.copy() for one in ordinary.biases)
    stem[0], bias[0] = 0, -1
    others[0][0] = -1
    pointwise[..., 0] = 100
    return replace(ordinary, stem=stem, pointwise=pointwise, biases=(bias, *others))


def _rename(ranges: Path, renamed: Path, file: Path) -> None:
    """The same ranges for a file whose activations hardly moved."""
    found = parse(ranges.read_bytes(), Ranges, what="ranges")
    renamed.write_bytes(pretty_bytes(msgspec.structs.replace(found, artifact=file_sha256(file))))


@pytest.mark.parametrize("name", ALL)
def test_a_model_with_nan_is_refused_by_name(tmp_path: Path, name: str) -> None:
    broken = files.weights()
    broken.pointwise[2, 0, 0, 1] = np.nan
    healthy = files.request(tmp_path, files.network(files.weights()))
    healthy.artifact.write_bytes(files.network(broken))
    graph = read_tflite(healthy.artifact)
    tensor = graph.tensors[graph.ops[2].inputs[1]].name
    with pytest.raises(OptimizationFailed, match=tensor):
        _repair(name, healthy)


def test_distillation_reduces_what_the_real_int8_file_loses(tmp_path: Path) -> None:
    recipe = Static()
    request = files.request(tmp_path, files.network(_bad_pair()), recipe=recipe)
    before = _int8_error(request, request.artifact, request.ranges, recipe)
    made = REPAIRERS.load("tflite-distill").repair(request, silent)
    file, learned = request.output / made.file, Static(ranges="learned")
    assert made.ranges is not None
    after = _int8_error(request, file, request.output / made.ranges, learned)
    assert after < before / 2


def test_distilled_weights_lie_on_the_quantizers_own_grid(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(files.weights()))
    graph = read_tflite(_repair("tflite-distill", request))
    for position, axis in ((0, 0), (1, 3), (2, 0)):
        values = constant_values(graph.tensors[graph.ops[position].inputs[1]]).astype(np.float64)
        others = tuple(side for side in range(4) if side != axis)
        steps = values / (np.abs(values).max(axis=others, keepdims=True) / 127)
        assert np.abs(steps - np.rint(steps)).max() < 1e-3


def test_a_channel_whose_weights_are_all_but_zero_is_learned_around(tmp_path: Path) -> None:
    """Its bias needs more than 32 bits of its own step: the quantizer widens the weights' range."""
    ordinary = files.weights()
    pointwise, bias = ordinary.pointwise.copy(), ordinary.biases[2].copy()
    pointwise[1], bias[1] = 1e-9, 1.0
    biases = (*ordinary.biases[:2], bias, *ordinary.biases[3:])
    faint = replace(ordinary, pointwise=pointwise, biases=biases)
    request = files.request(tmp_path, files.network(faint))
    graph = read_tflite(_repair("tflite-distill", request))
    assert np.isfinite(constant_values(graph.tensors[graph.ops[2].inputs[1]])).all()


def test_distillation_twice_gives_the_same_file(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(files.weights()))
    first = file_sha256(_repair("tflite-distill", request))
    assert file_sha256(_repair("tflite-distill", request)) == first


def test_ranges_belong_to_the_file_that_was_learned(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(files.weights()))
    file = _repair("tflite-distill", request)
    ranges = parse((request.output / "ranges.json").read_bytes(), Ranges, what="ranges")
    assert ranges.artifact == file_sha256(file)
    assert [one.method for one in ranges.methods] == ["min_max", "learned"]


def test_one_image_is_too_few_to_learn_from(tmp_path: Path) -> None:
    request = files.request(tmp_path, files.network(files.weights()))
    with pytest.raises(OptimizationFailed, match="two images"):
        _repair("tflite-distill", msgspec.structs.replace(request, images=request.images[:1]))


def test_constants_that_do_not_fit_are_refused() -> None:
    data = files.network(files.weights())
    graph = parse_tflite(data, "network")
    name = graph.tensors[graph.ops[0].inputs[1]].name
    with pytest.raises(InvalidInput, match="another shape"):
        with_constants(data, {name: np.zeros((1, 2), np.float32)}, "network")
    with pytest.raises(InvalidInput, match="not all finite"):
        with_constants(data, {name: np.full((8, 3, 3, 3), np.nan, np.float32)}, "network")
    with pytest.raises(InvalidInput, match="no float32 constants"):
        with_constants(data, {"nothing": np.zeros(1, np.float32)}, "network")
