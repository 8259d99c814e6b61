"""Which of a checkpoint's tensors are the network, and under which names."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Mapping, ValuesView
from pathlib import Path

import pytest

from phoneproof.capture.backends.torch_files import state_dict_facts
from phoneproof.capture.backends.torch_files.checkpoint import Checkpoint, read_checkpoint
from phoneproof.capture.backends.torch_files.key_fit import fit_keys
from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    TensorRef,
)
from phoneproof.capture.backends.torch_files.state_dict import find_state_dict, holds_module
from phoneproof.capture.backends.torch_files.state_dict_facts import recognises_state_dict
from phoneproof.capture.backends.torch_files.torch_file import refuse_hostile
from phoneproof.core.errors import ConfigError, InvalidInput


def ref(*shape: int, key: str = "0") -> TensorRef:
    numel = 1
    strides = []
    for side in reversed(shape):
        strides.append(numel)
        numel *= side
    storage = StorageRef(key=key, dtype="float32", numel=numel)
    return TensorRef(storage=storage, shape=shape, stride=tuple(reversed(strides)), offset=0)


WEIGHTS: Mapping[str, object] = {"conv.weight": ref(4, 3, 3, 3), "conv.bias": ref(4)}


@pytest.mark.parametrize(
    ("root", "place", "averaged"),
    [
        (WEIGHTS, "", False),
        ({"state_dict": WEIGHTS, "epoch": 3}, "state_dict", False),
        ({"model": WEIGHTS, "optimizer": {"state": {0: {"exp_avg": ref(4)}}}}, "model", False),
        ({"model": WEIGHTS, "ema": WEIGHTS}, "ema", True),
        ({"state_dict": WEIGHTS, "state_dict_ema": WEIGHTS}, "state_dict_ema", True),
        ({"ema": {"module": WEIGHTS, "decay": 0.99}, "net": WEIGHTS}, "ema.module", True),
        ({"params": WEIGHTS, "params_ema": WEIGHTS}, "params_ema", True),
        ({"a": {"b": WEIGHTS}}, "a.b", False),
        ({"head": {"w": ref(2)}, "trunk": WEIGHTS}, "trunk", False),
        ({"discriminator": {"w": ref(999)}, "generator": WEIGHTS}, "generator", False),
    ],
)
def test_the_network_is_found(root: object, place: str, averaged: bool) -> None:
    state = find_state_dict(root)
    assert state is not None
    assert (state.place, state.averaged) == (place, averaged)
    assert state.tensors.keys() == WEIGHTS.keys()


def test_what_is_beside_the_network_is_said() -> None:
    moments = {0: {"exp_avg": ref(10, key="a"), "exp_avg_sq": ref(10, key="b"), "step": 3}}
    root = {
        "state_dict": {**WEIGHTS, "version": "2"},
        "best_prec1": 91.5,
        "optimizer": {"state": moments, "again": moments},
        "teacher": {"w": ref(2)},
    }
    state = find_state_dict(root)
    assert state is not None
    assert state.training_bytes == 80
    assert state.metrics == (("best_prec1", 91.5),)
    assert state.others == ("teacher",)
    assert state.extra == ("version",)


@pytest.mark.parametrize("root", [{}, [], 3, {"optimizer": {"w": ref(2)}}, {"epoch": 1}])
def test_files_without_weights(root: object) -> None:
    assert find_state_dict(root) is None


def test_a_pickled_module_is_no_state_dict() -> None:
    module = Record(GlobalName("my.net", "Net"), state={"_modules": {}, "training": False})
    assert holds_module({"model": module})
    assert find_state_dict({"model": module, "weights": WEIGHTS}) is None


WANTED = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,)}


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module.model."])
def test_prefixes_of_wrappers_are_taken_off(prefix: str) -> None:
    found = {f"{prefix}{name}": value for name, value in tensors().items()}
    fit = fit_keys("a.pth", WANTED, found)
    assert fit.tensors.keys() == WANTED.keys()
    assert fit.removed == prefix


def test_a_prefix_that_the_network_has_too_stays() -> None:
    wanted = {f"model.{name}": shape for name, shape in WANTED.items()}
    found = {f"model.{name}": value for name, value in tensors().items()}
    assert fit_keys("a.pth", wanted, found).removed == ""


def test_counters_may_be_missing_or_more() -> None:
    found = {**tensors(), "n_averaged": ref(), "bn.num_batches_tracked": ref()}
    wanted = {**WANTED, "bn2.num_batches_tracked": ()}
    assert fit_keys("a.pth", wanted, found).tensors.keys() == WANTED.keys()


def test_names_and_shapes_that_do_not_fit_are_all_listed() -> None:
    found = {"conv.weight": ref(4, 3, 5, 5), "conv.bais": ref(4), "extra.weight": ref(1)}
    with pytest.raises(ConfigError) as error:
        fit_keys("a.pth", WANTED, found)
    text = error.value.found
    assert "1 missing: conv.bias (the file has conv.bais)" in text
    assert "2 unexpected: conv.bais, extra.weight" in text
    assert "conv.weight [4, 3, 5, 5], the network has [4, 3, 3, 3]" in text


def tensors() -> dict[str, TensorRef]:
    return {name: value for name, value in WEIGHTS.items() if isinstance(value, TensorRef)}


@pytest.mark.parametrize(
    "name",
    [
        GlobalName(os.name if os.name != "posix" else "posix", "system"),
        GlobalName("builtins", "eval"),
        GlobalName("__builtin__", "open"),
        GlobalName("subprocess", "Popen"),
        GlobalName("torch", "load"),
    ],
)
def test_calls_that_no_model_makes_are_refused(name: GlobalName) -> None:
    root = {"state_dict": WEIGHTS, "deep": [({"x": Record(name, ("a",))},)]}
    with pytest.raises(InvalidInput, match="hostile") as error:
        refuse_hostile(root, "a.pth")
    assert name.dotted in error.value.failed


def test_bound_methods_of_models_are_harmless() -> None:
    def method(owner: object, name: str = "forward_fuse") -> Record:
        return Record(GlobalName("__builtin__", "getattr"), (owner, name))

    model = Record(GlobalName("ultralytics.nn.modules.conv", "Conv"))
    refuse_hostile({"forward": method(model), "class": method(model.type, "Inner")}, "a.pt")
    others = (GlobalName("posix", "environ"), GlobalName("builtins", "eval"), "text")
    for owner, name in (*((other, "x") for other in others), (model, "__class__")):
        with pytest.raises(InvalidInput, match="hostile"):
            refuse_hostile({"forward": method(owner, name)}, "a.pt")


def test_training_settings_are_harmless() -> None:
    path = Record(GlobalName("pathlib", "PosixPath"), ("/", "data"))
    space = Record(GlobalName("argparse", "Namespace"), state={"data": path})
    cycle: list[object] = [space]
    cycle.append(cycle)
    refuse_hostile({"args": space, "again": cycle}, "a.pth")


class Counted(dict[object, object]):
    """Counts how often it is searched."""

    searches = 0

    def values(self) -> ValuesView[object]:  # type: ignore[override]
        self.searches += 1
        return super().values()


def test_mappings_that_refer_to_the_same_mappings_are_searched_once() -> None:
    inner = Counted()
    root: object = inner
    for _ in range(3):
        root = {f"part{n}": root for n in range(30)}
    assert find_state_dict(root) is None
    assert inner.searches == 1  # 27 000 without care
    weights: dict[object, object] = {"a.weight": ref(2)}
    shared = find_state_dict({"model": weights, "ema": weights})
    assert shared is not None
    assert (shared.place, shared.others) == ("ema", ("model",))


def saved(path: Path, value: object) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(value, 2))
    return path


def test_weights_are_recognised_without_reading_their_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []

    def recorded(path: Path) -> Checkpoint:
        read.append(path)
        return read_checkpoint(path)

    monkeypatch.setattr(state_dict_facts, "read_checkpoint", recorded)
    assert recognises_state_dict(saved(tmp_path / "a.pt", {"conv.weight": 1}))
    assert not read
    told_apart = saved(tmp_path / "b.pt", {"model": "_modules"})
    assert recognises_state_dict(told_apart)
    assert read == [told_apart]
    (tmp_path / "c.pt").write_bytes(b"PK\x03\x04 cut off")
    assert not recognises_state_dict(tmp_path / "c.pt")
