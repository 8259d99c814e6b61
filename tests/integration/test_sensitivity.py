"""The simulated integer file against the real one, and the ranking against brute force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from phoneproof.core.artifact import file_sha256
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.events import silent
from phoneproof.core.recipe import Static
from phoneproof.formats.tflite import read_tflite
from phoneproof.optimize.backends.fake_quant import FakeQuant
from phoneproof.optimize.backends.tflite_plan import plan_ops
from phoneproof.optimize.backends.tflite_quantized import TfliteQuantized
from phoneproof.optimize.backends.tflite_ranges import statistics
from phoneproof.optimize.backends.tflite_sensitivity import SensitivityRequest, sensitivity
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.input_bounds import input_bounds
from phoneproof.optimize.read_bounds import read_bounds
from phoneproof.pipeline.sensitivity_step import SensitivityStep, sensitivity_of
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from phoneproof.runtimes.backends.tflite_torch.module import Hook, TfliteModule
from tests.integration.silu_file import BINDING, CONTRACT, Calibrated, calibrated, tensors


def _request(model: Calibrated) -> SensitivityRequest:
    return SensitivityRequest(
        artifact=model.file,
        contract=CONTRACT,
        binding=BINDING,
        ranges=model.ranges,
        method="min_max",
        images=model.images,
    )


def _simulated(model: Calibrated, recipe: Static) -> tuple[TfliteModule, FakeQuant]:
    module = TfliteModule(read_tflite(model.file))
    plan = plan_ops(module.graph, recipe)
    bounds = {
        **read_bounds(model.ranges, model.file, "min_max"),
        "image": input_bounds(CONTRACT),
    }
    return module, FakeQuant(module, plan, statistics(module.graph, plan, bounds, ()))


def _power(values: Sequence[NDArray[np.float32]]) -> float:
    return float(np.mean(np.concatenate([one.ravel() for one in values]).astype(np.float64) ** 2))


@pytest.mark.parametrize(
    "recipe",
    [Static(), Static(float_layers=("conv_2d_0", "logistic_1")), Static(int16_layers=("mul_2",))],
    ids=["int8", "some_float", "some_int16"],
)
def test_the_simulation_computes_what_the_integer_file_computes(
    recipe: Static, tmp_path: Path
) -> None:
    model = calibrated(tmp_path)
    module, simulated = _simulated(model, recipe)
    output = tmp_path / "int8.tflite"
    request = OptimizeRequest(
        artifact=model.file,
        contract=CONTRACT,
        binding=BINDING,
        recipe=recipe,
        output=output,
        ranges=model.ranges,
    )
    TfliteQuantized().propose(request)
    session = LiteRtRuntime().open(output, threads=1)
    ours, theirs, exact = [], [], []
    with torch.no_grad():
        for image in tensors(model.images):
            theirs.append(session.run({"image": image.numpy()})["map"].astype(np.float32))
            ours.append(module(image, simulated)["map"].numpy())
            exact.append(module(image)["map"].numpy())
    noise = _power([one - two for one, two in zip(theirs, exact, strict=True)])
    unlike = _power([one - two for one, two in zip(theirs, ours, strict=True)])
    assert unlike < 0.1 * noise
    written = {tensor.name: tensor.quant for tensor in read_tflite(output).tensors}
    same = [name for name in simulated.makes if written.get(name) is not None]
    assert len(same) >= 4
    for name in same:
        held, grid = written[name], simulated.makes[name]
        assert held is not None
        assert held.scale == pytest.approx(grid.scale)
        assert held.zero_point == grid.zero_point


def test_gradients_pass_through_the_roundings(tmp_path: Path) -> None:
    module, simulated = _simulated(calibrated(tmp_path), Static())
    for weight in module.weights.values():
        weight.requires_grad_()
    image = torch.full((1, 16, 16, 3), 0.4)
    module(image, simulated)["scores"].square().sum().backward()
    for name, weight in module.weights.items():
        assert weight.grad is not None, name
        assert float(weight.grad.abs().max()) > 0, name


class _Only(Hook):
    """One layer rounds its weights and its result."""

    def __init__(self, module: TfliteModule, simulated: FakeQuant, position: int) -> None:
        self._simulated = simulated
        self._position = position
        outputs = module.graph.ops[position].outputs
        self._made = {module.graph.tensors[index].name for index in outputs}

    def constant(self, position: int, slot: int, tensor: str, values: Tensor) -> Tensor:
        if position != self._position:
            return values
        return self._simulated.constant(position, slot, tensor, values)

    def made(self, tensor: str, values: Tensor) -> Tensor:
        return self._simulated.made(tensor, values) if tensor in self._made else values


def _measured(model: Calibrated) -> dict[str, float]:
    """Layer -> mean over the outputs of noise power by signal power, one run for each layer."""
    module, simulated = _simulated(model, Static())
    images = tensors(model.images)
    found = {}
    with torch.no_grad():
        exact = [module(image) for image in images]
        for position, _ in simulated.rounding:
            hook = _Only(module, simulated, position)
            moved = [module(image, hook) for image in images]
            shares = []
            for name in module.outputs:
                pairs = list(zip(moved, exact, strict=True))
                noise = sum(float((m[name] - e[name]).square().sum()) for m, e in pairs)
                shares.append(noise / sum(float(e[name].square().sum()) for e in exact))
            layer = module.graph.tensors[module.graph.ops[position].outputs[0]].name
            found[layer] = sum(shares) / len(shares)
    return found


@pytest.mark.parametrize("loud", [1.0, 8.0])
def test_the_ranking_is_that_of_quantizing_layer_by_layer(loud: float, tmp_path: Path) -> None:
    model = calibrated(tmp_path, loud=loud)
    measured = _measured(model)
    found = {one.layer: one for one in sensitivity(_request(model))}
    assert set(found) == set(measured)
    layers = sorted(measured)
    ranks = spearmanr([found[one].damage for one in layers], [measured[one] for one in layers])
    assert ranks.statistic >= 0.8
    for layer in layers:
        assert measured[layer] / 3 <= found[layer].damage <= 3 * measured[layer]
    assert [name for name, _ in found[layers[0]].by_output] == ["scores", "map"]
    assert sum(one.macs for one in found.values()) == pytest.approx(1.0)


def test_a_wider_range_costs_more(tmp_path: Path) -> None:
    for name in ("quiet", "loud"):
        (tmp_path / name).mkdir()
    quiet = sensitivity(_request(calibrated(tmp_path / "quiet")))
    loud = sensitivity(_request(calibrated(tmp_path / "loud", loud=30.0)))
    assert [one.damage for one in loud] == sorted((one.damage for one in loud), reverse=True)
    place = {one.layer: number for number, one in enumerate(loud)}
    assert {loud[0].layer, loud[1].layer} & {"conv_2d_0", "mul_2"}
    assert place["conv_2d_0"] <= [one.layer for one in quiet].index("conv_2d_0")


def test_it_is_deterministic(tmp_path: Path) -> None:
    request = _request(calibrated(tmp_path))
    assert sensitivity(request) == sensitivity(request)


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_a_layer_that_gives_no_numbers_is_named(spoil: float, tmp_path: Path) -> None:
    with pytest.raises(OptimizationFailed, match="conv_2d_3") as caught:
        sensitivity(_request(calibrated(tmp_path, spoil=spoil)))
    assert "00.png" in caught.value.found


def test_no_image_and_foreign_ranges_are_refused(tmp_path: Path) -> None:
    model = calibrated(tmp_path)
    with pytest.raises(OptimizationFailed, match="no image"):
        sensitivity(
            SensitivityRequest(
                artifact=model.file,
                contract=CONTRACT,
                binding=BINDING,
                ranges=model.ranges,
                method="min_max",
                images=(),
            )
        )
    document = msgspec.json.decode(model.ranges.read_bytes())
    model.ranges.write_bytes(msgspec.json.encode({**document, "artifact": "0" * 64}))
    with pytest.raises(InvalidInput, match="another file"):
        sensitivity(_request(model))


def test_the_step_writes_what_is_read_back(tmp_path: Path) -> None:
    model = calibrated(tmp_path)
    items = tuple(
        ImageItem(name=path.name, path=path, sha256=file_sha256(path)) for path in model.images
    )
    step = SensitivityStep(
        label="small",
        artifact=model.file,
        artifact_sha256=file_sha256(model.file),
        contract=CONTRACT,
        binding=BINDING,
        ranges=model.ranges.parent,
        method="min_max",
        images=ImageSet(split="calibration", items=items),
    )
    output = tmp_path / "output"
    output.mkdir()
    step.run(output, silent)
    assert sensitivity_of(output) == sensitivity(_request(model))
