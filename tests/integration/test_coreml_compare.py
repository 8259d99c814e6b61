"""`phoneproof compare` with third-party Core ML networks, which carry no contract."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, Decode, ImageInput, Resize
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.events import silence
from phoneproof.core.json_format import canonical_bytes
from phoneproof.formats.coreml.messages import model_messages
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.pipeline.compare import Compared, compare
from phoneproof.pipeline.foreign import load_both, load_foreign
from tests.assets import asset
from tests.integration.coreml_networks import write_network

CPM = "models/pose/cpm_model.mlmodel"
PICTURES = ("images/single/bus.jpg", "images/single/zidane.jpg", "images/single/cat.bmp")
POSE = Contract(
    name="pose",
    task="raw",
    inputs=(
        ImageInput(
            geometry=(Resize(to="stretch", size=(192, 192)),),
            size=(192, 192),
            scale=1.0,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        ),
    ),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pose network as a TFLite file with its contract, and three pictures."""
    made = tmp_path_factory.mktemp("pose")
    twin = asset("models/pose/cpm_model.tflite")
    binding = Binding(
        contract=POSE.sha256,
        format="tflite",
        inputs=(InputBinding(tensor="image", shape=(1, 192, 192, 3), layout="NHWC"),),
        outputs=(OutputBinding(tensor="pose", role="raw", shape=(1, 96, 96, 14)),),
    )
    edit = TfliteEdit(
        inputs=("image",),
        outputs=("pose",),
        metadata=embedding(Embedded(contract=POSE, binding=binding)),
    )
    (made / "twin.tflite").write_bytes(edit_tflite(twin.read_bytes(), edit, twin.name))
    (made / "images").mkdir()
    for name in PICTURES:
        Image.open(asset(name)).convert("RGB").save(made / "images" / f"{Path(name).stem}.png")
    return made


def compared(folder: Path, first: Path, second: Path, contract: Path | None = None) -> Compared:
    given = None if contract is None else msgspec.json.decode(contract.read_bytes(), type=Contract)
    one, other = load_both(first, second, given)
    return compare(
        one, other, contract=given or one.contract, images=folder / "images", listener=silence
    )


def worst(result: Compared) -> float:
    return max(one.value or 0.0 for one in result.checks if one.name.startswith("max_abs"))


@pytest.mark.parametrize("is_first", [False, True])
def test_compare_takes_a_network_on_either_side(folder: Path, is_first: bool) -> None:
    pair = (folder / "twin.tflite", asset(CPM))
    result = compared(folder, *(reversed(pair) if is_first else pair))
    gating = [check for check in result.checks if check.gating]
    assert gating
    assert all(check.verdict == "pass" for check in gating)
    runtimes = {check.runtime for check in result.checks}
    assert len(runtimes) == 1
    shown = runtimes.pop()
    assert ("neural network reference interpreter" in shown) != is_first
    assert "Core ML" not in shown


def test_compare_sees_a_scale_off_by_255(folder: Path, tmp_path: Path) -> None:
    spec = model_messages().Model.FromString(asset(CPM).read_bytes())
    spec.neuralNetwork.preprocessing[0].scaler.channelScale = 1 / 255
    wrong = tmp_path / "wrong.mlmodel"
    wrong.write_bytes(spec.SerializeToString())
    result = compared(folder, folder / "twin.tflite", wrong)
    assert any(check.verdict == "fail" and check.gating for check in result.checks)


def test_compare_sees_swapped_channels(folder: Path, tmp_path: Path) -> None:
    """A file that says RGB and was trained on BGR: the first kernels are turned around."""
    spec = model_messages().Model.FromString(asset(CPM).read_bytes())
    weights = spec.neuralNetwork.layers[0].convolution.weights
    turned = np.array(weights.floatValue, np.float32).reshape(16, 3, 3, 3)[:, ::-1]
    del weights.floatValue[:]
    weights.floatValue.extend(turned.ravel().tolist())
    wrong = tmp_path / "wrong.mlmodel"
    wrong.write_bytes(spec.SerializeToString())
    result = compared(folder, folder / "twin.tflite", wrong)
    assert any(check.verdict == "fail" and check.gating for check in result.checks)


def test_two_networks_need_a_contract(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="neither file carries a contract"):
        compared(folder, asset(CPM), asset(CPM))
    (tmp_path / "contract.json").write_bytes(canonical_bytes(POSE))
    result = compared(folder, asset(CPM), asset(CPM), tmp_path / "contract.json")
    assert worst(result) == 0


def network(path: Path, **options: Any) -> Path:
    return write_network(path, [("activation", {"ReLU": None})], **options)


def test_what_does_not_fit_the_contract_is_named(tmp_path: Path) -> None:
    bgr = network(tmp_path / "bgr.mlmodel", colour=30)
    with pytest.raises(InvalidInput, match="another order") as caught:
        load_foreign(bgr, POSE)
    assert caught.value.found == "BGR; the contract says rgb"
    detector = msgspec.structs.replace(POSE, task="detect", decode=Decode())
    with pytest.raises(Unsupported, match="boxes"):
        load_foreign(network(tmp_path / "d.mlmodel"), detector)
    classifier = msgspec.structs.replace(POSE, task="classify", labels=("a", "b"))
    with pytest.raises(InvalidInput, match="one row of classes"):
        load_foreign(network(tmp_path / "c.mlmodel"), classifier)
