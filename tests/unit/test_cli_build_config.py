"""``build`` takes its configuration like the other commands do, and by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from phoneproof.cli.build_command import command
from phoneproof.core.errors import ConfigError


@pytest.mark.parametrize("given", [["none.toml"], ["--config", "none.toml"]])
def test_the_file_is_the_one_that_is_named(tmp_path: Path, given: list[str]) -> None:
    done = CliRunner().invoke(command, [*given[:-1], str(tmp_path / given[-1])])
    assert isinstance(done.exception, ConfigError)
    assert "none.toml" in f"{done.exception}{done.exception.found}"


def test_only_one_is_given() -> None:
    done = CliRunner().invoke(command, ["a.toml", "--config", "b.toml"])
    assert done.exit_code == 2
    assert "give one of them" in done.output
