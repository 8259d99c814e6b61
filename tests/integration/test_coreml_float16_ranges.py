"""What float16 cannot hold inside a Core ML file: found before it is written, counted in it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.check import Check
from phoneproof.core.contract import Contract, Resize
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.events import silent
from phoneproof.core.json_format import canonical_bytes, parse
from phoneproof.core.recipe import Float16
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.optimize.backends.coreml_half import HalfProgram
from phoneproof.optimize.backends.coreml_scan import ScanRequest, scan
from phoneproof.optimize.backends.coreml_sensitivity import pixels_of
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.pipeline.float16_steps import CountStep, counted_of
from phoneproof.runtimes.backends.coreml import open_module
from phoneproof.verify.evidence import Setting
from phoneproof.verify.limits import limits_for
from phoneproof.verify.rounding import rounding_checks
from phoneproof.verify.verdicts import accepted
from tests.assets import asset
from tests.integration.colour_model import colour_classifier, write_pictures
from tests.integration.coreml_packages import Package, loud_package, weather_packages
from tests.integration.hub_agreement import PICTURES
from tests.integration.test_coreml_build import built

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def loud(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return loud_package(tmp_path_factory.mktemp("loud"))


@pytest.fixture(scope="module")
def weather(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return weather_packages(tmp_path_factory.mktemp("weather"))[17]


def contract_of(package: Package) -> Contract:
    """The package's, with a geometry that takes photographs of any size."""
    stretch = Resize(to="stretch", size=package.contract.image.size, filter="pillow.bilinear")
    image = msgspec.structs.replace(package.contract.image, geometry=(stretch,))
    return msgspec.structs.replace(package.contract, inputs=(image,))


def scanned(
    package: Package, folder: Path, snr_db: float | None = None
) -> tuple[Float16Scan, Path]:
    """What a scan finds, and the file of its ranges."""
    ranges, found = scan(
        ScanRequest(
            artifact=package.path,
            contract=contract_of(package),
            binding=package.binding,
            images=tuple(asset(name) for name in PICTURES),
            snr_db=snr_db,
        )
    )
    path = folder / "ranges.json"
    path.write_bytes(canonical_bytes(ranges))
    return found, path


def counted(package: Package, candidate: Path, folder: Path) -> tuple[Check, Check]:
    """The checks of what a candidate loses on photographs."""
    paths = [asset(name) for name in PICTURES]
    items = tuple(ImageItem(name=p.name, path=p, sha256=p.name) for p in paths)
    step = CountStep(
        label="candidate",
        artifact=candidate,
        artifact_sha256="c",
        contract=contract_of(package),
        binding=package.binding,
        images=ImageSet(split="all", items=items),
    )
    folder.mkdir()
    step.run(folder, silent)
    found = counted_of(folder)
    setting = Setting(dataset=step.images.ref, runtime=found.runtime, device="cpu")
    return rounding_checks(setting, found.findings, len(items))


def listed(model: WrittenModel, option: str) -> tuple[str, ...]:
    return parse(dict(model.options)[option].encode(), tuple[str, ...], what="options")


def test_values_beyond_float16_are_found_before_the_file_is_written(
    loud: Package, tmp_path: Path
) -> None:
    found, ranges = scanned(loud, tmp_path)
    assert found.unheld
    assert all(size > 65504 for _, size in found.unheld)
    output = tmp_path / "islands.mlpackage"
    model = loud.made(Float16(float32_share=0.0), output, ranges)
    makers = {name for name, _ in found.unheld}
    assert makers <= set(listed(model, "overflow_layers"))
    assert len(listed(model, "overflow_layers")) == len(makers) + 1  # who reads the last of them
    overflows, _ = counted(loud, output, tmp_path / "counted")
    assert (overflows.verdict, overflows.value) == ("pass", 0)
    assert "MIL reference interpreter" in overflows.runtime


def test_a_file_without_these_islands_is_refused_and_the_operation_named(
    loud: Package, tmp_path: Path
) -> None:
    found, _ = scanned(loud, tmp_path)
    output = tmp_path / "half.mlpackage"
    model = loud.made(Float16(float32_share=0.0), output)
    assert listed(model, "overflow_layers") == ()
    checks = counted(loud, output, tmp_path / "counted")
    assert checks[0].verdict == "fail"
    assert checks[0].value is not None
    assert checks[0].value > 0
    assert any(name in checks[0].method for name, _ in found.unheld)
    assert not accepted(checks, limits_for("float16", "coreml"))


def test_a_program_computed_in_float16_is_the_file_that_is_written(
    weather: Package, tmp_path: Path
) -> None:
    """To the last bit, with and without islands: a scan may judge files that do not exist."""
    module = open_module(read_coreml(weather.path))
    program = HalfProgram(module)
    some = tuple(one.name for one in program.computations)[3:40:9]
    fed = {"image": pixels_of(asset(PICTURES[0]), contract_of(weather), weather.binding)}
    for number, layers in enumerate(((), some)):
        output = tmp_path / f"{number}.mlpackage"
        recipe = Float16(float32_share=0.0, float_layers=layers)
        kept = listed(weather.made(recipe, output), "float32_layers")
        made = open_module(read_coreml(output)).run(fed)
        for name, value in program.run(fed, frozenset(kept)).items():
            assert np.array_equal(value.numpy(), made[name].numpy())


def test_as_few_layers_as_a_ratio_takes_stay_float32(weather: Package, tmp_path: Path) -> None:
    plain, _ = scanned(weather, tmp_path, 20.0)
    assert plain.snr_db is not None
    assert plain.snr_db > 20
    assert plain.layers == ()
    aim = plain.snr_db + 6
    found, _ = scanned(weather, tmp_path, aim)
    assert found.snr_db == pytest.approx(plain.snr_db)
    assert found.reached_db is not None
    assert aim <= found.reached_db < math.inf
    assert 0 < len(found.layers) < len(found.damage)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Two layers in the middle of the colour classifier: one makes everything larger by `factor`,
    the next smaller again. taps: how many weights share the factor."""

    factor: float
    taps: int

    def model(self) -> ModelProto:
        model = colour_classifier()
        pool = next(i for i, node in enumerate(model.graph.node) if node.op_type.startswith("Glob"))
        channels = 8
        side = math.isqrt(self.taps)
        louder = np.zeros((channels, channels, side, side), np.float32)
        quieter = np.zeros((channels, channels, 1, 1), np.float32)
        for channel in range(channels):
            louder[channel, channel] = self.factor / self.taps
            quieter[channel, channel] = 1 / self.factor
        model.graph.initializer.extend(
            [numpy_helper.from_array(louder, "loud"), numpy_helper.from_array(quieter, "quiet")]
        )
        model.graph.node[pool].input[0] = "quietened"
        pads = [side // 2] * 4
        model.graph.node.insert(
            pool, helper.make_node("Conv", ["active", "loud"], ["large"], "louder", pads=pads)
        )
        model.graph.node.insert(
            pool + 1, helper.make_node("Conv", ["large", "quiet"], ["quietened"], "quieter")
        )
        return model


def test_a_build_keeps_a_layer_scaled_by_a_million_in_float32(tmp_path: Path) -> None:
    """25 weights of 40000 fit float16; what they make together does not."""
    onnx.save(Planted(factor=1e6, taps=25).model(), tmp_path / "loud.onnx")
    write_pictures(tmp_path / "val")
    made = built(tmp_path, tmp_path / "loud.onnx", tmp_path / "val", "")
    assert made.build.code == 0, made.build.said
    artifact = made.artifact()
    assert artifact.accepted
    options = dict(artifact.options)
    kept = parse(options["overflow_layers"].encode(), tuple[str, ...], what="options")
    assert len(kept) == 2
    (overflows,) = [one for one in artifact.checks if one.name == "overflows"]
    assert (overflows.value, overflows.verdict, overflows.gating) == (0, "pass", True)
    assert [one.gating for one in artifact.checks if one.name == "denormals"] == [False]
    page = (made.bundle / "report.html").read_text()
    assert "Finite numbers that float16 turned into infinity" in page


def test_where_nothing_becomes_float16_the_file_stays_float32_and_says_so(tmp_path: Path) -> None:
    """All weights of the classifier are beyond float16: too small, then too large."""
    model = colour_classifier()
    for value in model.graph.initializer:
        factor = {"kernel": 1e-6, "dense": 1e6}.get(value.name, 1.0)
        numbers = (numpy_helper.to_array(value) * factor).astype(np.float32)
        value.CopyFrom(numpy_helper.from_array(numbers, value.name))
    onnx.save(model, tmp_path / "tiny.onnx")
    write_pictures(tmp_path / "val")
    both = 'precisions = ["float32", "float16"]'
    made = built(tmp_path, tmp_path / "tiny.onnx", tmp_path / "val", both)
    assert made.build.code == 0, made.build.said
    found = {one.id: one for one in made.report().artifacts}
    stayed = found["coreml-float32-for-float16"]
    assert (stayed.requested, stayed.precision, stayed.accepted) == ("float16", "float32", True)
    assert found["coreml-float32"].requested == "float32"
    assert (made.bundle / stayed.path).is_dir()
