"""Which files stand behind a factory, found without running them."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.capture.base import Factory
from phoneproof.capture.factory_files import FactoryFiles, _distributions, factory_files
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
    assert any(package.startswith("msgspec ") for package in found.packages)


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path beside that of the factory, as a src layout or editable install."""
    place = tmp_path / "src"
    (place / "nets_of_mine").mkdir(parents=True)
    (place / "nets_of_mine" / "__init__.py").write_text("from . import blocks\nimport flat_of_mine")
    (place / "nets_of_mine" / "blocks.py").write_text("width = 8\n")
    (place / "flat_of_mine.py").write_text("raise SystemExit('it was run')\n")
    (place / "unused_of_mine.py").write_text("")
    monkeypatch.syspath_prepend(place)
    return place


@pytest.mark.parametrize("changed", ["nets_of_mine/blocks.py", "flat_of_mine.py"])
def test_code_outside_the_folder_is_followed(library: Path, tmp_path: Path, changed: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "my_models.py").write_text("from nets_of_mine import blocks\n")
    factory = Factory(target="my_models:net", folder=tmp_path / "app")
    before = factory_files(factory)
    assert before.files == (Path("my_models.py"),)
    assert [path.relative_to(library).as_posix() for path in before.others] == [
        "flat_of_mine.py",
        "nets_of_mine/__init__.py",
        "nets_of_mine/blocks.py",
    ]
    digest = before.sha256
    (library / "unused_of_mine.py").write_text("x = 1\n")
    assert factory_files(factory).sha256 == digest
    (library / changed).write_text("width = 16\n")
    assert factory_files(factory).sha256 != digest


def test_a_factory_outside_the_folder(library: Path, tmp_path: Path) -> None:
    found = factory_files(Factory(target="nets_of_mine:net", folder=tmp_path / "empty"))
    assert found.root == library
    assert Path("flat_of_mine.py") in found.files
    assert found.others == ()


def test_the_versions_of_imported_packages_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages"
    info = installed / "some_nets-1.0.dist-info"
    info.mkdir(parents=True)
    (installed / "nets_installed.py").write_text("x = 1\n")
    (installed / "other_installed.py").write_text("")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-nets\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("nets_installed\n")
    monkeypatch.syspath_prepend(installed)
    (tmp_path / "my_models.py").write_text("import os\nimport nets_installed\n")
    factory = Factory(target="my_models:net", folder=tmp_path)

    def found() -> FactoryFiles:
        _distributions.cache_clear()
        return factory_files(factory)

    before = found()
    digest = before.sha256
    assert (before.packages, before.others) == (("some-nets 1.0",), ())
    metadata = (info / "METADATA").read_text()
    (info / "METADATA").write_text(metadata.replace("1.0", "1.1"))
    assert found().sha256 != digest
    (tmp_path / "my_models.py").write_text("import os\nimport other_installed\n")
    copied = found()  # copied there by hand: it has no version, so it is hashed
    assert copied.packages == ()
    assert [path.name for path in copied.others] == ["other_installed.py"]
    _distributions.cache_clear()


def test_a_folder_of_files_does_not_hide_a_package(tmp_path: Path) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "my_models.py").write_text("import numpy\n")
    found = factory_files(Factory(target="my_models:net", folder=tmp_path))
    assert [name.partition(" ")[0] for name in found.packages] == ["numpy"]


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
