"""The search in a build and as a command: a right contract stands, a wrong one is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.check import Check
from phoneproof.core.events import silence
from phoneproof.core.json_format import parse
from phoneproof.core.report import Report
from phoneproof.core.search import ContractSearch
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.prepare import prepare
from phoneproof.pipeline.search.contract_check import contract_search, search_checks
from phoneproof.pipeline.workshop import open_workshop
from tests.integration.colour_model import save_classifier, write_pictures
from tests.integration.command_line import phoneproof

EACH = 60
"""Of 180 pictures about 90 are held out; 73 on which nothing changes are enough to confirm."""

CONFIG = """
[model]
source = "colours.onnx"
name = "colours"

[data]
evaluation = "val"

[contract]
task = "classify"
size = [32, 32]
labels = ["blue", "green", "red"]
channels = "{channels}"
scale = 0.00392156862745098
mean = [0.0, 0.0, 0.0]
std = [1.0, 1.0, 1.0]

[[contract.geometry]]
op = "resize"
to = "stretch"
size = [32, 32]
filter = "pillow.bilinear"

[targets.server]
formats = ["onnx"]
precisions = ["float32"]

[checks]
contract_search = "{mode}"

[package]
directory = "{channels}-{mode}"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched")
    save_classifier(folder / "colours.onnx")
    write_pictures(folder / "val", EACH)
    return folder


def config(project: Path, channels: str, mode: str = "gate") -> Path:
    path = project / f"{channels}-{mode}.toml"
    path.write_text(CONFIG.format(channels=channels, mode=mode))
    return path


def check_of(report: Report) -> Check:
    (check,) = [one for one in report.gate if one.name == "contract_search"]
    return check


def report_in(folder: Path) -> Report:
    return parse((folder / "report.json").read_bytes(), Report, what="report")


def test_a_right_contract_is_confirmed_and_built(project: Path) -> None:
    done = phoneproof("build", "--config", config(project, "rgb"), cwd=project)
    assert done.code == 0, done.said
    report = report_in(project / "rgb-gate" / "colours-1.0.0")
    assert report.search is not None
    assert (report.search.verdict, report.search.proposal) == ("confirmed", None)
    check = check_of(report)
    assert (check.verdict, check.gating, check.n) == ("pass", True, report.search.held_out)
    assert check.n > 70


def test_wrong_channels_are_refused(project: Path) -> None:
    done = phoneproof("build", "--config", config(project, "bgr"), cwd=project)
    assert done.code == 7, done.said
    assert "contract_search" in done.out
    folder = project / "bgr-gate"
    assert not (folder / "colours-1.0.0").exists()
    report = report_in(folder / "colours-1.0.0-refused")
    assert {one.name for one in report.gate if one.verdict == "fail"} == {"contract_search"}
    assert report.search is not None
    assert report.search.proposal is not None
    assert report.search.proposal.image.channels == "rgb"
    assert "RGB" in check_of(report).hint


def test_wrong_channels_are_built_where_the_check_is_only_shown(project: Path) -> None:
    done = phoneproof("build", "--config", config(project, "bgr", "show"), cwd=project)
    assert done.code == 0, done.said
    report = report_in(project / "bgr-show" / "colours-1.0.0")
    assert report.accepted
    check = check_of(report)
    assert (check.verdict, check.gating) == ("fail", False)
    assert "RGB" in check.hint


def test_the_command_prints_what_was_tried_and_exits_with_7(project: Path) -> None:
    path = config(project, "bgr")
    done = phoneproof("search", path, "--json", cwd=project)
    assert done.code == 7, done.said
    found = msgspec.json.decode(done.out, type=ContractSearch)
    assert (found.verdict, found.metric) == ("better_found", "top1")
    assert found.proposal is not None
    assert found.proposal.image.channels == "rgb"
    assert len(found.tried) > 20
    assert found.runs > len(found.tried)
    shown = phoneproof("search", path, cwd=project)
    assert shown.code == 7, shown.said
    for text in ("what differs", "log-likelihood", "this contract", "better found", "[contract]"):
        assert text in shown.out
    assert 'channels = "rgb"' in shown.out


def test_a_build_request_is_searched_unless_it_says_no(project: Path) -> None:
    with open_workshop(project / ".phoneproof", silence) as workshop:
        request = prepare(load_config(config(project, "bgr")), workshop, silence)
        found = contract_search(request, workshop)
        assert found is not None
        assert found.verdict == "better_found"
        (check,) = search_checks(request, found)
        assert (check.verdict, check.gating) == ("fail", True)
        few = msgspec.structs.replace(request.images, items=request.images.items[:19])
        assert contract_search(replace(request, images=few), workshop) is None
        off = prepare(load_config(config(project, "bgr", "off")), workshop, silence)
        assert contract_search(off, workshop) is None
