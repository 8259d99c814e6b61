"""phoneproof.toml: what is read, and that every fault is reported at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phoneproof.core.contract import Nms, Resize
from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.config import (
    config_schema,
    load_config,
    parse_targets,
    target_formats,
    target_precisions,
)
from phoneproof.pipeline.config_types import ChecksConfig, ContractConfig, TargetConfig
from phoneproof.verify.limits import Limits

SMALLEST = """\
[model]
source = "best.pt"
name = "meter"
[data]
evaluation = "val"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "best.pt").write_bytes(b"weights")
    (tmp_path / "val").mkdir()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "phoneproof.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(write(folder, text))
    return caught.value.found


def test_the_smallest_configuration(folder: Path) -> None:
    config = load_config(write(folder, SMALLEST))
    assert config.model.source == folder / "best.pt"
    assert config.data.evaluation == folder / "val"
    assert config.package.directory == folder / "dist"
    assert config.model.version == "1.0.0"
    assert config.contract == ContractConfig()
    assert config.targets.android == config.targets.server == TargetConfig()
    assert config.targets.ios is None


def test_everything_that_can_be_written(folder: Path) -> None:
    (folder / "labels.txt").write_text("a\n")
    (folder / "golden").mkdir()
    config = load_config(
        write(
            folder,
            """\
[model]
source = "./best.pt"
name = "meter"
version = "2.0.1"
[data]
evaluation = "val"
labels = "labels.txt"
[contract]
preset = "yolox"
task = "detect"
size = 416
orientation = "ignore"
color_profile = "srgb"
alpha = [255, 255, 255]
channels = "rgb"
values = "uint8"
scale = 1
mean = [0, 0, 0]
std = [1, 1, 1]
labels_file = "labels.txt"
[[contract.geometry]]
op = "resize"
to = "stretch"
size = [416, 416]
[contract.decode]
confidence = 0.3
nms = false
[targets.android]
formats = ["tflite", "onnx"]
precisions = ["float32", "float16"]
io = "float32"
batch = [1]
layout = "NHWC"
[targets.server]
opset = 17
[checks]
top1_drop = 0.005
undecided = "fail"
[package]
golden = "golden"
directory = "out"
""",
        )
    )
    assert config.contract.size == 416
    assert config.contract.scale == 1.0
    assert config.contract.alpha == (255, 255, 255)
    assert config.contract.geometry == (Resize(to="stretch", size=(416, 416)),)
    assert config.contract.decode is not None
    assert config.contract.decode.nms is False
    assert config.targets.server == TargetConfig(opset=17)
    assert config.checks.top1_drop == 0.005
    assert config.package.golden == folder / "golden"


def test_nms_is_a_table_or_false(folder: Path) -> None:
    config = load_config(write(folder, SMALLEST + "[contract.decode.nms]\niou = 0.5\n"))
    assert config.contract.decode is not None
    assert config.contract.decode.nms == Nms(iou=0.5)


def test_all_faults_come_at_once_with_their_place_and_the_nearest_name(folder: Path) -> None:
    found = faults(
        folder,
        """\
tarets = 1
[model]
source = "gone.pt"
nam = "meter"
[data]
evaluation = 3
[contract]
scale = nan
size = [640]
[[contract.geometry]]
op = "resize"
to = "contian"
size = [640, 640]
[[contract.geometry]]
op = "crop"
[[contract.geometry]]
op = "rotate"
[contract.decode.nms]
iou = 7
[targets.ios]
input = "imege"
minimum_ios = 14
[targets.android]
precisions = ["float32", "palette4", "flaot16"]
repair = 2
[checks]
top1_dorp = 0.1
undecided = "maybe"
""",
    )
    for expected in (
        "tarets: unknown key; did you mean targets?",
        "model.nam: unknown key; did you mean name?",
        "model.name: missing",
        "model.source: no such file or folder",
        "data.evaluation: expected a path as text",
        "contract.scale: not a finite number",
        "contract.size: ",
        "contract.geometry[0].to: 'contian' is not known; did you mean 'contain'?",
        "contract.geometry[1]: crop takes exactly one of",
        "contract.geometry[2].op: 'rotate' is not one of crop, resize, pad",
        "contract.decode.nms: nms iou must be in (0, 1]",
        "targets.ios.input: 'imege' is not known; did you mean 'image'?",
        "targets.ios.minimum_ios: ",
        "targets.android.precisions: 'palette4' not available in this version for tflite",
        "targets.android.precisions[2]: 'flaot16' is not known; did you mean 'float16'?",
        "targets.android.repair: ",
        "checks.top1_dorp: unknown key; did you mean top1_drop?",
        "checks.undecided: 'maybe' is not known; known: accept, fail",
    ):
        assert expected in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[targets.android]\nformats = []", "targets.android.formats: empty"),
        ("[targets.android]\nprecisions = []", "targets.android.precisions: empty"),
        ("[targets.android]\nformats = ['coreml']", "'coreml' not available in this version"),
        ("[targets.server]\nprecisions = ['palette6']", "'palette6' not available"),
        (
            "[targets.android]\nroute = 'classic'\nformats = ['saved_model', 'tflite']\n"
            "precisions = ['float16']",
            "targets.android.precisions: none of these is available for 'saved_model'; "
            "known for it: float32",
        ),
        ("[targets.server]\nio = 'int8'", "targets.server.io: only TFLite files"),
        (
            "[targets.android]\nprecisions = ['float16']\nio = { input = 'uint8' }",
            "targets.android.io: only TFLite files",
        ),
        ("[targets.server]\nbatch = [1, 8]", "targets.server.batch: other than [1]"),
        ("[targets.server]\nsizes = [640]", "targets.server.sizes: not available"),
        ("[targets.server]\nopset = 3", "targets.server.opset: 3 is outside 7..23"),
        ("[targets]", "targets: no target; known: android, ios, server"),
        ("[targets.android]\ninput = 'tensor'", "targets.android.input: only Core ML files"),
        ("[targets.server]\nminimum_ios = 16", "targets.server.minimum_ios: only Core ML files"),
        ("[targets.ios]\nformats = ['tflite']", "'tflite' not available in this version"),
        ("[targets.ios]\nlayout = 'NHWC'", "targets.ios.layout: a Core ML image is NCHW"),
        ("[targets.ios]\nroute = 'classic'", "targets.ios.route: the classic route ends in TFLite"),
        ("[targets.ios]\nminimum_ios = 19", "targets.ios.minimum_ios: "),
        (
            "[targets.ios]\nprecisions = ['weight_only_wi4']",
            "targets.ios.precisions: weight_only_wi4 needs minimum_ios = 18",
        ),
        (
            "[targets.ios]\nminimum_ios = 16\nprecisions = ['palette4', 'int8']",
            "targets.ios.precisions: int8 needs minimum_ios = 17",
        ),
        ("[targets.andriod]", "targets.andriod: unknown key; did you mean android?"),
        ("[checks]\ntop1_drop = -0.1", "checks.top1_drop: a limit must be at least 0"),
        ("[checks]\ntop1_drop = 1.5", "one point is 0.01"),
        ("[checks]\ntop1_drop = inf", "checks.top1_drop: not a finite number"),
        ("[package]\ngolden = 'gone'", "package.golden: no such file or folder"),
        ("[package]\ngolden = ''", "package.golden: expected a path"),
        ("[contract]\nlabels = ['a']\nlabels_file = 'val'", "labels is given too; keep one"),
        ("[contract]\nlabels = ['a', 3]", "contract.labels[1]: expected text"),
        ("[contract]\npreset = 3", "contract.preset: expected text"),
        ("[contract]\ngeometry = 'crop'", "contract.geometry: "),
        ("[contract]\nmean = [0, nan, 0]", "contract.mean[1]: not a finite number"),
    ],
)
def test_one_fault(folder: Path, text: str, expected: str) -> None:
    assert expected in faults(folder, SMALLEST + text)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", ".hidden", "n" * 200, "é"])
def test_a_name_that_is_no_folders_name(folder: Path, name: str) -> None:
    text = SMALLEST.replace('"meter"', json.dumps(name))
    assert "model.name: " in faults(folder, text)


def test_no_file_no_toml_no_text(folder: Path) -> None:
    with pytest.raises(ConfigError, match="phoneproof init"):
        load_config(folder / "phoneproof.toml")
    with pytest.raises(ConfigError, match="cannot be read as TOML") as caught:
        load_config(write(folder, "[model\n"))
    assert "line 1" in caught.value.found
    path = write(folder, "")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_config(path)
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_config(write(folder, "x = " + "[" * 5000 + "]" * 5000))


def test_an_empty_file_misses_what_is_required(folder: Path) -> None:
    assert "model: missing" in faults(folder, "")


def test_every_limit_of_verify_can_be_set() -> None:
    assert set(ChecksConfig.__struct_fields__) == set(Limits.__struct_fields__)


def test_targets_by_name() -> None:
    assert parse_targets("") == ()
    assert parse_targets(" server, android ") == ("android", "server")
    with pytest.raises(ConfigError, match="unknown target 'andriod'"):
        parse_targets("andriod")


def test_defaults_of_targets() -> None:
    both = TargetConfig(formats=("tflite", "saved_model"), precisions=("float16", "int8"))
    assert target_formats("android", TargetConfig()) == ("tflite",)
    assert target_formats("server", TargetConfig()) == ("onnx",)
    assert target_precisions(TargetConfig(), "tflite") == ("float32", "float16")
    assert target_precisions(TargetConfig(), "onnx") == ("float32",)
    assert target_precisions(both, "tflite") == ("float16", "static_wi8_ai8")
    assert target_precisions(both, "saved_model") == ()


def test_the_schema_knows_every_section() -> None:
    schema = json.loads(config_schema())
    sections = schema["$defs"]["Config"]["properties"]
    assert list(sections) == [
        "model",
        "data",
        "contract",
        "head",
        "targets",
        "checks",
        "package",
    ]
    assert schema["$defs"]["Config"]["additionalProperties"] is False
    assert schema["$defs"]["ModelConfig"]["properties"]["source"]["type"] == "string"
