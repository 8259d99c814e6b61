"""Contract inference: the values, and that no guess passes for knowledge."""

from __future__ import annotations

import msgspec
import pytest

from phoneproof.capture.infer import CERTAINTIES, Inference, hub_binding, infer_contract
from phoneproof.core.binding import Quant
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.contract import Resize
from phoneproof.core.errors import ConfigError, Unsupported
from phoneproof.core.presets import preset_decode, preset_input
from phoneproof.core.tensors import TensorSpec
from tests.unit.inspections import classifier, keras, pairs, spec, unknown, yolox


def infer(inspection: Inspection, *labels_found: str) -> Inference:
    return infer_contract(inspection, name="m", labels_found=labels_found)


SOURCES = [
    classifier(1000),
    classifier(1001),
    classifier(5, side=32),
    classifier(10, side=28, channels=1),
    keras(1000, family="mobilenet_1.00_224"),
    keras(10, side=32),
    yolox(),
    pairs(4420, 2, (240, 320)),
    pairs(100, 21, (300, 300)),
    unknown(1, 14, 96, 96),
]


@pytest.mark.parametrize(
    ("scale", "zero", "lowest", "highest"),
    [
        (1 / 128, 0, -1.0, 1.0),
        (1 / 255, -128, 0.0, 1.0),
        (1.0, -128, 0.0, 255.0),
        (0.02, -10, -2.36, 2.74),
    ],
)
def test_a_quantised_input_says_what_its_integers_stand_for(
    scale: float, zero: int, lowest: float, highest: float
) -> None:
    quantised = TensorSpec(
        name="x", shape=(1, 3, 64, 64), dtype="int8", quant=Quant(scale=scale, zero_point=zero)
    )
    inspection = msgspec.structs.replace(yolox(), inputs=(quantised,), quantised=True)
    image = infer(inspection).contract.image
    ends = [(pixel * image.scale - image.mean[0]) / image.std[0] for pixel in (0, 255)]
    assert ends == pytest.approx([lowest, highest], abs=0.01)
    assert image.geometry == preset_input("yolox", (64, 64)).geometry
    assert image.channels == "bgr"


def _quantised(scale: float, zero_point: int) -> Inspection:
    image = TensorSpec(
        name="x",
        shape=(1, 224, 224, 3),
        dtype="uint8",
        quant=Quant(scale=scale, zero_point=zero_point),
    )
    return msgspec.structs.replace(keras(1001), inputs=(image,), quantised=True)


def test_of_a_usual_range_the_integers_are_the_pixels_themselves() -> None:
    image = infer(_quantised(1 / 128, 128)).contract.image
    integers = [
        round((pixel * image.scale - image.mean[0]) / image.std[0] * 128) + 128
        for pixel in range(256)
    ]
    assert integers == list(range(256))
    assert image.geometry == preset_input("slim.inception", (224, 224)).geometry


def test_a_preset_that_fits_an_unusual_range_stays() -> None:
    assert infer(_quantised(0.0095, 121)).preset == "slim.inception"


@pytest.mark.parametrize("inspection", SOURCES)
def test_every_reason_says_how_sure_it_is(inspection: Inspection) -> None:
    inference = infer(inspection)
    assert inference.findings
    for finding in inference.findings:
        assert finding.reason.startswith(CERTAINTIES), finding
        assert finding.value
    keys = [finding.key for finding in inference.findings]
    assert len(keys) == len(set(keys))
    for key in ("task", "size", "labels", "scale", "geometry", "channels"):
        assert f"contract.{key}" in keys


@pytest.mark.parametrize(
    ("inspection", "preset"),
    [
        (classifier(1000), "torchvision.imagenet"),
        (classifier(1001), "slim.inception"),
        (keras(1001), "slim.inception"),
        (keras(1000, family="mobilenet_1.00_224"), "keras.tf"),
        (keras(1000, family="resnet50"), "keras.caffe"),
        (keras(1000, family="densenet121"), "keras.torch"),
        (keras(7), "keras.tf"),
    ],
)
def test_a_classifiers_preset_is_a_guess_and_says_so(inspection: Inspection, preset: str) -> None:
    inference = infer(inspection)
    assert inference.preset == preset
    assert inference.contract.image == preset_input(preset, (224, 224))
    assert inference.contract.decode is None
    assert inference.reason("contract.preset").startswith("assumed:")


def test_1001_classes_begin_with_a_background() -> None:
    labels = infer(classifier(1001)).contract.labels
    assert labels[:3] == (None, "class 0", "class 1")
    assert labels[-1] == "class 999"
    assert infer(classifier(1001)).contract.class_index(0) == 1


@pytest.mark.parametrize(
    ("inspection", "scale"), [(keras(10, side=32), 1.0), (classifier(10, side=32), 1 / 255)]
)
def test_a_small_input_is_stretched_and_its_scale_is_assumed(
    inspection: Inspection, scale: float
) -> None:
    inference = infer(inspection)
    assert inference.preset == ""
    assert inference.contract.image.scale == scale
    assert inference.reason("contract.scale").startswith("assumed:")
    [op] = inference.contract.image.geometry
    assert isinstance(op, Resize)
    assert (op.to, op.size) == ("stretch", (32, 32))


def test_one_channel_is_gray_by_an_assumed_formula() -> None:
    inference = infer(classifier(10, side=28, channels=1))
    assert (inference.contract.image.channels, inference.contract.image.gray) == ("gray", "pillow")
    assert inference.reason("contract.gray").startswith("assumed:")


def test_other_numbers_of_channels_are_not_handled() -> None:
    with pytest.raises(Unsupported, match=r"4 channels[\s\S]*x \[1, 4, 224, 224\]"):
        infer(classifier(10, channels=4))


def test_a_family_implies_its_preset_and_decode_with_the_sources_reason() -> None:
    inference = infer(yolox())
    assert inference.preset == "yolox"
    assert inference.contract.decode == preset_decode("yolox")
    assert inference.reason("contract.preset") == "implied: the head is YOLOX's own"
    assert inference.reason("contract.task") == "read: cells of strides 8, 16, 32"
    assert inference.reason("contract.decode.nms").startswith("assumed:")


def test_the_geometry_is_told_in_words() -> None:
    [told] = [f.value for f in infer(yolox()).findings if f.key == "contract.geometry"]
    assert told == "resize contain 64 x 64 opencv.linear then pad 64 x 64 top_left"


def test_ultraface_is_known_by_its_priors() -> None:
    inference = infer(pairs(4420, 2, (240, 320)))
    assert inference.contract.labels == (None, "face")
    image = inference.contract.image
    table = [(p * image.scale - image.mean[0]) / image.std[0] for p in (0, 127, 255)]
    assert table == [-127 / 128, 0.0, 1.0]
    other = infer(pairs(4421, 2, (240, 320)))
    assert other.contract.labels == (None, "class 0")
    assert other.reason("contract.scale").startswith("assumed:")


def test_labels_come_from_the_file_before_the_data_set() -> None:
    inspection = msgspec.structs.replace(classifier(3), labels=("a", "b", None))
    inference = infer(inspection, "x", "y", "z")
    assert inference.contract.labels == ("a", "b", None)
    assert inference.reason("contract.labels").startswith("read:")


def test_labels_of_the_data_set_are_assumed_to_be_in_order() -> None:
    inference = infer(classifier(3), "x", "y", "z")
    assert inference.contract.labels == ("x", "y", "z")
    assert inference.reason("contract.labels").startswith("assumed:")


def test_one_class_more_than_the_data_set_is_a_background() -> None:
    inference = infer(classifier(4), "x", "y", "z")
    assert inference.contract.labels == (None, "x", "y", "z")


def test_names_that_do_not_fit_become_placeholders_and_that_is_said() -> None:
    inspection = msgspec.structs.replace(classifier(3), labels=("a", "b"))
    inference = infer(inspection, "x")
    assert inference.contract.labels == ("class 0", "class 1", "class 2")
    reason = inference.reason("contract.labels")
    assert reason.startswith("assumed: 3 scores, but 2 names in the file, 1 in the data set")


def test_an_open_size_is_assumed() -> None:
    inspection = msgspec.structs.replace(classifier(1000), size=None)
    inference = infer(inspection)
    assert inference.contract.image.size == (224, 224)
    assert inference.reason("contract.size").startswith("assumed:")


def test_the_users_preset_and_task_win() -> None:
    inference = infer_contract(classifier(1001), name="m", preset="keras.caffe", task="raw")
    assert inference.preset == "keras.caffe"
    assert inference.reason("contract.preset") == "read: chosen by you"
    assert inference.contract.task == "raw"
    assert inference.contract.labels == ()
    with pytest.raises(ConfigError, match="unknown preset"):
        infer_contract(classifier(1001), name="m", preset="keras.cafe")


def test_outputs_of_no_role_are_raw() -> None:
    inference = infer(unknown(1, 14, 96, 96))
    assert inference.contract.task == "raw"
    binding = hub_binding(unknown(1, 14, 96, 96), inference.contract, size=(224, 224), batch=1)
    assert [(output.tensor, output.role) for output in binding.outputs] == [("heat", "raw")]


def test_a_detector_of_unknown_outputs_is_unsupported_and_named() -> None:
    with pytest.raises(Unsupported, match="no detect head") as caught:
        infer_contract(unknown(1, 14, 96, 96), name="m", task="detect")
    assert "heat [1, 14, 96, 96]" in caught.value.found
    nameless = msgspec.structs.replace(unknown(1, 9), task="detect", head=None)
    with pytest.raises(Unsupported, match="no detect head"):
        infer(nameless)


def test_the_hub_carries_the_contract_in_the_sources_layout() -> None:
    contract = infer(yolox()).contract
    binding = hub_binding(yolox(), contract, size=(64, 64), batch=4)
    assert (binding.format, binding.precision, binding.batch) == ("hub", "float32", 4)
    assert binding.contract == contract.sha256
    assert (binding.image.tensor, binding.image.shape) == ("image", (4, 3, 64, 64))
    assert binding.anchors is not None
    assert [output.role for output in binding.outputs] == ["boxes", "objectness", "scores"]
    assert {output.shape for output in binding.outputs} == {(4, 84, 8)}
    last = keras(10, side=32)
    binding = hub_binding(last, infer(last).contract, size=(32, 32), batch=1)
    assert (binding.image.layout, binding.image.shape) == ("NHWC", (1, 32, 32, 3))


def test_evidence_of_a_framework_alone_changes_nothing() -> None:
    named = msgspec.structs.replace(
        classifier(1000),
        evidence=Evidence(framework="pytorch 2.1"),
        inputs=(spec("i", 1, 3, 9, 9),),
    )
    assert infer(named).preset == "torchvision.imagenet"
