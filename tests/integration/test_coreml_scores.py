"""Third-party classifiers: probabilities stay as they are, and logits get what is left to apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from phoneproof.cli.main import main
from phoneproof.core.binding import Activation, Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.json_format import canonical_bytes
from phoneproof.decode.results import Classification
from phoneproof.pipeline.foreign import ForeignArtifact, load_foreign
from tests.integration.coreml_networks import numbers, write_network

LABELS = ("a", "b", "c", "d", "e")
CONTRACT = Contract(
    name="letters",
    task="classify",
    labels=LABELS,
    inputs=(
        ImageInput(
            geometry=(Resize(to="stretch", size=(8, 8)),),
            size=(8, 8),
            scale=1.0,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
        ),
    ),
)
IMAGE = np.random.default_rng(4).integers(0, 256, (8, 8, 3), np.uint8)

Float = NDArray[np.float32]
Layers = list[tuple[str, dict[str, object]]]
LOGITS: Layers = [
    ("pooling", {"type": 1, "globalPooling": True, "valid": None}),
    ("innerProduct", {"inputChannels": 3, "outputChannels": 5, "weights": numbers(5, 3) * 0.02}),
]
SOFTMAX: Layers = [("softmax", {})]
SIGMOID: Layers = [("activation", {"sigmoid": None})]
HARD: Layers = [("activation", {"sigmoidHard.alpha": 0.1, "sigmoidHard.beta": 0.5})]
MOVES: dict[str, Layers] = {
    "nothing": [],
    "flatten": [("flatten", {})],
    "reshape": [("reshape", {"targetShape": [5, 1, 1]})],
    "permute": [("permute", {"axis": [0, 1, 3, 2]})],
    "transpose": [("transpose", {"axes": [0, 1, 2, 4, 3]})],
    "squeeze": [("squeeze", {"axes": [3, 4]}), ("expandDims", {"axes": [3, 4]})],
    "copy": [("copy", {}), ("reshapeStatic", {"targetShape": [1, 1, 5, 1, 1]})],
}


def written(folder: Path, layers: Layers, fill: Any = None) -> Path:
    path = folder / "net.mlmodel"
    return write_network(path, layers, kind="neuralNetworkClassifier", fill=fill)


def like(activation: Activation) -> Binding:
    """Of another file of the same classes."""
    return Binding(
        contract=CONTRACT.sha256,
        format="tflite",
        inputs=(InputBinding(tensor="image", shape=(1, 8, 8, 3), layout="NHWC"),),
        outputs=(
            OutputBinding(
                tensor="out", role="scores", shape=(1, 5), axes=("class",), activation=activation
            ),
        ),
    )


def activation(loaded: ForeignArtifact) -> Activation:
    return loaded.binding.outputs[0].activation


def probabilities(loaded: ForeignArtifact) -> Float:
    """What an app gets for the image, class by class."""
    results, _ = loaded.predictor().predict_rgb(IMAGE)
    assert isinstance(results, Classification)
    return results.probabilities


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("twin", [None, "none", "softmax", "sigmoid"])
def test_probabilities_stay_whatever_moves_them(
    tmp_path: Path, moves: Layers, twin: Activation | None
) -> None:
    other = None if twin is None else like(twin)
    for end in (SOFTMAX, SIGMOID, HARD):
        loaded = load_foreign(written(tmp_path, [*LOGITS, *end, *moves]), CONTRACT, other)
        assert activation(loaded) == "none"
        assert loaded.note == ""


@pytest.mark.parametrize("moves", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize(
    ("twin", "expected"),
    [(None, "softmax"), ("none", "softmax"), ("softmax", "softmax"), ("sigmoid", "sigmoid")],
)
def test_logits_get_what_is_left(
    tmp_path: Path, moves: Layers, twin: Activation | None, expected: Activation
) -> None:
    """A softmax inside the network, before the last matrix, is not one of its scores."""
    other = None if twin is None else like(twin)
    for before in (LOGITS[:1], [*LOGITS[:1], *SOFTMAX]):
        layers = [*before, *LOGITS[1:], *moves]
        loaded = load_foreign(written(tmp_path, layers), CONTRACT, other)
        assert activation(loaded) == expected
        assert "innerProduct" in loaded.note
        assert expected in loaded.note


@pytest.mark.parametrize(
    ("twin", "expected", "said"),
    [(None, "softmax", "softmax"), ("none", "none", "nothing"), ("sigmoid", "sigmoid", "sigmoid")],
)
def test_what_may_be_anything_is_as_in_the_other_file(
    tmp_path: Path, twin: Activation | None, expected: Activation, said: str
) -> None:
    """Probabilities times a number: nothing in the file says what they are."""
    layers: Layers = [*LOGITS, *SOFTMAX, ("multiply", {"alpha": 0.5})]
    other = None if twin is None else like(twin)
    loaded = load_foreign(written(tmp_path, layers), CONTRACT, other)
    assert activation(loaded) == expected
    assert "multiply" in loaded.note
    assert f"{said} is applied" in loaded.note


def test_apps_get_what_the_network_means(tmp_path: Path) -> None:
    """By numbers: one softmax or one sigmoid, inside the file or after it."""
    values = IMAGE.astype(np.float32).mean((0, 1)) @ (numbers(5, 3) * 0.02).T
    sigmoid, powers = 1 / (1 + np.exp(-values)), np.exp(values - values.max())
    flat = MOVES["flatten"]
    cases: list[tuple[Layers, Binding | None, Float]] = [
        (SOFTMAX, None, powers / powers.sum()),
        ([], None, powers / powers.sum()),
        ([], like("sigmoid"), sigmoid),
        (SIGMOID, like("sigmoid"), sigmoid),
    ]
    for end, twin, expected in cases:
        found = probabilities(
            load_foreign(written(tmp_path, [*LOGITS, *end, *flat]), CONTRACT, twin)
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
    twice = np.exp(expected) / np.exp(expected).sum()
    assert np.abs(found - twice).max() > 0.1


def joined(spec: Any) -> None:
    """The probabilities of one layer, in two parts and together again."""
    layers = spec.neuralNetworkClassifier.layers
    parts, together = layers.add(), layers.add()
    layers[-3].output[0] = "all"
    parts.name, together.name = "parts", "together"
    parts.splitND.axis, together.concatND.axis = 2, 2
    parts.splitND.splitSizes.extend([2, 3])
    parts.input.append("all")
    parts.output.extend(["first", "second"])
    together.input.extend(["first", "second"])
    together.output.append("out")


def in_place(spec: Any) -> None:
    """Every layer gives a blob of one name, which the next one takes."""
    for layer in spec.neuralNetworkClassifier.layers:
        layer.input[0] = "image" if layer.input[0] == "image" else "out"
        layer.output[0] = "out"


@pytest.mark.parametrize("fill", [joined, in_place])
def test_other_ways_to_move_numbers(tmp_path: Path, fill: Any) -> None:
    for layers, expected in (([*LOGITS, *SOFTMAX], "none"), (LOGITS, "softmax")):
        loaded = load_foreign(written(tmp_path, layers, fill), CONTRACT)
        assert activation(loaded) == expected


def test_an_image_as_it_is_has_no_layer_to_name(tmp_path: Path) -> None:
    """Three pixels taken for three classes."""
    contract = msgspec.structs.replace(CONTRACT, labels=LABELS[:3])
    path = write_network(
        tmp_path / "net.mlmodel",
        [("copy", {})],
        image=(3, 1, 1),
        kind="neuralNetworkClassifier",
    )
    loaded = load_foreign(path, contract)
    assert activation(loaded) == "softmax"
    assert "no layer" in loaded.note


def test_compare_tells_what_it_took_for_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(IMAGE).save(tmp_path / "images" / "one.png")
    (tmp_path / "contract.json").write_bytes(canonical_bytes(CONTRACT))
    plain = written(tmp_path, LOGITS).rename(tmp_path / "plain.mlmodel")
    done = written(tmp_path, [*LOGITS, *SOFTMAX])
    options = ["--contract", str(tmp_path / "contract.json"), "--images", str(tmp_path / "images")]
    with pytest.raises(SystemExit) as caught:
        main(["compare", str(done), str(plain), *options, "--json"])
    told = capsys.readouterr()
    assert caught.value.code == 0
    expected = "plain.mlmodel: its scores end with innerProduct and are taken for logits"
    assert told.err.splitlines() == [f"{expected}: softmax is applied"]
    assert not [check["name"] for check in json.loads(told.out) if check["verdict"] == "fail"]
