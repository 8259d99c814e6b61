"""Which model a checkpoint holds, and what the file says beside it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import pytest

from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint
from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    TensorRef,
)
from phoneproof.capture.backends.ultralytics.architecture.parse import parse_architecture
from phoneproof.capture.backends.ultralytics.description import Description
from phoneproof.capture.backends.ultralytics.evidence import evidence_of, image_size, labels_of
from phoneproof.capture.backends.ultralytics.findings import findings_of
from phoneproof.capture.backends.ultralytics.hazards import hazards_of
from phoneproof.capture.backends.ultralytics.model_record import find_model
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.json_format import canonical_bytes

WEIGHT = TensorRef(
    storage=StorageRef(key="0", dtype="float16", numel=2), shape=(2,), stride=(1,), offset=0
)
TABLE = {
    "nc": 2,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]]],
    "head": [[-1, 1, "Classify", ["nc"]]],
}


def module(name: str = "nn Module", **state: object) -> Record:
    package, _, kind = name.rpartition(" ")
    return Record(GlobalName(package, kind), state=dict(state))


def classifier(**state: object) -> Record:
    inner = module(_parameters={"weight": WEIGHT}, _buffers={"mean": WEIGHT, "cache": WEIGHT})
    assert isinstance(inner.state, dict)
    inner.state["_non_persistent_buffers_set"] = Record(GlobalName("builtins", "set"), (["cache"],))
    return module(
        "ultralytics.nn.tasks ClassificationModel",
        **{"_modules": {"model": inner, "gone": None}, "yaml": TABLE, **state},
    )


def checkpoint(root: object) -> Checkpoint:
    return Checkpoint(path=Path("best.pt"), root=root, entries={})


def description(fields: dict[str, object] | None = None, **state: object) -> Description:
    read = checkpoint({"model": classifier(**state), **(fields or {})})
    return Description(
        checkpoint=read, model=find_model(read), architecture=parse_architecture(TABLE)
    )


def test_the_moving_average_is_preferred() -> None:
    first, second = classifier(), classifier()
    found = find_model(checkpoint({"model": first, "ema": second}))
    assert found.record is second
    assert found.slot == "ema"
    assert find_model(checkpoint({"model": first, "ema": None})).record is first


def test_the_choice_of_weights_is_a_finding() -> None:
    values = {finding.key: finding.value for finding in findings_of(description())}
    assert values["source.weights"] == "model"
    assert values["source.dtype"] == "float16"


def test_both_averages_and_the_optimizer_are_told() -> None:
    momentum = TensorRef(
        storage=StorageRef(key="9", dtype="float32", numel=10), shape=(10,), stride=(1,), offset=0
    )
    # Two views of one storage count once; a state that holds itself has an end.
    state: dict[str, object] = {"a": [momentum, momentum], "b": WEIGHT}
    state["again"] = state
    fields = {"ema": classifier(), "optimizer": state, "epoch": 7, "best_fitness": 0.5}
    found = {finding.key: finding for finding in findings_of(description(dict(fields)))}
    assert found["source.weights"].value == "ema"
    assert "weights under model are not used" in found["source.weights"].reason
    assert found["source.optimizer"].value == "44 bytes"
    assert found["source.training"].value == "epoch 7, best fitness until then 0.5"
    plain = {finding.key for finding in findings_of(description())}
    assert not plain & {"source.optimizer", "source.training"}


def test_a_finished_training_counts_its_epochs_in_its_results() -> None:
    fields: dict[str, object] = {
        "epoch": -1,
        "train_results": {"epoch": [1, 2, 3]},
        "train_metrics": {"fitness": 0.25},
    }
    found = {finding.key: finding.value for finding in findings_of(description(fields))}
    assert found["source.training"] == "3 epochs in its results, fitness 0.25"


def test_weights_have_dotted_names_without_transient_buffers() -> None:
    found = find_model(checkpoint({"model": classifier()}))
    assert set(found.tensors) == {"model.weight", "model.mean"}


def test_a_tree_without_end() -> None:
    loop = classifier()
    assert isinstance(loop.state, dict)
    loop.state["_modules"] = {"again": loop}
    with pytest.raises(InvalidInput, match="no end"):
        find_model(checkpoint({"model": loop}))
    wide = module(_modules={})
    assert isinstance(wide.state, dict)
    wide.state["_modules"] = {str(place): wide for place in range(30)}
    with pytest.raises(InvalidInput, match="no end"):
        find_model(checkpoint({"model": classifier(_modules={"m": wide})}))


def test_a_module_that_is_not_one() -> None:
    with pytest.raises(InvalidInput, match="not a module"):
        find_model(checkpoint({"model": classifier(_modules={"m": 3})}))


@pytest.mark.parametrize(
    ("root", "found"),
    [
        ({"layer.weight": WEIGHT}, "a dictionary of tensors with layer.weight"),
        ({"model": {"layer.weight": WEIGHT}, "epoch": 3}, "a dictionary with model, epoch"),
        ([1, 2], "list of 2"),
        (None, "None"),
    ],
)
def test_files_without_a_model(root: object, found: str) -> None:
    with pytest.raises(Unsupported) as error:
        find_model(checkpoint(root))
    assert error.value.found == found


def test_a_foreign_model_is_named_safely() -> None:
    with pytest.raises(Unsupported) as error:
        find_model(checkpoint({"model": module("my.net \x1b[31mNet")}))
    assert "my.net.?[31mNet" in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize(
    ("imgsz", "size"),
    [(224, (224, 224)), ([192, 320], (192, 320)), ("224", (640, 640)), (None, (640, 640))],
)
def test_the_size_comes_from_the_training(imgsz: object, size: tuple[int, int]) -> None:
    found, finding = image_size(description({"train_args": {"imgsz": imgsz}}))
    assert found == size
    assert ("framework's default" in finding.reason) == (imgsz in ("224", None))


@pytest.mark.parametrize("imgsz", [0, -1, 10**6, True, [640], [1, 2, 3]])
def test_sizes_that_cannot_be(imgsz: object) -> None:
    found, finding = image_size(description({"train_args": {"imgsz": imgsz}}))
    assert found == (640, 640)
    assert "no usable imgsz" in finding.reason


def test_names_as_dictionary_or_list() -> None:
    assert labels_of(description(names={1: "b", 0: "a"})) == ("a", "b")
    assert labels_of(description(names=["a", "b"])) == ("a", "b")
    assert labels_of(description(names={1: "b"})) == (None, "b")


@pytest.mark.parametrize(
    ("names", "expected"),
    [({0: "a", 1: "b"}, []), ({0: "a"}, ["labels_mismatch"]), (["a"] * 3, ["labels_mismatch"])],
)
def test_names_that_do_not_fit_the_classes(names: object, expected: list[str]) -> None:
    assert [hazard.name for hazard in hazards_of(description(names=names))] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("AGPL-3.0 License (https://ultralytics.com/license)", True), ("MIT", False), (None, False)],
)
def test_the_licence_is_a_hazard_only_where_it_is_agpl(text: object, expected: bool) -> None:
    names = [hazard.name for hazard in hazards_of(description({"license": text}))]
    assert ("agpl_license" in names) == expected


def test_settings_of_every_form() -> None:
    space = Record(GlobalName("argparse", "Namespace"), state={"lr0": 0.01, "device": [0, 1]})
    path = Record(GlobalName("pathlib", "PosixPath"), ("/", "home", "x", "best.pt"))
    evidence = evidence_of(description({"train_args": space, "version": "8.3.0"}))
    assert evidence.training == (
        ("checkpoint.version", "8.3.0"),
        ("lr0", "0.01"),
        ("device", "0, 1"),
    )
    plain = evidence_of(description({"train_args": {"model": path, "data": "C:\\a\\d.yaml"}}))
    assert plain.training == (("model", "best.pt"), ("data", "d.yaml"))


def test_metrics_are_finite_numbers() -> None:
    fields: dict[str, object] = {
        "train_metrics": {"fitness": 0.5, "broken": float("nan"), "text": "x"},
        "best_fitness": 0.25,
        "train_results": {"epoch": [1, 2], "empty": []},
    }
    evidence = evidence_of(description(fields))
    assert evidence.metrics == (("fitness", 0.5), ("best_fitness", 0.25), ("last_epoch/epoch", 2.0))
    canonical_bytes(evidence)


def beside(tmp_path: Path, name: str, other: str | None, data: bytes = b"damaged") -> list[str]:
    """Hazards of a checkpoint `name` in a folder that also holds `other`."""
    if other is not None:
        (tmp_path / other).write_bytes(data)
    read = Checkpoint(
        path=tmp_path / name,
        root={"model": classifier(names=["a", "b"]), "epoch": 9, "train_metrics": {"fitness": 0.4}},
        entries={},
    )
    one = Description(
        checkpoint=read, model=find_model(read), architecture=parse_architecture(TABLE)
    )
    return [f"{hazard.name}: {hazard.found}" for hazard in hazards_of(one)]


def test_the_last_checkpoint_beside_the_best_is_a_hazard(tmp_path: Path) -> None:
    data = pickle.dumps({"epoch": 4, "train_metrics": {"fitness": 0.6}}, 2)
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("best/data.pkl", data)
    made = (tmp_path / "made.zip").read_bytes()
    (found,) = beside(tmp_path, "last.pt", "best.pt", made)
    assert found == (
        "not_the_best: last.pt (epoch 9, fitness 0.4) has best.pt (epoch 4, fitness 0.6) beside it"
    )


def test_a_damaged_best_checkpoint_is_said_to_be(tmp_path: Path) -> None:
    (found,) = beside(tmp_path, "last.pt", "best.pt")
    assert "best.pt (not readable: " in found


@pytest.mark.parametrize(
    ("name", "other"), [("best.pt", "last.pt"), ("last.pt", None), ("last.pt", "first.pt")]
)
def test_the_best_checkpoint_is_no_hazard(tmp_path: Path, name: str, other: str | None) -> None:
    assert beside(tmp_path, name, other) == []
