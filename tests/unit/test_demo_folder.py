"""Where the demo may write, and the commands that it prints."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from phoneproof.core.errors import ConfigError
from phoneproof.demo.run import DemoMaterial, claim_folder, typed_lines


def test_a_new_an_empty_and_an_earlier_folder_are_taken(tmp_path: Path) -> None:
    claim_folder(tmp_path / "new")
    (tmp_path / "new" / "shapes.onnx").write_bytes(b"half")
    claim_folder(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    claim_folder(tmp_path / "empty")


def test_a_folder_with_other_content_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "phoneproof.toml"
    mine.write_text("mine")
    with pytest.raises(ConfigError, match="not empty and not an earlier demo") as caught:
        claim_folder(tmp_path)
    assert "--directory" in caught.value.next_step
    assert [*tmp_path.iterdir()] == [mine]


def test_printed_commands_survive_spaces() -> None:
    folder = Path("my demo")
    made = DemoMaterial(model=folder / "shapes.onnx", evaluation=folder / "val")
    init, build = typed_lines(made, folder / "phoneproof.toml")
    assert shlex.split(init)[2] == "my demo/shapes.onnx"
    assert shlex.split(build) == ["phoneproof", "build", "--config", "my demo/phoneproof.toml"]
