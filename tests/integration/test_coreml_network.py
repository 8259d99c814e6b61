"""Third-party Core ML networks: equal to their twins of other formats, and refused where broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from phoneproof.capture.base import SOURCES
from phoneproof.capture.sources import find_source
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.runtimes.backends.coreml_network.precision import network_precision
from phoneproof.runtimes.backends.coreml_network.runtime import CoreMlNetworkRuntime
from phoneproof.runtimes.base import RUNTIMES, Session
from tests.assets import asset
from tests.integration.coreml_networks import filled, model, numbers, write_network

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of TensorFlow's own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

CPM = "models/pose/cpm_model.mlmodel"
MNIST = "models/classify/mnistCNN.mlmodel"
PICTURES = ("images/single/bus.jpg", "images/single/zidane.jpg", "images/single/cat.bmp")
TWINS = 5e-5
"""Two runtimes of one float32 network of 145 convolutions, relative to the largest output."""

Array = NDArray[np.float32]


def pixels(name: str, size: int, mode: str = "RGB") -> Array:
    """[1, size, size, C] in 0..255."""
    picture = Image.open(asset(name)).convert(mode).resize((size, size))
    return np.asarray(picture, np.float32).reshape(1, size, size, -1)


def relative(found: Array, expected: Array) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def ran(session: Session, image: NDArray[Any]) -> Array:
    (value,) = session.run(
        {session.inputs[0].name: np.ascontiguousarray(image, np.float32)}
    ).values()
    return np.asarray(value, np.float32)


@pytest.fixture(scope="module")
def cpm() -> Session:
    return CoreMlNetworkRuntime().open(asset(CPM), threads=1)


@pytest.fixture(scope="module")
def cpm_tflite() -> Session:
    return RUNTIMES.load("tflite").open(asset("models/pose/cpm_model.tflite"), threads=1)


@pytest.mark.parametrize("name", PICTURES)
def test_the_pose_network_is_its_tflite_twin(cpm: Session, cpm_tflite: Session, name: str) -> None:
    image = pixels(name, 192)
    expected = ran(cpm_tflite, image).transpose(0, 3, 1, 2)
    right = image.transpose(0, 3, 1, 2)
    assert relative(ran(cpm, right), expected) < TWINS
    for wrong in (right[:, ::-1], right / 255, right[..., ::-1]):
        assert relative(ran(cpm, wrong), expected) > 100 * TWINS


def test_the_pose_network_is_its_frozen_graph(cpm: Session) -> None:
    graph = SOURCES.load("frozen_graph").open(
        asset("models/pose/cpm_model.pb"), size=(192, 192), batch=1
    )
    image = pixels(PICTURES[0], 192)
    expected = ran(graph, image).transpose(0, 3, 1, 2)
    assert relative(ran(cpm, image.transpose(0, 3, 1, 2)), expected) < TWINS


def test_the_digit_network_is_its_keras_twin() -> None:
    """The file scales by 1/255 itself; the Keras model wants 0..1."""
    session = CoreMlNetworkRuntime().open(asset(MNIST))
    assert [(spec.name, spec.shape) for spec in session.outputs] == [("output", (1, 10))]
    keras = SOURCES.load("keras_h5").open(
        asset("models/classify/mnistCNN.h5"), size=(28, 28), batch=1
    )
    nine = pixels("images/single/mnist_nine.bmp", 28, "L")
    expected = ran(keras, nine / 255).reshape(1, 10)
    found = ran(session, nine.transpose(0, 3, 1, 2))
    assert int(found.argmax()) == 9
    assert np.abs(found - expected).max() < 1e-5
    noise = np.random.default_rng(1).random((1, 28, 28, 1), np.float32)
    expected = ran(keras, noise).reshape(1, 10)
    assert relative(ran(session, (noise * 255).transpose(0, 3, 1, 2)), expected) < TWINS
    assert relative(ran(session, noise.transpose(0, 3, 1, 2)), expected) > 100 * TWINS


def test_core_mls_runtime_opens_networks_too(cpm: Session) -> None:
    opened = RUNTIMES.load("coreml").open_for_trace(asset(CPM))
    assert opened.inputs == cpm.inputs
    image = pixels(PICTURES[0], 192).transpose(0, 3, 1, 2)
    traced = list(opened.trace({"image__0": np.ascontiguousarray(image)}))
    assert len(traced) == 757
    assert np.array_equal(traced[-1][1], ran(cpm, image))


CONVOLUTION: dict[str, object] = {
    "outputChannels": 4,
    "kernelChannels": 3,
    "same": None,
    "hasBias": True,
    "weights": numbers(4, 3, 3, 3),
    "bias": numbers(4, seed=2),
}
SMALL = (("convolution", CONVOLUTION), ("activation", {"ReLU": None}))
"""A convolution and what follows it."""


def small(path: Path, fill: Any = None, **options: Any) -> Path:
    return write_network(
        path, [(kind, dict(fields)) for kind, fields in SMALL], fill=fill, **options
    )


def opened(path: Path) -> Session:
    return CoreMlNetworkRuntime().open(path)


IMAGE = np.random.default_rng(4).integers(0, 256, (1, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize(("colour", "added"), [(20, (1, 2, 3)), (30, (3, 2, 1))])
def test_scale_and_biases_go_to_their_colours(
    tmp_path: Path, colour: int, added: tuple[int, ...]
) -> None:
    def scaler(spec: Any) -> None:
        item = spec.neuralNetwork.preprocessing.add()
        item.featureName = "image"
        item.scaler.channelScale = 0.5
        item.scaler.redBias, item.scaler.greenBias, item.scaler.blueBias = 1, 2, 3

    bare = opened(small(tmp_path / "bare.mlmodel", colour=colour))
    scaled = opened(small(tmp_path / "scaled.mlmodel", scaler, colour=colour))
    expected = ran(bare, IMAGE * 0.5 + np.array(added, np.float32).reshape(3, 1, 1))
    np.testing.assert_allclose(ran(scaled, IMAGE), expected, rtol=1e-5, atol=1e-4)
    reversed_ = ran(bare, IMAGE * 0.5 + np.array(added[::-1], np.float32).reshape(3, 1, 1))
    assert not np.allclose(ran(scaled, IMAGE), reversed_, rtol=1e-3)


def test_a_mean_image_is_taken_off(tmp_path: Path) -> None:
    mean = numbers(3, 8, 8) * 40

    def meaned(spec: Any) -> None:
        item = spec.neuralNetwork.preprocessing.add()
        item.featureName = "image"
        item.meanImage.meanImage.extend(mean.ravel().tolist())

    bare = opened(small(tmp_path / "bare.mlmodel"))
    found = ran(opened(small(tmp_path / "mean.mlmodel", meaned)), IMAGE)
    np.testing.assert_allclose(found, ran(bare, IMAGE - mean), rtol=1e-5, atol=1e-3)


def stored(how: str) -> tuple[Any, Array]:
    """(what stores 108 weights anew in the first layer, the numbers they then are)."""
    weights = np.asarray(CONVOLUTION["weights"]).reshape(4, 27)
    if how == "float16":
        return (
            lambda params: setattr(params, "float16Value", weights.astype("<f2").tobytes()),
            weights.astype(np.float16).astype(np.float32),
        )
    kind, bits = how.split("_")
    count = 1 << int(bits)
    whole = np.random.default_rng(3).integers(0, count, weights.shape)
    packed = np.packbits(
        np.concatenate([[n >> b & 1 for b in range(int(bits) - 1, -1, -1)] for n in whole.ravel()])
    )

    def store(params: Any) -> None:
        params.rawValue = packed.astype(np.uint8).tobytes()
        params.quantization.numberOfBits = int(bits)
        if kind == "table":
            params.quantization.lookupTableQuantization.floatValue.extend(table.tolist())
        else:
            params.quantization.linearQuantization.scale.extend(scale.ravel().tolist())
            params.quantization.linearQuantization.bias.extend(bias.ravel().tolist())

    table, scale, bias = numbers(count), numbers(4, 1, seed=5), numbers(4, 1, seed=6)
    real = table[whole] if kind == "table" else whole * scale + bias
    return store, real.astype(np.float32)


@pytest.mark.parametrize(
    ("how", "precision"),
    [
        ("float16", "float16"),
        ("linear_8", "weight_only_wi8"),
        ("linear_4", "weight_only_wi4"),
        ("table_4", "palette4"),
        ("table_6", "palette6"),
        ("table_1", "mixed"),
    ],
)
def test_weights_in_few_bits(tmp_path: Path, how: str, precision: str) -> None:
    store, real = stored(how)

    def change(spec: Any) -> None:
        params = spec.neuralNetwork.layers[0].convolution
        params.hasBias = False
        params.ClearField("bias")
        params.weights.Clear()
        store(params.weights)

    def plain(spec: Any) -> None:
        params = spec.neuralNetwork.layers[0].convolution
        params.hasBias = False
        params.weights.Clear()
        filled(params, {"weights": real})

    few = small(tmp_path / "few.mlmodel", change)
    expected = ran(opened(small(tmp_path / "plain.mlmodel", plain)), IMAGE)
    np.testing.assert_allclose(ran(opened(few), IMAGE), expected, rtol=1e-5, atol=1e-3)
    assert network_precision(read_coreml(few).spec.neuralNetwork) == precision


def test_a_classifier_gives_its_probabilities(tmp_path: Path) -> None:
    layers: list[tuple[str, dict[str, object]]] = [
        ("pooling", {"type": 1, "globalPooling": True, "valid": None}),
        ("innerProduct", {"inputChannels": 3, "outputChannels": 5, "weights": numbers(5, 3)}),
        ("softmax", {}),
    ]
    path = write_network(tmp_path / "c.mlmodel", layers, kind="neuralNetworkClassifier")
    session = opened(path)
    assert [spec.shape for spec in session.outputs] == [(1, 5)]
    logits = IMAGE.mean((2, 3)) @ numbers(5, 3).T
    e = np.exp(logits - logits.max())
    np.testing.assert_allclose(ran(session, IMAGE), e / e.sum(), atol=1e-5)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    data = asset(MNIST).read_bytes()
    for share in (0.0, 0.001, 0.3, 0.9, 0.999):
        path = tmp_path / "cut.mlmodel"
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(InvalidInput, match=r"cut\.mlmodel"):
            opened(path)


def no_weights(spec: Any) -> None:
    spec.neuralNetwork.layers[0].convolution.weights.Clear()


def no_layers(spec: Any) -> None:
    del spec.neuralNetwork.layers[:]


def unknown_blob(spec: Any) -> None:
    spec.neuralNetwork.layers[1].input[0] = "nowhere"


def unknown_output(spec: Any) -> None:
    spec.description.output[0].name = "nothing"


def huge_image(spec: Any) -> None:
    spec.description.input[0].type.imageType.height = 1 << 30


def no_size(spec: Any) -> None:
    spec.description.input[0].type.imageType.width = 0


def channels(spec: Any) -> None:
    spec.description.input[0].type.imageType.colorSpace = 10


def short_mean(spec: Any) -> None:
    item = spec.neuralNetwork.preprocessing.add()
    item.featureName = "image"
    item.meanImage.meanImage.extend([1.0] * 5)


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (no_weights, "0 numbers of kernels"),
        (no_layers, "neuralNetwork"),
        (unknown_blob, "'nowhere'"),
        (unknown_output, "nothing"),
        (huge_image, str(1 << 30)),
        (no_size, "[1, 3, 8, 0]"),
        (channels, "convolution"),
        (short_mean, "5 numbers"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_named(tmp_path: Path, fault: Any, part: str) -> None:
    opened(small(tmp_path / "right.mlmodel"))
    with pytest.raises(InvalidInput) as caught:
        opened(small(tmp_path / "wrong.mlmodel", fault))
    assert part in caught.value.found
    assert "wrong.mlmodel" in caught.value.failed


def test_an_unknown_layer_is_named_with_its_kind(tmp_path: Path) -> None:
    def recurrent(spec: Any) -> None:
        spec.neuralNetwork.layers[1].gru.SetInParent()

    with pytest.raises(Unsupported) as caught:
        opened(small(tmp_path / "gru.mlmodel", recurrent))
    assert "gru" in caught.value.found
    assert "'activation_1'" in caught.value.found


@pytest.mark.parametrize("kind", ["treeEnsembleRegressor", "pipelineRegressor", "glmClassifier"])
def test_what_is_no_network_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.mlmodel"
    path.write_bytes(model(kind).SerializeToString())
    for runtime in (CoreMlNetworkRuntime(), RUNTIMES.load("coreml")):
        with pytest.raises(Unsupported) as caught:
            runtime.open_for_trace(path)
        assert caught.value.found == kind


def test_a_pipeline_that_is_not_network_boxes_and_nms_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.mlmodel"
    path.write_bytes(model("pipeline").SerializeToString())
    for runtime, found in (
        (CoreMlNetworkRuntime(), "pipeline"),
        (RUNTIMES.load("coreml"), "no models"),
    ):
        with pytest.raises(Unsupported) as caught:
            runtime.open_for_trace(path)
        assert caught.value.found == found


def test_inspect_says_what_it_is_and_where_it_is_of_use() -> None:
    with pytest.raises(Unsupported) as caught:
        find_source(asset(CPM))
    assert "image__0 (RGB image 192x192)" in caught.value.found
    assert "757 layers: 386 activation, 145 convolution" in caught.value.found
    assert "phoneproof compare" in caught.value.next_step
