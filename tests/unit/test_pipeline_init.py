"""The written phoneproof.toml gives back the inferred contract, whatever the names."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phoneproof.capture.infer import Inference, infer_contract
from phoneproof.core.capture import Finding, Hazard, Inspection
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms
from phoneproof.core.errors import ConfigError, StorageError
from phoneproof.core.presets import PRESETS, preset_input
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.config_types import TargetConfig
from phoneproof.pipeline.contract_config import build_contract
from phoneproof.pipeline.data_facts import DataFacts
from phoneproof.pipeline.init_config import config_text, write_config
from phoneproof.pipeline.toml_text import assignment, comment, toml_value
from tests.unit.inspections import classifier, keras, pairs, unknown, yolox

FACTS = DataFacts(
    layout="folder_per_class",
    reason="every image lies in one of 3 folders: one per class",
    class_names=("a", "b", "c"),
    suggests="classify",
    images=10,
    skipped=2,
    labelled=True,
    calibration=2,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def written(folder: Path, inspection: Inspection, inference: Inference) -> str:
    source, images = folder / "m.onnx", folder / "val"
    source.write_bytes(b"m")
    images.mkdir(exist_ok=True)
    path = folder / "phoneproof.toml"
    write_config(
        path,
        source=source,
        images=images,
        inspection=inspection,
        inference=inference,
        data=FACTS,
        overwrite=True,
    )
    return path.read_text(encoding="utf-8")


def round_trip(folder: Path, inspection: Inspection, inference: Inference) -> Contract:
    written(folder, inspection, inference)
    return build_contract(load_config(folder / "phoneproof.toml"), inspection)


@pytest.mark.parametrize(
    "inspection",
    [
        classifier(1000),
        classifier(1001),
        classifier(3),
        classifier(10, side=28, channels=1),
        keras(10, side=32),
        yolox(),
        pairs(4420, 2, (240, 320)),
        unknown(1, 14, 96, 96),
    ],
)
def test_the_file_gives_back_the_contract(tmp_path: Path, inspection: Inspection) -> None:
    inference = infer_contract(inspection, name="m", labels_found=("a", "b", "c"))
    assert round_trip(tmp_path, inspection, inference) == inference.contract


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_and_every_override_comes_back(tmp_path: Path, preset: str) -> None:
    inference = infer_contract(yolox(), name="m", preset=preset)
    other = preset_input("torchvision.imagenet" if "keras" not in preset else "yolox", (64, 64))
    changed: ImageInput = msgspec.structs.replace(
        other, orientation="ignore", alpha=(1, 2, 3), color_profile="srgb"
    )
    decode = Decode(confidence=0.125, nms=None, multi_label=True)
    for inputs, policy in (
        (inference.contract.inputs, inference.contract.decode),
        ((changed,), inference.contract.decode),
        ((changed,), decode),
    ):
        contract = msgspec.structs.replace(inference.contract, inputs=inputs, decode=policy)
        again = msgspec.structs.replace(inference, contract=contract)
        assert round_trip(tmp_path, yolox(), again) == contract


def test_without_a_preset_every_value_is_active(tmp_path: Path) -> None:
    inspection = keras(10, side=32)
    table = tomllib.loads(written(tmp_path, inspection, infer_contract(inspection, name="m")))
    assert {"channels", "values", "scale", "mean", "std", "geometry"} <= table["contract"].keys()
    assert "preset" not in table["contract"]


def test_with_a_preset_its_values_stand_there_as_comments(tmp_path: Path) -> None:
    text = written(tmp_path, yolox(), infer_contract(yolox(), name="m"))
    assert tomllib.loads(text)["contract"].keys() == {"task", "preset", "size", "labels", "decode"}
    assert "# scale = 1.0\n" in text
    assert '# channels = "bgr"\n' in text
    assert "# [[contract.geometry]]\n" in text
    enabled = "\n".join(
        line.removeprefix("# ") if line.startswith(("# scale =", "# mean =")) else line
        for line in text.splitlines()
    )
    assert tomllib.loads(enabled)["contract"]["scale"] == 1.0


def test_reasons_stand_beside_the_values_and_guesses_are_loud(tmp_path: Path) -> None:
    text = written(tmp_path, yolox(), infer_contract(yolox(), name="m"))
    assert 'task = "detect"  # read: cells of strides 8, 16, 32\n' in text
    assert 'preset = "yolox"  # implied: the head is YOLOX\'s own\n' in text
    assert "# ASSUMED: the defaults of the family's own predictor" in text
    flowing = text.replace("\n# ", " ")
    assert "For int8, 2 of them calibrate" in flowing


def test_many_placeholders_are_not_written_out(tmp_path: Path) -> None:
    inference = infer_contract(classifier(1001), name="m")
    text = written(tmp_path, classifier(1001), inference)
    assert "labels" not in tomllib.loads(text)["contract"]
    assert '# labels_file = "labels.txt"' in text
    assert len(text.splitlines()) < 100


def test_lines_are_short_and_the_text_does_not_depend_on_the_run(tmp_path: Path) -> None:
    names = tuple(f"a class with a longer name {index}" for index in range(50))
    inspection = msgspec.structs.replace(classifier(50), labels=names)
    inference = infer_contract(inspection, name="m")
    text = written(tmp_path, inspection, inference)
    assert max(map(len, text.splitlines())) <= 103
    assert written(tmp_path, inspection, inference) == text


@given(st.lists(TEXT, min_size=3, max_size=3), TEXT, TEXT, TEXT)
def test_hostile_names_stay_text(labels: list[str], source: str, reason: str, hazard: str) -> None:
    inspection = msgspec.structs.replace(
        classifier(3),
        labels=tuple(labels),
        findings=(Finding(key="contract.task", value="classify", reason=reason),),
        hazards=(Hazard(name="h", found=hazard, next_step=hazard),),
    )
    inference = infer_contract(inspection, name="m")
    file_name = source.replace("/", "_").replace("\0", "_") or "m"
    text = config_text(
        base=Path("/base"),
        source=Path("/base/models") / f"x{file_name}",
        images=Path("/base") / f"images {file_name}",
        labels=None,
        inspection=inspection,
        inference=inference,
        data=dataclasses.replace(FACTS, reason=reason),
    )
    table = tomllib.loads(text)
    assert table["model"]["source"] == f"models/x{file_name}"
    assert table["data"]["evaluation"] == f"images {file_name}"
    if any(labels):
        assert table["contract"]["labels"] == labels
    assert table["contract"]["task"] == "classify"
    assert table.keys() == {"model", "data", "contract", "targets", "checks", "package"}


@given(
    st.recursive(
        st.one_of(
            st.booleans(),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False, allow_infinity=False),
            TEXT,
        ),
        lambda inner: st.lists(inner, max_size=30),
        max_leaves=60,
    ),
    TEXT,
)
def test_values_and_comments_survive_toml(
    value: bool | int | float | str | list[str], why: str
) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
    lines = assignment("x", value, why)
    assert tomllib.loads("\n".join(lines))["x"] == value
    assert tomllib.loads("\n".join(comment(why))) == {}


def test_a_name_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        toml_value("caf\udce9.jpg")


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    inference = infer_contract(yolox(), name="m")
    path = tmp_path / "phoneproof.toml"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        write_config(
            path,
            source=tmp_path / "m",
            images=tmp_path,
            inspection=yolox(),
            inference=inference,
            data=FACTS,
        )
    assert path.read_text() == "mine"
    written(tmp_path, yolox(), inference)
    assert path.read_text() != "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.onnx", "phoneproof.toml", "val"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"phoneproof\.toml cannot be written"):
        write_config(
            tmp_path / "gone" / "phoneproof.toml",
            source=tmp_path / "m",
            images=tmp_path,
            inspection=yolox(),
            inference=infer_contract(yolox(), name="m"),
            data=FACTS,
        )


def test_paths_go_up_and_through_links(tmp_path: Path) -> None:
    real = tmp_path / "real" / "project"
    real.mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.onnx").write_bytes(b"m")
    inference = infer_contract(yolox(), name="m")
    path = tmp_path / "link" / "phoneproof.toml"
    write_config(
        path,
        source=tmp_path / "models" / "m.onnx",
        images=tmp_path / "models",
        inspection=yolox(),
        inference=inference,
        data=FACTS,
    )
    config = load_config(path)
    assert config.model.source.resolve() == tmp_path / "models" / "m.onnx"
    assert 'source = "../../models/m.onnx"' in path.read_text()


def test_nms_off_is_written_as_false(tmp_path: Path) -> None:
    inference = infer_contract(yolox(), name="m")
    assert inference.contract.decode is not None
    assert inference.contract.decode.nms == Nms(iou=0.45)
    decode = msgspec.structs.replace(inference.contract.decode, nms=None)
    contract = msgspec.structs.replace(inference.contract, decode=decode)
    again = msgspec.structs.replace(inference, contract=contract)
    assert "nms = false" in written(tmp_path, yolox(), again)


def test_the_section_for_iphones_is_there_for_the_asking(tmp_path: Path) -> None:
    inspection = yolox()
    text = written(tmp_path, inspection, infer_contract(inspection, name="m"))
    path = tmp_path / "phoneproof.toml"
    assert load_config(path).targets.ios is None
    begin, end = text.index("# [targets.ios]"), text.index("[checks]")
    shown = "\n".join(line.removeprefix("# ") for line in text[begin:end].splitlines())
    path.write_text(text[:begin] + shown + "\n\n" + text[end:], encoding="utf-8")
    assert load_config(path).targets.ios == TargetConfig(
        formats=("coreml",), precisions=("float16",), input="image", minimum_ios=17
    )
