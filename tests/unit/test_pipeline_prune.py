"""What a pruning target asks for, and what is refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.errors import ConfigError
from phoneproof.core.recipe import Prune
from phoneproof.pipeline.config import load_config, prune_of
from phoneproof.pipeline.ladder.prune import larger_shares
from phoneproof.pipeline.prepare import artifact_requests


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
