"""Which files stand behind a factory, found without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.capture.base import Factory
from phoneproof.capture.factory_files import factory_files
from phoneproof.core.errors import ConfigError


def folder(tmp_path: Path) -> Path:
    files = {
        "my_models.py": "import torch\nimport blocks\nfrom pkg.deep import stem\n",
        "blocks.py": "import os\n",
        "unused.py": "x = 1\n",
        "pkg/__init__.py": "",
        "pkg/deep/__init__.py": "from . import stem\nfrom ..side import y\n",
        "pkg/deep/stem.py": "from ...pkg import side\n",
        "pkg/side.py": "y = 1\n",
        "pkg/unused.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_module_and_all_that_it_imports(tmp_path: Path) -> None:
    found = factory_files(Factory(target="my_models:net", folder=folder(tmp_path)))
    assert [file.as_posix() for file in found.files] == [
        "blocks.py",
        "my_models.py",
        "pkg/__init__.py",
        "pkg/deep/__init__.py",
        "pkg/deep/stem.py",
        "pkg/side.py",
    ]


def test_the_hash_follows_what_is_imported_and_nothing_else(tmp_path: Path) -> None:
    factory = Factory(target="my_models:net", folder=folder(tmp_path))
    before = factory_files(factory).sha256
    (tmp_path / "unused.py").write_text("x = 2\n")
    assert factory_files(factory).sha256 == before
    (tmp_path / "pkg" / "side.py").write_text("y = 2\n")
    assert factory_files(factory).sha256 != before


def test_nothing_is_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "my_models.py").write_text(f"open({str(marker)!r}, 'w')\n")
    factory_files(Factory(target="my_models:net", folder=tmp_path))
    assert not marker.exists()


def test_an_installed_package(tmp_path: Path) -> None:
    found = factory_files(Factory(target="phoneproof.capture.base:Factory", folder=tmp_path))
    assert Path("phoneproof/capture/base.py") in found.files
    assert all(file.parts[0] == "phoneproof" for file in found.files)


@pytest.mark.parametrize("target", ["net", "a:b:c", "a b:c", "../a:b", "a:", ":b", "a.py:b()"])
def test_targets_that_name_no_function(tmp_path: Path, target: str) -> None:
    with pytest.raises(ConfigError):
        factory_files(Factory(target=target, folder=tmp_path))


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no module nowhere_at_all"):
        factory_files(Factory(target="nowhere_at_all:net", folder=tmp_path))


def test_a_file_that_is_not_python(tmp_path: Path) -> None:
    (tmp_path / "my_models.py").write_text("def net(:\n")
    with pytest.raises(ConfigError) as error:
        factory_files(Factory(target="my_models:net", folder=tmp_path))
    assert "my_models.py:1" in error.value.found
