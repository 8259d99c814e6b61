"""[contract] and the source together."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Crop, Decode, Nms, Resize
from phoneproof.core.errors import ConfigError, Unsupported
from phoneproof.core.presets import preset_decode, preset_input
from phoneproof.pipeline.config_types import (
    Config,
    ContractConfig,
    DataConfig,
    DecodeConfig,
    ModelConfig,
)
from phoneproof.pipeline.contract_config import build_contract
from tests.unit.inspections import classifier, unknown, yolox


def build(inspection: Inspection, section: ContractConfig) -> Contract:
    config = Config(
        model=ModelConfig(source=Path("m.onnx"), name="m", version="3.1"),
        data=DataConfig(evaluation=Path("val")),
        contract=section,
    )
    return build_contract(config, inspection)


def test_nothing_written_means_what_the_source_says() -> None:
    contract = build(yolox(), ContractConfig())
    assert (contract.name, contract.version, contract.task) == ("m", "3.1", "detect")
    assert contract.image == preset_input("yolox", (64, 64))
    assert contract.decode == preset_decode("yolox")
    assert contract.labels == ("class 0", "class 1", "class 2")


def test_fields_override_the_preset() -> None:
    section = ContractConfig(
        preset="torchvision.imagenet",
        size=64,
        scale=1.0,
        geometry=(Crop(aspect=1), Resize(to="stretch", size=(64, 64))),
        color_profile="srgb",
        labels=("", "a", "b"),
    )
    contract = build(classifier(3, side=64), section)
    expected = preset_input("torchvision.imagenet", (64, 64))
    assert contract.image == msgspec.structs.replace(
        expected,
        scale=1.0,
        geometry=(Crop(aspect=1), Resize(to="stretch", size=(64, 64))),
        color_profile="srgb",
    )
    assert contract.labels == (None, "a", "b")
    assert contract.decode is None


def test_no_preset_but_everything_else() -> None:
    section = ContractConfig(
        geometry=(), scale=1.0, mean=(0.0,), std=(1.0,), channels="gray", gray="opencv"
    )
    image = build(classifier(3, channels=1), section).image
    assert (image.channels, image.gray, image.size) == ("gray", "opencv", (224, 224))


def test_decode_is_overridden_field_by_field() -> None:
    half = build(yolox(), ContractConfig(decode=DecodeConfig(confidence=0.5))).decode
    assert half == Decode(confidence=0.5, nms=Nms(iou=0.45, max_detections=300))
    none = build(yolox(), ContractConfig(decode=DecodeConfig(nms=False))).decode
    assert none is not None
    assert none.nms is None
    own = build(yolox(), ContractConfig(decode=DecodeConfig(nms=Nms(iou=0.9)))).decode
    assert own is not None
    assert own.nms == Nms(iou=0.9)


def test_labels_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("-\r\ncat\r\npolar bear, a bear\r\n\r\n", encoding="utf-8")
    contract = build(classifier(3), ContractConfig(preset="keras.tf", labels_file=path))
    assert contract.labels == (None, "cat", "polar bear, a bear")


def test_faults_of_the_contract_come_together() -> None:
    section = ContractConfig(
        preset="keras.cafe",
        size=0,
        labels=("a",),
        decode=DecodeConfig(confidence=0.1),
    )
    with pytest.raises(ConfigError) as caught:
        build(classifier(3), section)
    assert "contract.size: each side must be in 1..16384" in caught.value.found
    assert "contract.labels: 1 labels, but the model has 3 scores" in caught.value.found
    assert "contract.decode: only a detect contract has decode" in caught.value.found


@pytest.mark.parametrize(
    ("inspection", "section", "expected"),
    [
        (classifier(3), ContractConfig(preset="keras.cafe"), "did you mean 'keras.caffe'?"),
        (classifier(3), ContractConfig(scale=1.0), "give also geometry, mean, std"),
        (classifier(3), ContractConfig(preset="keras.tf", mean=(0.0,)), "mean and std take 3"),
        (classifier(3, channels=1), ContractConfig(preset="keras.tf"), "the model takes 1"),
        (yolox(), ContractConfig(decode=DecodeConfig(confidence=3.0)), "confidence must be"),
        (yolox(), ContractConfig(decode=DecodeConfig(nms=True)), "or false for none"),
        (
            msgspec.structs.replace(classifier(3), size=None),
            ContractConfig(preset="keras.tf"),
            "contract.size: missing",
        ),
        (
            msgspec.structs.replace(classifier(3), task=None),
            ContractConfig(preset="keras.tf"),
            "contract.task: missing",
        ),
        (
            classifier(3),
            ContractConfig(preset="keras.tf", labels_file=Path("/no/labels.txt")),
            "contract.labels_file: cannot be read",
        ),
    ],
)
def test_one_fault_of_the_contract(
    inspection: Inspection, section: ContractConfig, expected: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        build(inspection, section)
    assert expected in caught.value.found


def test_a_task_that_the_outputs_cannot_serve() -> None:
    with pytest.raises(Unsupported, match="no detect head"):
        build(unknown(1, 9, 9), ContractConfig(task="detect", preset="yolox"))


def test_a_raw_contract_has_neither_labels_nor_decode() -> None:
    contract = build(unknown(1, 9, 9), ContractConfig(preset="keras.tf"))
    assert (contract.task, contract.labels, contract.decode) == ("raw", (), None)
