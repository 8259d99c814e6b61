"""What a pruning target asks for, and what is refused before anything runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from phoneproof.capture.base import Factory
from phoneproof.core.errors import ConfigError
from phoneproof.core.recipe import Prune
from phoneproof.pipeline.config import load_config, prune_of
from phoneproof.pipeline.ladder.prune import larger_shares
from phoneproof.pipeline.prepare import artifact_requests
from phoneproof.pipeline.prune_step import Training

if TYPE_CHECKING:
    import torch


def written(folder: Path, target: str) -> Path:
    (folder / "model.pt").write_bytes(b"model")
    (folder / "images").mkdir(exist_ok=True)
    path = folder / "phoneproof.toml"
    path.write_text(
        '[model]\nsource = "model.pt"\nname = "m"\n[data]\nevaluation = "images"\n'
        f"[targets.android]\n{target}\n"
    )
    return path


def test_one_more_file_beside_those_that_were_asked_for(tmp_path: Path) -> None:
    config = load_config(
        written(tmp_path, 'precisions = ["float16"]\nprune = { macs = 0.5, seconds = 9 }')
    )
    requests = {one.id: one.prune for one in artifact_requests(config, ())}
    wanted = Prune(of="macs", share=0.5, seconds=9)
    assert requests == {"tflite-float16": None, "tflite-float32-pruned": wanted}


def test_integers_are_made_of_the_pruned_file_too(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            'formats = ["tflite", "onnx"]\nio = "int8"\n'
            'precisions = ["float16", "int8", "dynamic_wi8", "sparse"]\nprune = { macs = 0.5 }',
        )
    )
    pruned = [one for one in artifact_requests(config, ()) if one.prune is not None]
    precisions = ("float32", "dynamic_wi8", "static_wi8_ai8")
    assert {one.id for one in pruned} == {
        f"{format_}-{precision}-pruned"
        for format_ in ("tflite", "onnx")
        for precision in precisions
    }
    assert {one.io.input for one in pruned if one.id == "tflite-static_wi8_ai8-pruned"} == {"int8"}


def test_code_of_ones_own_is_known_by_its_content(tmp_path: Path) -> None:
    path = written(tmp_path, 'prune = { macs = 0.5, finetune = "my_training:recover" }')
    found = []
    for text in ("EPOCHS = 1\n", "EPOCHS = 2\n"):
        (tmp_path / "my_training.py").write_text(text)
        requests = artifact_requests(load_config(path), ())
        (code,) = {one.finetune for one in requests if one.finetune is not None}
        assert code.code == Factory(
            target="my_training:recover", folder=tmp_path, called="finetune"
        )
        found.append(code.sha256)
    assert found[0] != found[1]


@pytest.mark.parametrize("change", ["the module", "what it imports", "removed", "nothing"])
def test_code_edited_while_a_build_runs_is_not_run(change: str, tmp_path: Path) -> None:
    """Else the result of the new code would be kept as that of the old."""
    path = written(tmp_path, 'prune = { macs = 0.5, finetune = "my_training:recover" }')
    module, data = tmp_path / "my_training.py", tmp_path / "my_batches.py"
    module.write_text("import my_batches\n")
    data.write_text("SIZE = 8\n")
    requests = artifact_requests(load_config(path), ())
    (code,) = {one.finetune for one in requests if one.finetune is not None}
    training = Training(pickle.loads(pickle.dumps(code)), lambda *_: None)
    if change == "nothing":
        code.require_unchanged()
        return
    if change == "the module":
        module.write_text("import my_batches  # and more\n")
    elif change == "what it imports":
        data.write_text("SIZE = 16\n")
    else:
        data.unlink()
    with pytest.raises(ConfigError, match="finetune my_training:recover changed since") as caught:
        training(cast("torch.nn.Module", None), 1.0)
    assert caught.value.next_step.startswith("build again")


def test_code_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, 'prune = { macs = 0.5, finetune = "nowhere_at_all:recover" }')
    with pytest.raises(ConfigError, match="no module nowhere_at_all for the finetune") as caught:
        artifact_requests(load_config(path), ())
    assert "in prune names function recover()" in caught.value.next_step


def test_two_targets_may_not_train_one_file_in_two_ways(tmp_path: Path) -> None:
    (tmp_path / "my_training.py").write_text("EPOCHS = 1\n")
    prune = 'formats = ["onnx"]\nprune = {{ macs = 0.5{} }}'
    own = prune.format(', finetune = "my_training:recover"')
    path = written(tmp_path, f"{own}\n[targets.server]\n{prune.format('')}")
    with pytest.raises(ConfigError, match="two targets want different files"):
        artifact_requests(load_config(path), ())


def test_a_size_target(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "prune = { size = 0.4 }"))
    assert config.targets.android is not None
    assert prune_of(config.targets.android) == Prune(of="size", share=0.4, seconds=150.0)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("prune = { macs = 0.5, size = 0.5 }", "one of macs and size"),
        ("prune = { seconds = 5 }", "one of macs and size"),
        ("prune = { macs = 1.0 }", "above 0 and below 1"),
        ("prune = { size = 0.0 }", "above 0 and below 1"),
        ("prune = { macs = nan }", "finite"),
        ("prune = { macs = 0.5, seconds = -1 }", "at least 0"),
        ("prune = { macs = 0.5, seconds = inf }", "finite"),
        ('prune = { macs = 0.5 }\nroute = "classic"', "classic route"),
        ("prune = { mac = 0.5 }", "macs"),
        ('prune = { macs = 0.5, finetune = "recover" }', "module:function"),
        ('prune = { macs = 0.5, finetune = "" }', "module:function"),
        ("prune = { macs = 0.5, finetune = 5 }", "finetune"),
    ],
)
def test_what_cannot_be_asked_for(target: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(written(tmp_path, target))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("target", "shares"),
    [
        (0.95, ()),
        (0.75, (0.9,)),
        (0.5, (0.6, 0.75, 0.9)),
        (0.3, (0.35, 0.5, 0.6, 0.75, 0.9)),
    ],
)
def test_what_is_left_where_the_target_is_refused(target: float, shares: tuple[float, ...]) -> None:
    assert larger_shares(target) == shares
