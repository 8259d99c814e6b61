"""[head]: a head that the user describes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest

from phoneproof.capture.infer import hub_binding
from phoneproof.core.binding import Box, GridAnchors, PriorAnchors, YoloAnchors
from phoneproof.core.capture import Evidence, Finding, Inspection
from phoneproof.core.errors import ConfigError
from phoneproof.decode.priors import prior_rows
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.config_faults import find_faults
from phoneproof.pipeline.contract_config import build_contract
from phoneproof.pipeline.head_config import with_described_head
from phoneproof.pipeline.head_types import HeadConfig
from tests.assets import ROOT
from tests.unit.inspections import spec

PRIORS = np.random.default_rng(1).uniform(0.1, 0.9, (12, 4)).astype(np.float32)

SSD = """
[model]
source = "m.onnx"
name = "m"

[data]
evaluation = "val"

[contract]
preset = "ultralytics.detect"
labels = ["", "cat", "dog"]

[head]
priors = "priors.npy"

[[head.outputs]]
tensor = "loc"
role = "boxes"
axes = ["anchor", "coord"]
box = { format = "ssd", units = "fraction", variances = [0.1, 0.1, 0.2, 0.2], order = "yx" }

[[head.outputs]]
tensor = "conf"
role = "scores"
axes = ["anchor", "class"]
activation = "softmax"
"""


def inspection() -> Inspection:
    """Offsets and scores that nothing recognises."""
    return Inspection(
        format="onnx",
        sha256="0" * 64,
        bytes=1,
        inputs=(spec("x", 1, 3, 64, 64),),
        outputs=(spec("loc", 1, 12, 4), spec("conf", 1, 12, 3)),
        layout="NCHW",
        size=(64, 64),
        task="raw",
        head=None,
        evidence=Evidence(framework="onnx"),
        findings=(
            Finding(key="head.priors", value="unknown", reason="not in the file"),
            Finding(key="contract.task", value="raw", reason="no known head"),
        ),
    )


def project(folder: Path, text: str = SSD) -> Path:
    (folder / "m.onnx").write_bytes(b"x")
    (folder / "val").mkdir(exist_ok=True)
    np.save(folder / "priors.npy", PRIORS)
    (folder / "phoneproof.toml").write_text(text)
    return folder / "phoneproof.toml"


def faults(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        build_contract(load_config(project(folder, text)), inspection())
    return caught.value.found


def test_a_described_head_stands_for_the_recognised_one(tmp_path: Path) -> None:
    config = load_config(project(tmp_path))
    contract = build_contract(config, inspection())
    assert contract.task == "detect"
    assert contract.labels == (None, "cat", "dog")
    described = with_described_head(config, inspection())
    binding = hub_binding(described, contract, size=(64, 64), batch=1)
    boxes, scores = binding.outputs
    assert (boxes.role, boxes.shape, boxes.box) == (
        "boxes",
        (1, 12, 4),
        Box(format="ssd", units="fraction", variances=(0.1, 0.1, 0.2, 0.2), order="yx"),
    )
    assert (scores.role, scores.activation) == ("scores", "softmax")
    assert isinstance(binding.anchors, PriorAnchors)
    np.testing.assert_array_equal(prior_rows(binding.anchors), PRIORS)
    assert [f.key for f in described.findings] == ["head.outputs"]


def test_without_the_section_nothing_changes(tmp_path: Path) -> None:
    text = SSD[: SSD.index("[head]")]
    assert with_described_head(load_config(project(tmp_path, text)), inspection()) == inspection()


@pytest.mark.parametrize("name", ["priors.csv", "named.csv", "priors.f32"])
def test_priors_may_be_text_or_bare_numbers(name: str, tmp_path: Path) -> None:
    lines = [",".join(repr(float(v)) for v in row) for row in PRIORS]
    (tmp_path / "priors.csv").write_text("\n".join(lines))
    (tmp_path / "named.csv").write_text("\n".join(["cx,cy,w,h", *lines, ""]))
    (tmp_path / "priors.f32").write_bytes(PRIORS.tobytes())
    config = load_config(project(tmp_path, SSD.replace("priors.npy", name)))
    head = with_described_head(config, inspection()).head
    assert head is not None
    assert isinstance(head.anchors, PriorAnchors)
    np.testing.assert_array_equal(prior_rows(head.anchors), PRIORS)


def test_all_faults_of_the_model_are_reported_together(tmp_path: Path) -> None:
    text = (
        SSD.replace('"loc"', '"locs"')
        .replace('["anchor", "class"]', '["class"]')
        .replace("preset = ", 'channels = "gray"\npreset = ')
    )
    found = faults(tmp_path, text)
    assert "head.outputs[0].tensor: the model has no output 'locs'; did you mean 'loc'?" in found
    assert "'conf' [1, 12, 3]" in found
    assert "head.outputs[1].axes: 1 axes, but 'conf' [1, 12, 3] has 2 after the batch" in found
    assert "contract" in found


def test_faults_of_the_file_are_reported_together(tmp_path: Path) -> None:
    text = (
        SSD.replace('role = "boxes"', 'role = "boxes"\nslice = [4, 4]\npacked = 0')
        .replace("box = ", "#")
        .replace("priors.npy", "nowhere.npy")
    )
    with pytest.raises(ConfigError) as caught:
        load_config(project(tmp_path, text))
    for place in ("outputs[0].slice", "outputs[0].packed", "outputs[0].box", "priors"):
        assert f"head.{place}: " in caught.value.found


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('role = "boxes"', 'role = "box"', "head.outputs[0].role"),
        ('format = "ssd"', 'format = "sdd"', "head.outputs[0].box.format"),
        ("variances", "variance", "head.outputs[0].box.variance"),
        ("priors = ", "prior = ", "head.prior"),
    ],
)
def test_unknown_words_are_faults_at_their_place(
    old: str, new: str, place: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(project(tmp_path, SSD.replace(old, new)))
    assert place in caught.value.found


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('axes = ["anchor", "coord"]', 'axes = ["coord", "anchor"]', "12"),
        ('axes = ["anchor", "coord"]', 'axes = ["anchor", "anchor"]', "do not describe"),
        ('role = "boxes"', 'role = "boxes"\nslice = [0, 5]', "outside the tensor"),
        ('format = "ssd"', 'format = "ltrb"', "no meaning"),
        ('role = "scores"', 'role = "objectness"', "carry scores"),
        ("priors = ", "anchors = { kind = 'grid', strides = [8] }\npriors = ", "keep one"),
        (
            'priors = "priors.npy"',
            "anchors = { kind = 'grid', strides = [8, 16] }",
            "no meaning|anchor grid",
        ),
    ],
)
def test_a_description_that_contradicts_itself_is_found_before_anything_runs(
    old: str, new: str, what: str, tmp_path: Path
) -> None:
    found = faults(tmp_path, SSD.replace(old, new))
    assert any(word in found for word in what.split("|"))
    assert "head" in found


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("priors.npy", b"x"),
        ("priors.npy", b""),
        ("priors.txt", b"1,2,3,4"),
        ("priors.csv", b"1,2,3\n1,2,3"),
        ("priors.csv", b"1,2,3,4\n1,2,3"),
        ("priors.csv", b"\xff\xfe\x00"),
        ("priors.csv", b"1,2,3,nan"),
        ("priors.f32", bytes(15)),
        ("priors.f32", b""),
    ],
)
def test_files_without_priors_are_refused(name: str, data: bytes, tmp_path: Path) -> None:
    path = project(tmp_path, SSD.replace("priors.npy", name))
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        build_contract(load_config(path), inspection())
    assert "head.priors: " in caught.value.found


class Canary:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_priors_are_never_unpickled(tmp_path: Path) -> None:
    path = project(tmp_path)
    canary = tmp_path / "owned"
    np.save(tmp_path / "priors.npy", np.array([Canary(canary)], object), allow_pickle=True)
    with pytest.raises(ConfigError) as caught:
        build_contract(load_config(path), inspection())
    assert "head.priors: " in caught.value.found
    assert not canary.exists()
    np.load(tmp_path / "priors.npy", allow_pickle=True)
    assert canary.exists(), "the canary has to be able to sing"


def test_anchors_are_written_as_in_the_binding(tmp_path: Path) -> None:
    text = (
        SSD[: SSD.index("[head]")]
        + """
[head]
anchors = { kind = "yolo_anchor", strides = [32], wh = [[[10, 13], [16, 30], [33, 23]]] }

[[head.outputs]]
tensor = "p5"
role = "boxes"
axes = ["channel", "y", "x"]
slice = [0, 4]
packed = 3
activation = "sigmoid"
box = { format = "cxcywh", units = "stride" }

[[head.outputs]]
tensor = "p5"
role = "objectness"
axes = ["channel", "y", "x"]
slice = [4, 5]
packed = 3
activation = "sigmoid"

[[head.outputs]]
tensor = "p5"
role = "scores"
axes = ["channel", "y", "x"]
slice = [5, 8]
packed = 3
activation = "sigmoid"
"""
    )
    model = msgspec.structs.replace(inspection(), outputs=(spec("p5", 1, 24, 2, 2),))
    config = load_config(project(tmp_path, text))
    assert build_contract(config, model).task == "detect"
    head = with_described_head(config, model).head
    assert head is not None
    assert head.anchors == YoloAnchors(
        strides=(32,), wh=(((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),)
    )


def test_the_examples_of_the_how_to_are_configurations() -> None:
    page = (ROOT / "docs/how-to/describe-a-head.md").read_text()
    examples = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        head = tomllib.loads(example)["head"]
        assert list(find_faults(head, HeadConfig, "head")) == []


def test_distances_on_a_grid_of_another_stride_are_found(tmp_path: Path) -> None:
    text = (
        SSD[: SSD.index("[head]")]
        + """
[head]
anchors = { kind = "grid", strides = [16] }

[[head.outputs]]
tensor = "p5"
role = "boxes"
axes = ["channel", "y", "x"]
slice = [0, 4]
box = { format = "ltrb", units = "stride" }

[[head.outputs]]
tensor = "p5"
role = "scores"
axes = ["channel", "y", "x"]
slice = [4, 7]
"""
    )
    model = msgspec.structs.replace(inspection(), outputs=(spec("p5", 1, 7, 2, 2),))
    config = load_config(project(tmp_path, text))
    with pytest.raises(ConfigError, match="head") as caught:
        build_contract(config, model)
    assert "2x2 cells for stride 16" in caught.value.found
    right = load_config(project(tmp_path, text.replace("[16]", "[32]")))
    head = with_described_head(right, model).head
    assert head is not None
    assert head.anchors == GridAnchors(strides=(32,), offset=0.5)
