"""The user's own code in a configuration: where it is looked for, and that the cache knows it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from PIL import Image

from phoneproof.capture.base import Factory
from phoneproof.capture.factory_files import factory_files
from phoneproof.capture.infer import infer_contract
from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.capture_steps import FileSource
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.data_facts import small_pictures_size
from phoneproof.pipeline.prepare import factory_of
from tests.unit.inspections import classifier, yolox

CONFIG = """\
[model]
source = "best.pth"
factory = "{}"
name = "meter"
[data]
evaluation = "val"
"""


def written(folder: Path, factory: str) -> Path:
    (folder / "best.pth").write_bytes(b"weights")
    (folder / "val").mkdir(exist_ok=True)
    path = folder / "phoneproof.toml"
    path.write_text(CONFIG.format(factory))
    return path


def test_the_module_is_looked_for_beside_the_configuration(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "my_models:resnet20"))
    assert factory_of(config) == Factory(target="my_models:resnet20", folder=tmp_path)


@pytest.mark.parametrize("target", ["resnet20", "a:b()", "my models:f", "__import__('os'):x", ""])
def test_what_names_no_function_is_a_fault_of_the_configuration(
    target: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(written(tmp_path, target))
    assert "model.factory" in str(error.value)


def test_a_changed_factory_makes_another_source(tmp_path: Path) -> None:
    factory = Factory(target="my_models:net", folder=tmp_path)

    def identity(text: str) -> tuple[str, ...]:
        (tmp_path / "my_models.py").write_text(text)
        digest = factory_files(factory).sha256
        path = tmp_path / "best.pth"
        return FileSource(
            path=path, format="state_dict", sha256="a", factory=factory, factory_sha256=digest
        ).identity()

    before = identity("def net(): return 1\n")
    assert before == identity("def net(): return 1\n")
    assert before != identity("def net(): return 2\n")
    assert before != FileSource(path=tmp_path, format="state_dict", sha256="a").identity()


def pictures(folder: Path, *sizes: tuple[int, int]) -> Path:
    for index, size in enumerate(sizes):
        Image.new("RGB", size, (index, 0, 0)).save(folder / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("sizes", "shared"),
    [
        ([(32, 32), (32, 32)], (32, 32)),
        ([(48, 24)], (24, 48)),
        ([(32, 32), (32, 31)], None),
        ([(65, 65), (65, 65)], None),
    ],
)
def test_small_pictures_of_one_size(
    sizes: list[tuple[int, int]], shared: tuple[int, int] | None, tmp_path: Path
) -> None:
    assert small_pictures_size(pictures(tmp_path, *sizes)) == shared


def test_pictures_that_cannot_be_read_do_not_count(tmp_path: Path) -> None:
    pictures(tmp_path, (32, 32))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert small_pictures_size(tmp_path) == (32, 32)


def test_the_pictures_size_is_proposed_where_the_file_leaves_it_open() -> None:
    unsized = msgspec.structs.replace(classifier(10), size=None)
    inferred = infer_contract(unsized, name="a", pictures_size=(32, 32))
    assert inferred.contract.image.size == (32, 32)
    assert inferred.reason("contract.size").startswith("assumed")
    assert infer_contract(unsized, name="a").contract.image.size == (224, 224)
    known = infer_contract(classifier(10), name="a", pictures_size=(32, 32))
    assert known.contract.image.size == (224, 224)
    detector = msgspec.structs.replace(yolox(), size=None)
    assert infer_contract(detector, name="a", pictures_size=(32, 32)).contract.image.size[0] == 640
