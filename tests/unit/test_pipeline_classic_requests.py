"""What the classic route asks for, and how its artifacts are told from the direct ones."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from phoneproof.convert.base import CONVERTERS
from phoneproof.convert.routes import ROUTES
from phoneproof.core.binding import Format
from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.config_types import TargetConfig
from phoneproof.pipeline.prepare import artifact_requests
from phoneproof.pipeline.request import ArtifactRequest
from tests.unit.test_pipeline_config import SMALLEST, faults, folder, write
from tests.unit.test_pipeline_targets import config_of

__all__ = ["folder"]  # a fixture

CLASSIC = ["onnx-float32", "hub-float32", "saved_model-float32", "tflite-float32"]
DIRECT = TargetConfig(formats=("tflite",), precisions=("float32",))


def requests_of(
    target: TargetConfig, server: TargetConfig | None = None
) -> tuple[ArtifactRequest, ...]:
    config = config_of(target, server or target)
    return artifact_requests(config, () if server else ("android",))


def test_every_link_is_an_artifact_in_order() -> None:
    found = requests_of(TargetConfig(route="classic"))
    assert [one.id for one in found] == CLASSIC
    assert [one.layout for one in found] == ["NCHW", "NCHW", "NHWC", "NHWC"]
    assert {one.opset for one in found} == {12}


@pytest.mark.parametrize(("last", "count"), [("onnx", 1), ("saved_model", 3), ("tflite", 4)])
def test_the_chain_ends_at_the_last_format(last: Format, count: int) -> None:
    found = requests_of(TargetConfig(route="classic", formats=(last,)))
    assert [one.id for one in found] == CLASSIC[:count]


def test_float16_only_where_it_is_asked_for() -> None:
    found = requests_of(TargetConfig(route="classic", precisions=("float16",)))
    assert [one.id for one in found] == [*CLASSIC, "tflite-float16"]
    assert found[-1].precision == "float16"


def test_a_layout_is_that_of_the_end() -> None:
    found = requests_of(TargetConfig(route="classic", layout="NCHW"))
    assert [one.layout for one in found] == ["NCHW"] * 4
    found = requests_of(TargetConfig(route="classic", layout="NHWC"))
    assert [one.layout for one in found] == ["NCHW", "NCHW", "NHWC", "NHWC"]


def test_ids_stay_unique_where_both_routes_make_a_format() -> None:
    found = requests_of(TargetConfig(route="classic"), DIRECT)
    ids = [one.id for one in found]
    assert ids == ["tflite-float32", *CLASSIC[:3], "tflite-float32-classic"]
    assert [one.precision for one in found if one.format == "tflite"] == ["float32"] * 2


def test_the_onnx_file_of_both_routes_is_one() -> None:
    server = TargetConfig(formats=("onnx",))
    assert [one.id for one in requests_of(TargetConfig(route="classic"), server)] == CLASSIC
    other = TargetConfig(formats=("onnx",), opset=17)
    ids = [one.id for one in requests_of(TargetConfig(route="classic"), other)]
    assert ids == ["onnx-float32", "onnx-float32-classic", *CLASSIC[1:]]


def test_two_classic_targets_want_one_form() -> None:
    other = TargetConfig(route="classic", opset=13)
    with pytest.raises(ConfigError, match="want different"):
        requests_of(TargetConfig(route="classic"), other)


def test_every_link_has_a_converter_or_goes_back_to_the_hub() -> None:
    for formats in ROUTES.values():
        for last, links in formats.items():
            assert links[0].source == "hub"
            assert links[-1].target == last
            for before, after in pairwise(links):
                assert before.target == after.source
            edges = [link.edge for link in links]
            assert set(edges) <= {*CONVERTERS, "onnx-hub"}


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            "route = 'classic'\nformats = ['hub']",
            "'hub' not available in this version; known: onnx",
        ),
        ("formats = ['saved_model']", "'saved_model' not available in this version"),
        ("route = 'clasic'", "route"),
        ("route = 'classic'\nprecisions = ['palette4']", "'palette4' not available"),
    ],
)
def test_what_the_route_cannot_make_is_a_fault(folder: Path, lines: str, words: str) -> None:
    assert words in faults(folder, f"{SMALLEST}[targets.android]\n{lines}\n")


def test_the_route_is_read(folder: Path) -> None:
    text = f"{SMALLEST}[targets.android]\nroute = 'classic'\nformats = ['saved_model']\n"
    config = load_config(write(folder, text))
    assert [one.id for one in artifact_requests(config, ())] == CLASSIC[:3]
