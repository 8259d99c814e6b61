"""Keras 2 sources: the hub equals tf-keras; what would run code is refused before TensorFlow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from phoneproof.capture.backends.keras_h5 import KerasH5Source
from phoneproof.capture.backends.keras_layers import LAYERS
from phoneproof.capture.sources import find_source
from phoneproof.core.artifact import file_sha256
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow
from tests.assets import asset
from tests.integration.hub_agreement import photographs, worst_relative

MOBILENET = "models/classify/mobilenet_v1_0.25_224.h5"
RESNET = "models/classify/cifar10_resnet8.h5"
MNIST = "models/classify/mnistCNN.h5"
FACES = "models/classify/fer2013_mini_XCEPTION.102-0.66.hdf5"


@pytest.mark.parametrize(
    ("model", "scale", "shift"),
    [
        (MOBILENET, 1 / 127.5, -1.0),
        (RESNET, 1.0, 0.0),
        (MNIST, 1 / 255, 0.0),
        (FACES, 1 / 127.5, -1.0),
    ],
    ids=["mobilenet_v1", "resnet8", "mnist_2.1.6", "mini_xception_2.0.5"],
)
def test_the_hub_equals_tf_keras(
    model: str, scale: float, shift: float, record_property: Callable[[str, object], None]
) -> None:
    path = asset(model)
    before = file_sha256(path)
    source = KerasH5Source()
    inspection = source.inspect(path)
    assert inspection.size is not None
    session = source.open(path, size=inspection.size, batch=1)
    name, export = source.importers(path, size=inspection.size, batch=1)[0]
    program = export()
    images = photographs(session.inputs[0].shape, "NHWC", scale, shift)
    worst = worst_relative(program, session, images)
    record_property("worst_relative", worst)
    print(f"{path.name}: {worst:.1e} of {HUB_RELATIVE:.0e}")
    assert name == "tf2onnx+onnx2torch"
    assert worst <= HUB_RELATIVE
    assert file_sha256(path) == before


def test_one_corrupted_weight_is_seen() -> None:
    """The control of the comparison above."""
    path = asset(RESNET)
    program = KerasH5Source().importers(path, size=(32, 32), batch=1)[0][1]()
    session = KerasH5Source().open(path, size=(32, 32), batch=1)
    weight = next(value for name, value in program.state_dict.items() if name.endswith("weight"))
    with torch.no_grad():
        weight.view(-1)[0] += 1.0
    images = photographs((1, 32, 32, 3), "NHWC", 1.0, 0.0)
    assert worst_relative(program, session, images) > HUB_RELATIVE


@pytest.mark.parametrize("model", [RESNET, MNIST], ids=["functional", "nameless_sequential"])
def test_two_exports_are_the_same(model: str) -> None:
    path = asset(model)
    size = KerasH5Source().inspect(path).size
    assert size is not None
    first, second = (KerasH5Source().importers(path, size=size, batch=2)[0][1]() for _ in range(2))
    assert str(first.graph) == str(second.graph)
    assert list(first.state_dict) == list(second.state_dict)


@pytest.mark.parametrize(
    ("model", "size", "channels", "classes", "version"),
    [
        (MOBILENET, (224, 224), 3, 1000, "2.8.0"),
        (RESNET, (32, 32), 3, 10, "2.4.0"),
        (MNIST, (28, 28), 1, 10, "2.1.6"),
        (FACES, (64, 64), 1, 7, "2.0.5"),
    ],
)
def test_what_real_files_say(
    model: str, size: tuple[int, int], channels: int, classes: int, version: str
) -> None:
    name, source = find_source(asset(model))
    inspection = source.inspect(asset(model))
    assert name == inspection.format == "keras_h5"
    assert (inspection.layout, inspection.size, inspection.channels) == ("NHWC", size, channels)
    assert [spec.shape for spec in inspection.outputs] == [(-1, classes)]
    assert inspection.task == "classify"
    assert inspection.head is not None
    assert inspection.head.outputs[0].activation == "none"
    assert inspection.evidence.training == (("keras_version", version),)
    assert inspection.preset == ""


def test_inspect_imports_neither_tensorflow_nor_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from phoneproof.capture.sources import find_source\n"
        "for p in map(Path, sys.argv[1:]): find_source(p)[1].inspect(p)\n"
        "print([m for m in ('tensorflow', 'tf_keras', 'torch') if m in sys.modules])"
    )
    files = [str(asset(RESNET)), str(asset("models/classify/mnist.onnx"))]
    done = subprocess.run(
        [sys.executable, "-c", code, *files], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


Json = dict[str, object]


def _layer(kind: str, name: str, **config: object) -> Json:
    return {"class_name": kind, "config": {"name": name, **config}}


_INPUT = _layer("InputLayer", "in", batch_input_shape=[None, 8, 8, 3])
_FLATTEN = _layer("Flatten", "flat")
_DENSE = _layer("Dense", "out", units=2, activation="softmax")


def _sequential(*layers: Json) -> Json:
    return {"class_name": "Sequential", "config": {"name": "net", "layers": list(layers)}}


def _file(path: Path, config: object, version: str = "2.9.0") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version
        file.attrs["model_config"] = config if isinstance(config, str) else json.dumps(config)
        file.create_group("model_weights")
    return path


_LAMBDA = _layer("Lambda", "sneaky", function=["4wEAAA==", None, None], function_type="lambda")


@pytest.mark.parametrize(
    "config",
    [
        _sequential(_INPUT, _LAMBDA, _FLATTEN, _DENSE),
        _sequential(_INPUT, _sequential(_LAMBDA), _FLATTEN, _DENSE),
        _sequential(_INPUT, _layer("TimeDistributed", "t", layer=_LAMBDA), _DENSE),
        _sequential(_INPUT, {**_FLATTEN, "inbound_nodes": [[["in", 0, 0, {"x": _LAMBDA}]]]}),
    ],
    ids=["plain", "nested", "wrapped", "in_arguments"],
)
def test_a_lambda_is_refused_before_loading(config: Json, tmp_path: Path) -> None:
    path = _file(tmp_path / "net.h5", config)
    source = KerasH5Source()
    for ask in (
        lambda: source.inspect(path),
        lambda: source.open(path, size=(8, 8), batch=1),
        lambda: source.importers(path, size=(8, 8), batch=1),
    ):
        with pytest.raises(InvalidInput, match="would run code") as caught:
            ask()
        assert "sneaky" in caught.value.found
        assert "tf2onnx" in caught.value.next_step


@pytest.mark.parametrize(
    "layer",
    [
        _layer("MyAttention", "mine"),
        {**_layer("Dense", "mine", units=2), "module": "my.layers", "registered_name": None},
        {**_layer("Dense", "mine", units=2), "registered_name": "pkg>Dense"},
        _layer("Dense", "mine", activation={"class_name": "function", "config": "evil"}),
        _layer("TFOpLambda", "mine", function="io.write_file"),
    ],
    ids=["class", "module", "registered", "function", "tensorflow_function"],
)
def test_own_layers_and_functions_are_unsupported(layer: Json, tmp_path: Path) -> None:
    path = _file(tmp_path / "net.h5", _sequential(_INPUT, layer, _FLATTEN, _DENSE))
    with pytest.raises(Unsupported) as caught:
        KerasH5Source().inspect(path)
    assert caught.value.found
    assert ".onnx" in caught.value.next_step


def test_pythons_own_library_in_place_of_a_layer(tmp_path: Path) -> None:
    layer = {**_layer("system", "mine"), "module": "os", "registered_name": None}
    path = _file(tmp_path / "net.h5", _sequential(_INPUT, layer, _FLATTEN, _DENSE))
    with pytest.raises(InvalidInput, match="Python's library") as caught:
        KerasH5Source().inspect(path)
    assert "os" in caught.value.found


def test_a_harmless_description_passes(tmp_path: Path) -> None:
    """The control of the refusals: the same file without what they refuse."""
    scale = _layer("Rescaling", "scale", scale=0.0078, offset=-1)
    dense = _layer("Dense", "out", units=2, activation="linear")
    path = _file(tmp_path / "net.h5", _sequential(_INPUT, scale, _FLATTEN, dense))
    inspection = KerasH5Source().inspect(path)
    assert inspection.head is not None
    assert inspection.head.outputs[0].activation == "softmax"
    assert "input.normalised_inside" in {finding.key for finding in inspection.findings}


def test_open_sizes_are_reported(tmp_path: Path) -> None:
    free = _layer("InputLayer", "in", batch_input_shape=[None, None, None, 3])
    pool = _layer("GlobalAveragePooling2D", "pool")
    path = _file(tmp_path / "net.h5", _sequential(free, pool, _DENSE))
    inspection = KerasH5Source().inspect(path)
    assert inspection.size is None
    assert [hazard.name for hazard in inspection.hazards] == ["dynamic_shapes"]


def test_another_size_than_the_files_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="fixed to another input shape"):
        KerasH5Source().open(asset(RESNET), size=(64, 64), batch=1)


def test_a_keras_that_is_not_known_gets_the_line_to_type(tmp_path: Path) -> None:
    path = _file(tmp_path / "net.h5", _sequential(_INPUT, _FLATTEN, _DENSE), version="4.0.1")
    with pytest.raises(Unsupported, match=r"Keras 4\.0\.1") as caught:
        KerasH5Source().inspect(path)
    assert "format='onnx'" in caught.value.next_step


def test_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["conv"]
        file.create_dataset("conv/kernel", data=np.zeros(3))
    with pytest.raises(Unsupported, match="weights only") as caught:
        KerasH5Source().inspect(path)
    assert "model.save" in caught.value.next_step


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    path = _file(tmp_path / "net.h5", _sequential(_INPUT, _FLATTEN, _DENSE))
    with h5py.File(path, "a") as file:
        file["model_weights"]["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
    with pytest.raises(InvalidInput, match="outside itself"):
        KerasH5Source().inspect(path)
    path = _file(tmp_path / "raw.h5", _sequential(_INPUT, _FLATTEN, _DENSE))
    with h5py.File(path, "a") as file:
        outside = [("/etc/passwd", 0, 8)]
        file["model_weights"].create_dataset("w", shape=(8,), dtype="u1", external=outside)
    with pytest.raises(InvalidInput, match="outside itself"):
        KerasH5Source().inspect(path)


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        "{}",
        '"text"',
        '{"class_name": "Sequential"}',
        '{"class_name": "Sequential", "config": []}',
        '{"class_name": "Functional", "config": {"layers": [1]}}',
        '{"class_name": "Functional", "config": {"layers": [], "input_layers": [["a", 0, 0]],'
        ' "output_layers": [["a", 0, 0]]}}',
        "[" * 100000,
    ],
)
def test_damaged_descriptions(config: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        KerasH5Source().inspect(_file(tmp_path / "net.h5", config))


def test_a_description_in_circles_ends(tmp_path: Path) -> None:
    first, second = (
        {"class_name": "Flatten", "config": {"name": a}, "inbound_nodes": [[[b, 0, 0, {}]]]}
        for a, b in (("a", "b"), ("b", "a"))
    )
    ends = {"input_layers": [["in", 0, 0]], "output_layers": [["a", 0, 0]]}
    layers = [{**_INPUT, "inbound_nodes": []}, first, second]
    config = {"class_name": "Functional", "config": {"name": "n", "layers": layers, **ends}}
    assert KerasH5Source().inspect(_file(tmp_path / "net.h5", config)).task == "raw"


def test_an_hdf5_file_of_another_kind(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(3)
    with pytest.raises(InvalidInput, match="not a Keras model"):
        KerasH5Source().inspect(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_truncated(share: float, tmp_path: Path) -> None:
    content = asset(RESNET).read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidInput):
        find_source(path)[1].inspect(path)


def test_garbage_named_h5(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    path.write_bytes(b"garbage" * 100)
    assert not KerasH5Source().recognises(path)
    with pytest.raises(InvalidInput, match="not the kind of file its name says"):
        find_source(path)


def test_every_allowed_layer_is_keras_own() -> None:
    _, keras = import_tensorflow()
    operations = {"TFOpLambda", "SlicingOpLambda"}  # made by functional models, not public
    missing = [name for name in sorted(LAYERS - operations) if not hasattr(keras.layers, name)]
    assert missing == []
