"""Keras 3 files: the hub equals Keras 3; archives that would act or unpack too far are refused."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from phoneproof.capture.backends.keras_h5 import KerasH5Source
from phoneproof.capture.backends.keras_layers import (
    ACTIVATIONS,
    BUILT_IN_3,
    OPERATION_MODULES_3,
    OPERATIONS_3,
)
from phoneproof.capture.backends.keras_load import import_keras3
from phoneproof.capture.backends.keras_zip import KerasSource
from phoneproof.capture.sources import find_source
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tolerances import HUB_RELATIVE
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow
from tests.integration.hub_agreement import photographs, worst_relative

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
SIDE = 20
Json = dict[str, object]


def _network(path: Path, *, operations: bool) -> Path:
    """A small net with seeded weights and batch statistics as after training."""
    keras = import_keras3()
    layers = keras.layers
    image = keras.Input((SIDE, SIDE, 3), name="picture")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, activation="relu6")(x)
    x = layers.BatchNormalization()(x)
    y = layers.DepthwiseConv2D(3, padding="same", activation=keras.activations.silu)(x)
    x = keras.ops.relu(x + y) if operations else layers.ReLU()(layers.Add()([x, y]))
    x = layers.GlobalAveragePooling2D()(x)
    scores = layers.Dense(5, activation="softmax", name="scores")(x)
    model = keras.Model(image, scores)
    rng = np.random.default_rng(4)
    model.set_weights([rng.uniform(0.1, 0.9, w.shape) - 0.3 * (w.ndim > 1) for w in model.weights])
    model.compile("adam", "categorical_crossentropy")
    model.save(path)
    return path


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _network(tmp_path_factory.mktemp("keras") / "net.keras", operations=True)


@pytest.mark.parametrize("importer", ["tf2onnx+onnx2torch", "tflite+torch"])
def test_the_hub_equals_keras_3(archive: Path, importer: str) -> None:
    name, source = find_source(archive)
    inspection = source.inspect(archive)
    assert name == inspection.format == "keras"
    assert (inspection.task, inspection.size, inspection.layout) == ("classify", (20, 20), "NHWC")
    assert [spec.name for spec in inspection.outputs] == ["scores"]
    assert inspection.evidence.training == (("keras_version", import_keras3().__version__),)
    assert "input.normalised_inside" in {finding.key for finding in inspection.findings}
    session = source.open(archive, size=(SIDE, SIDE), batch=2)
    program = dict(source.importers(archive, size=(SIDE, SIDE), batch=2))[importer]()
    images = photographs((2, SIDE, SIDE, 3), "NHWC", 1.0, 0.0)
    assert worst_relative(program, session, images) <= HUB_RELATIVE


def test_both_generations_run_in_one_process(archive: Path) -> None:
    keras3 = import_keras3()
    tensorflow, keras2 = import_tensorflow()
    assert keras3.__version__.startswith("3.")
    assert keras2.__version__.startswith("2.")
    assert tensorflow.keras.Model is keras2.Model
    assert keras3.backend.backend() == "tensorflow"


def test_h5_of_keras_3(tmp_path: Path) -> None:
    path = _network(tmp_path / "net.h5", operations=False)
    name, source = find_source(path)
    assert name == "keras_h5"
    session = source.open(path, size=(SIDE, SIDE), batch=1)
    _, (_, export) = source.importers(path, size=(SIDE, SIDE), batch=1)
    images = photographs((1, SIDE, SIDE, 3), "NHWC", 1.0, 0.0)
    assert worst_relative(export(), session, images) <= HUB_RELATIVE


def test_h5_of_keras_3_that_keras_cannot_read_back(tmp_path: Path) -> None:
    path = _network(tmp_path / "net.h5", operations=True)
    with pytest.raises(Unsupported, match="cannot read back") as caught:
        KerasH5Source().inspect(path)
    assert "net.keras" in caught.value.next_step


def _rewritten(
    archive: Path,
    target: Path,
    change: Callable[[Json], None] | None = None,
    *,
    more: tuple[tuple[str, bytes], ...] = (),
) -> Path:
    """A copy with its description changed, or with further members."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json" and change is not None:
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
        for name, content in more:
            new.writestr(name, content, compress_type=zipfile.ZIP_DEFLATED)
    return target


def _layer_of(config: Json, index: int) -> Json:
    body = config["config"]
    assert isinstance(body, dict)
    layer = body["layers"][index]
    assert isinstance(layer, dict)
    return layer


def _lambda(canary: Path) -> Callable[[Json], None]:
    """What `keras.layers.Lambda` records of ``lambda x: open(canary, "w") or x``."""
    keras = import_keras3()
    target = str(canary)
    layer = keras.layers.Lambda(lambda x: open(target, "w") and x, name="sneaky")  # noqa: PTH123, SIM115
    record = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))

    def change(config: Json) -> None:
        _layer_of(config, 1).update({**record, "name": "rescaling"})

    return change


def _system(canary: Path) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        _layer_of(config, 1).update(
            module="os", class_name="system", registered_name=None, config=f"touch {canary}"
        )

    return change


def _function(canary: Path) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        inner = _layer_of(config, 2)["config"]
        assert isinstance(inner, dict)
        inner["activation"] = {
            "module": "os",
            "class_name": "function",
            "config": "system",
            "registered_name": "system",
        }

    return change


def _download(canary: Path) -> Callable[[Json], None]:
    def change(config: Json) -> None:
        _layer_of(config, 1).update(module="keras.utils", class_name="get_file")

    return change


@pytest.mark.parametrize(
    ("plant", "code"),
    [(_lambda, 9), (_system, 9), (_function, 9), (_download, 9)],
    ids=["lambda", "os.system", "function", "keras.utils"],
)
def test_code_in_an_archive_never_runs(
    archive: Path, plant: Callable[[Path], Callable[[Json], None]], code: int, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    path = _rewritten(archive, tmp_path / "net.keras", plant(canary))
    source = KerasSource()
    for ask in (
        lambda: source.inspect(path),
        lambda: source.open(path, size=(SIDE, SIDE), batch=1),
        lambda: source.importers(path, size=(SIDE, SIDE), batch=1),
    ):
        with pytest.raises((InvalidInput, Unsupported)) as caught:
            ask()
        assert caught.value.exit_code == code
    assert not canary.exists()


def test_an_own_layer_is_only_unsupported(archive: Path, tmp_path: Path) -> None:
    def change(config: Json) -> None:
        _layer_of(config, 1).update(module="my.layers", registered_name="my>Rescaling")

    path = _rewritten(archive, tmp_path / "net.keras", change)
    with pytest.raises(Unsupported, match="author's own") as caught:
        KerasSource().inspect(path)
    assert "my.layers" in caught.value.found


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("../../escaped.txt", b"x", InvalidInput),
        ("/etc/escaped", b"x", InvalidInput),
        ("bomb.bin", bytes(1 << 24), InvalidInput),
        ("assets/vocabulary.txt", b"x", Unsupported),
    ],
    ids=["traversal", "absolute", "bomb", "assets"],
)
def test_members_that_do_not_belong(
    archive: Path, name: str, content: bytes, kind: type[Exception], tmp_path: Path
) -> None:
    path = _rewritten(archive, tmp_path / "net.keras", more=((name, content),))
    with pytest.raises(kind):
        KerasSource().inspect(path)
    assert [item.name for item in tmp_path.iterdir()] == ["net.keras"]


def test_a_bomb_in_place_of_the_weights(archive: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("w", (1 << 15, 1 << 10), "f4", fillvalue=0.0, chunks=(64, 1024))
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        new.writestr("model.weights.h5", buffer.getvalue())
    with pytest.raises(InvalidInput, match="absurd size"):
        KerasSource().inspect(path)


def test_weights_that_lie_elsewhere(archive: Path, tmp_path: Path) -> None:
    path = tmp_path / "net.keras"
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in ("metadata.json", "config.json"):
            new.writestr(name, old.read(name))
        buffer = io.BytesIO(old.read("model.weights.h5"))
        with h5py.File(buffer, "a") as file:
            file["stolen"] = h5py.ExternalLink("/etc/passwd", "/")
        new.writestr("model.weights.h5", buffer.getvalue())
    with pytest.raises(InvalidInput, match="outside itself"):
        KerasSource().inspect(path)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated(archive: Path, share: float, tmp_path: Path) -> None:
    content = archive.read_bytes()
    path = tmp_path / "cut.keras"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InvalidInput):
        find_source(path)[1].inspect(path)


def test_every_allowed_name_is_keras_own() -> None:
    """The lists name what Keras 3 has, so that a slip in one is seen."""
    keras = import_keras3()
    places = (keras.layers, keras.initializers, keras.regularizers, keras.constraints, keras)
    values = {name for name in BUILT_IN_3 if name.startswith("__")}
    inner = {"DTypePolicy", "Functional", "Policy", "TensorShape"}  # named, but not public layers
    missing = [
        name
        for name in sorted(BUILT_IN_3 - values - inner)
        if not any(hasattr(place, name) for place in places)
    ]
    assert missing == []
    assert [name for name in sorted(ACTIVATIONS) if not hasattr(keras.activations, name)] == []
    import importlib

    modules = [importlib.import_module(name) for name in sorted(OPERATION_MODULES_3)]
    lost = [
        name
        for name in sorted(OPERATIONS_3)
        if not any(hasattr(module, name) for module in modules)
    ]
    assert lost == []
