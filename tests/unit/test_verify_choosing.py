from __future__ import annotations

import itertools
from typing import Literal

import msgspec
import pytest

from phoneproof.core.binding import Format
from phoneproof.core.check import Check
from phoneproof.core.optimization import PhoneCost, ReadBack
from phoneproof.core.report import ArtifactReport
from phoneproof.verify.choosing import LATENCY_TIE, pareto, recommend
from tests.unit import report_samples as samples

Verdict = Literal["pass", "undecided", "fail"]


def artifact(
    name: str,
    *,
    size: int,
    loss: float | None = 0.0,
    kind: Format = "tflite",
    verdict: Verdict = "pass",
    taken: float | None = None,
    agreement: float | None = None,
) -> ArtifactReport:
    checks: list[Check] = []
    if loss is not None:
        checks.append(samples.margin("top1_drop", loss, (loss - 0.01, loss + 0.02), verdict))
        checks.append(check("top1", 0.9 - loss))
    if agreement is not None:
        checks.append(check("top1_agreement", agreement))
    cost = PhoneCost(delegate="xnnpack", taken=taken or 0.0, partitions=1, left=(), source="rules")
    return msgspec.structs.replace(
        samples.artifact_report("float16", "float32", tuple(checks)),
        id=name,
        format=kind,
        bytes=size,
        verdict=verdict,
        accepted=verdict != "fail",
        phone=() if taken is None else (cost,),
    )


def check(name: str, value: float) -> Check:
    fields = {"name": name, "kind": "bounded", "value": value, "n": 10, "verdict": "pass"}
    return msgspec.convert({**fields, "gating": False}, Check)


def test_best_is_what_nothing_beats_in_both() -> None:
    points = pareto(
        [
            artifact("large", size=400, loss=0.0),
            artifact("small", size=100, loss=0.004),
            artifact("beaten", size=150, loss=0.006),
            artifact("refused", size=10, loss=0.0, verdict="fail"),
        ]
    )
    assert [(p.artifact, p.best) for p in points] == [
        ("small", True),
        ("beaten", False),
        ("large", True),
    ]


def test_equal_points_are_both_best_and_one_equal_in_one_is_beaten_by_the_other() -> None:
    points = pareto([artifact("a", size=100, loss=0.1), artifact("b", size=100, loss=0.1)])
    assert all(point.best for point in points)
    points = pareto([artifact("a", size=100, loss=0.1), artifact("b", size=101, loss=0.1)])
    assert [point.best for point in points] == [True, False]


def test_a_gain_is_chance_and_counts_as_no_loss() -> None:
    points = pareto([artifact("same", size=100, loss=0.0), artifact("lucky", size=200, loss=-0.01)])
    assert [(p.artifact, p.best) for p in points] == [("same", True), ("lucky", False)]
    assert points[1].loss == -0.01
    assert points[0].images == 64


def test_a_points_bounds_are_those_of_its_loss_seen_from_the_baseline() -> None:
    (point,) = pareto([artifact("a", size=100, loss=0.05)], {"a": 12.5})
    assert point.accuracy == pytest.approx(0.85)
    assert point.bounds == pytest.approx((0.9 - 0.07, 0.9 - 0.04))
    assert point.latency_ms == 12.5


def test_without_labels_disagreement_is_the_damage() -> None:
    points = pareto(
        [
            artifact("exact", size=400, loss=None, agreement=1.0),
            artifact("small", size=100, loss=None, agreement=0.98),
            artifact("worse", size=200, loss=None, agreement=0.97),
            artifact("unknown", size=1, loss=None),
        ]
    )
    assert {p.artifact: p.best for p in points} == {
        "unknown": False,
        "small": True,
        "worse": False,
        "exact": True,
    }
    assert all(p.accuracy is None and p.loss is None for p in points)


def test_what_is_against_the_parent_or_of_a_slice_is_not_the_loss() -> None:
    one = artifact("a", size=1, loss=0.01)
    drop, accuracy = one.checks
    others = (
        msgspec.structs.replace(drop, against="parent", value=0.5),
        msgspec.structs.replace(drop, slice="small", value=0.4),
    )
    one = msgspec.structs.replace(one, checks=(*others, drop, accuracy))
    assert pareto([one])[0].loss == 0.01


def test_figures_of_the_file_come_from_what_was_read_back() -> None:
    read = ReadBack(macs=7, shares=(), gzip_bytes=5)
    (point,) = pareto([msgspec.structs.replace(artifact("a", size=9), read_back=read)])
    assert (point.macs, point.gzip_bytes, point.bytes) == (7, 5, 9)


def recommended(files: list[ArtifactReport], target: Literal["android", "server", "ios"]) -> str:
    names = set()
    for order in itertools.permutations(files):
        found = recommend(order, pareto(order), target)
        names.add(found.artifact if found else "")
    assert len(names) == 1, "the order of the files decides"
    return names.pop()


def test_a_phone_gets_the_smallest_accepted_file() -> None:
    files = [
        artifact("float32", size=400),
        artifact("int8", size=100, loss=0.004),
        artifact("larger", size=190, loss=0.004, verdict="undecided"),
        artifact("broken", size=80, verdict="fail"),
        artifact("onnx", size=70, kind="onnx"),
    ]
    assert recommended(files, "android") == "int8"
    found = recommend(files, pareto(files), "android")
    assert found is not None
    assert found.reason.startswith("the smallest of 3 accepted files for this target")
    assert "shown to keep its limits" in found.reason
    assert "0.4 points lost" in found.reason


def test_a_file_that_few_images_prove_is_recommended_and_it_is_said() -> None:
    files = [
        artifact("open", size=90, verdict="undecided"),
        artifact("large", size=120),
    ]
    assert recommended(files, "android") == "open"
    found = recommend(files, pareto(files), "android")
    assert found is not None
    assert "too few images to prove" in found.reason


def test_a_smaller_file_that_xnnpack_leaves_is_not_recommended() -> None:
    files = [artifact("whole", size=120, taken=1.0), artifact("left", size=100, taken=0.6)]
    assert recommended(files, "android") == "whole"
    near = [artifact("whole", size=120, taken=1.0), artifact("near", size=100, taken=0.97)]
    assert recommended(near, "android") == "near"
    found = recommend(near, pareto(near), "android")
    assert found is not None
    assert "XNNPACK takes 97.0 %" in found.reason


def test_a_server_gets_the_fastest_and_of_equally_fast_ones_the_smallest() -> None:
    files = [
        artifact("float32", size=400, kind="onnx"),
        artifact("int8", size=100, loss=0.004, kind="onnx"),
        artifact("tflite", size=10),
    ]
    slow_int8 = pareto(files, {"float32": 10.0, "int8": 20.0, "tflite": 1.0})
    found = recommend(files, slow_int8, "server")
    assert found is not None
    assert found.artifact == "float32"
    assert "fastest on this host" in found.reason
    near = pareto(files, {"float32": 10.0, "int8": 10.0 * (1 + LATENCY_TIE / 2)})
    found = recommend(files, near, "server")
    assert found is not None
    assert found.artifact == "int8"


def test_a_server_without_timings_gets_the_smallest() -> None:
    files = [artifact("a", size=400, kind="onnx"), artifact("b", size=100, kind="onnx")]
    assert recommended(files, "server") == "b"


def test_ties_are_settled_by_damage_then_by_name() -> None:
    files = [artifact("b", size=100), artifact("a", size=100), artifact("c", size=100, loss=0.001)]
    assert recommended(files, "android") == "a"


def test_no_file_no_recommendation() -> None:
    files = [artifact("onnx", size=1, kind="onnx"), artifact("bad", size=1, verdict="fail")]
    assert recommended(files, "android") == ""
    assert recommended(files, "ios") == ""
    assert pareto([]) == ()
