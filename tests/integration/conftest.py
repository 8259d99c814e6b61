"""What several integration tests look at, made once."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration.colour_model import save_classifier, write_pictures
from tests.integration.command_line import Ran, phoneproof
from tests.integration.walls import own_network, without_network


@dataclass(frozen=True, kw_only=True, slots=True)
class Shipped:
    """A bundle and its pictures; the project that it was built in does not exist any more.

    config: of that project. places: folders of the disk that the build knew. leaks_at_home:
    files of its cache that named one of them. attempts: connections that were tried.
    no_interface: whether the build ran without any network interface.
    """

    bundle: Path
    pictures: Path
    config: str
    init: Ran
    build: Ran
    places: tuple[str, ...]
    leaks_at_home: tuple[str, ...]
    attempts: str
    no_interface: bool


def naming(folder: Path, places: tuple[str, ...]) -> tuple[str, ...]:
    """Files in `folder` that hold one of `places`, as bytes of any text encoding."""
    wanted = [p.encode(code) for p in places for code in ("utf-8", "utf-16-le", "utf-16-be")]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(
        path.relative_to(folder).as_posix()
        for path in files
        if any(place in path.read_bytes() for place in wanted)
    )


def write_project(folder: Path) -> Path:
    """A model file and twelve labelled pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    save_classifier(folder / "colours.onnx")
    write_pictures(folder / "val")
    return folder


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    """The colour classifier, built without a network, its project deleted."""
    home = tmp_path_factory.mktemp("deleted")
    away = tmp_path_factory.mktemp("shipped")
    project = write_project(home / "project")
    wall = home / "wall"
    wall.mkdir()
    env, within = without_network(wall), own_network()
    init = phoneproof("init", "colours.onnx", "--images", "val", cwd=project, env=env)
    build = phoneproof("build", cwd=project, env=env, within=within)
    assert (init.code, build.code) == (0, 0), init.said + build.said
    places = (str(home), str(Path.home()) + "/", str(Path.cwd()) + "/", sys.prefix + "/")
    shipped = Shipped(
        bundle=away / "bundle",
        pictures=away / "pictures",
        config=(project / "phoneproof.toml").read_text(),
        init=init,
        build=build,
        places=places,
        leaks_at_home=naming(project / ".phoneproof", places),
        attempts=(wall / "attempts").read_text(),
        no_interface=bool(within),
    )
    shutil.copytree(project / "dist" / "colours-1.0.0", shipped.bundle)
    shutil.copytree(project / "val", shipped.pictures)
    shutil.rmtree(home)
    return shipped
