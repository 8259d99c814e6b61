"""Third-party Core ML networks: equal to their twins of other formats, and refused where broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from phoneproof.capture.base import SOURCES
from phoneproof.capture.sources import find_source
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.json_format import canonical_bytes
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.messages import model_messages
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
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


@pytest.mark.parametrize("kind", ["treeEnsembleRegressor", "pipeline", "glmClassifier"])
def test_what_is_no_network_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "other.mlmodel"
    path.write_bytes(model(kind).SerializeToString())
    for runtime in (CoreMlNetworkRuntime(), RUNTIMES.load("coreml")):
        with pytest.raises(Unsupported) as caught:
            runtime.open_for_trace(path)
        assert caught.value.found == kind


def test_inspect_says_what_it_is_and_where_it_is_of_use() -> None:
    with pytest.raises(Unsupported) as caught:
        find_source(asset(CPM))
    assert "image__0 (RGB image 192x192)" in caught.value.found
    assert "757 layers: 386 activation, 145 convolution" in caught.value.found
    assert "phoneproof compare" in caught.value.next_step


# ---- compare ------------------------------------------------------------------------------


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


def compared(folder: Path, first: Path, second: Path, contract: Path | None = None) -> Any:
    from phoneproof.core.events import silence
    from phoneproof.pipeline.compare import compare
    from phoneproof.pipeline.foreign import load_both

    given = None if contract is None else msgspec.json.decode(contract.read_bytes(), type=Contract)
    one, other = load_both(first, second, given)
    return compare(
        one, other, contract=given or one.contract, images=folder / "images", listener=silence
    )


def worst(result: Any) -> float:
    return max(float(one.value) for one in result.checks if one.name.startswith("max_abs"))


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


def test_what_does_not_fit_the_contract_is_named(tmp_path: Path) -> None:
    from phoneproof.pipeline.foreign import load_foreign

    bgr = small(tmp_path / "bgr.mlmodel", colour=30)
    with pytest.raises(InvalidInput, match="another order") as caught:
        load_foreign(bgr, POSE)
    assert caught.value.found == "BGR; the contract says rgb"
    detector = msgspec.structs.replace(POSE, task="detect", decode=_decode())
    with pytest.raises(Unsupported, match="boxes"):
        load_foreign(small(tmp_path / "d.mlmodel"), detector)
    classifier = msgspec.structs.replace(POSE, task="classify", labels=("a", "b"))
    with pytest.raises(InvalidInput, match="one row of classes"):
        load_foreign(small(tmp_path / "c.mlmodel"), classifier)


def _decode() -> Any:
    from phoneproof.core.contract import Decode

    return Decode()
