"""Which of a checkpoint's tensors are the network, and under which names."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from phoneproof.capture.backends.torch_files.key_fit import fit_keys
from phoneproof.capture.backends.torch_files.records import (
    GlobalName,
    Record,
    StorageRef,
    TensorRef,
)
from phoneproof.capture.backends.torch_files.state_dict import find_state_dict, holds_module
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


def test_training_settings_are_harmless() -> None:
    path = Record(GlobalName("pathlib", "PosixPath"), ("/", "data"))
    space = Record(GlobalName("argparse", "Namespace"), state={"data": path})
    cycle: list[object] = [space]
    cycle.append(cycle)
    refuse_hostile({"args": space, "again": cycle}, "a.pth")
