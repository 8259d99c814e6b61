"""A file of another build is known by what it carries."""

from __future__ import annotations

import msgspec

from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.verify.contract_match import contract_match_check

SPEC = ImageInput(geometry=(), size=(8, 8), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
CONTRACT = Contract(name="m", task="classify", inputs=(SPEC,), labels=("a", "b", "c"))
BINDING = Binding(
    artifact="f0" * 32,
    contract=CONTRACT.sha256,
    format="tflite",
    inputs=(InputBinding(tensor="image", shape=(1, 8, 8, 3), layout="NHWC"),),
    outputs=(),
)


def test_the_same_contract_matches_whatever_the_hash() -> None:
    carried = msgspec.structs.replace(BINDING, artifact=None)
    check = contract_match_check(
        contract=CONTRACT, binding=BINDING, inside=(CONTRACT, carried), artifact="tflite-float32"
    )
    assert (check.verdict, check.value, check.gating) == ("pass", 0.0, True)


def test_shifted_labels_and_another_layout_are_named() -> None:
    shifted = msgspec.structs.replace(CONTRACT, labels=("c", "a", "b"))
    turned = msgspec.structs.replace(BINDING, format="onnx")
    check = contract_match_check(
        contract=CONTRACT, binding=BINDING, inside=(shifted, turned), artifact="tflite-float32"
    )
    assert (check.verdict, check.value) == ("fail", 2.0)
    assert "contract.labels" in check.hint
    assert "binding.format" in check.hint
    assert check.slice == "tflite-float32"


def test_an_image_input_of_another_order_of_channels_is_named() -> None:
    carried = msgspec.structs.replace(BINDING, artifact=None)
    checks = [
        contract_match_check(
            contract=CONTRACT,
            binding=BINDING,
            inside=(CONTRACT, carried),
            artifact="coreml-float16",
            image_channels=channels,
        )
        for channels in (("rgb",), ("bgr",), (None,))
    ]
    assert [check.verdict for check in checks] == ["pass", "fail", "fail"]
    assert "bgr, the contract has rgb" in checks[1].hint
