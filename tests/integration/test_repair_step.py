"""The pipeline's step around a repair: what it leaves, and what it is known by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from phoneproof.core.artifact import file_sha256
from phoneproof.core.dataset import ImageItem, ImageSet
from phoneproof.core.events import silent
from phoneproof.core.json_format import canonical_bytes, parse
from phoneproof.pipeline.artifact_steps import MADE, Made
from phoneproof.pipeline.repair_step import RepairStep
from tests.integration import repair_files as files

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def _step(folder: Path, repairer: str) -> RepairStep:
    request = files.request(folder, files.network(files.weights()))
    items = tuple(
        ImageItem(name=path.name, path=path, sha256=file_sha256(path)) for path in request.images
    )
    return RepairStep(
        repairer=repairer,
        label="tflite-float32",
        artifact=request.artifact,
        artifact_sha256=file_sha256(request.artifact),
        contract=request.contract,
        binding=request.binding,
        recipe=request.recipe,
        ranges=folder,
        images=ImageSet(split="calibration", items=items),
        seconds=20.0,
    )


@pytest.mark.parametrize(
    ("repairer", "learned"), [("tflite-bias", False), ("tflite-distill", True)]
)
def test_the_step_leaves_the_file_and_its_record(
    tmp_path: Path, repairer: str, learned: bool
) -> None:
    step = _step(tmp_path, repairer)
    output = tmp_path / "step"
    output.mkdir()
    step.run(output, silent)
    made = parse((output / MADE).read_bytes(), Made, what="record")
    assert (output / made.file).is_file()
    assert made.model.binding.precision == "float32"
    assert (output / "ranges.json").is_file() == learned


def test_the_time_is_part_of_what_the_step_is(tmp_path: Path) -> None:
    step = _step(tmp_path, "tflite-distill")
    longer = replace(step, seconds=40.0)
    assert canonical_bytes(longer.identity()) != canonical_bytes(step.identity())
    assert canonical_bytes(replace(step).identity()) == canonical_bytes(step.identity())
