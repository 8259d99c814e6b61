"""A smaller file that measures worse is repaired with float32 layers, least first, or refused."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import cast

import pytest

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import Binding, InputBinding, Precision
from phoneproof.core.check import Check
from phoneproof.core.report import Divergence
from phoneproof.pipeline.artifact_chain import FLOAT32_SHARES, ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.gate import Hub
from phoneproof.pipeline.judge_steps import Measured
from phoneproof.pipeline.request import ArtifactRequest, BuildRequest
from phoneproof.pipeline.step import StepResult
from phoneproof.pipeline.workshop import Workshop

WANTED = ArtifactRequest(format="tflite", precision="float16", layout="NHWC")
FOUND = Divergence(layer="conv_3", explanation="it is wrong")


def _made(share: float) -> MadeArtifact:
    precision: Precision = "float16" if share == FLOAT32_SHARES[0] else "mixed"
    image = InputBinding(tensor="image", shape=(1, 8, 8, 3), layout="NHWC")
    artifact = Artifact(
        id=f"tflite-{precision}",
        format="tflite",
        requested="float16",
        precision=precision,
        path="artifacts/model.tflite",
        bytes=1000 + round(1000 * share),
        sha256=str(share),
        binding=Binding(contract="c", format="tflite", inputs=(image,), outputs=()),
        lineage=Lineage(parent="p", step=f"share {share}"),
    )
    return MadeArtifact(artifact=artifact, path=Path("model.tflite"))


class _Bench:
    """An ArtifactChain whose candidates are accepted from a share on."""

    def __init__(self, accepted_from: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.located: list[str] = []

        def optimize(
            _: ArtifactChain, wanted: ArtifactRequest, parent: MadeArtifact, share: float
        ) -> MadeArtifact:
            return _made(share)

        def judge(_: ArtifactChain, made: MadeArtifact) -> JudgedArtifact:
            good = float(made.artifact.sha256) >= accepted_from
            check = Check(
                name="snr_db",
                kind="bounded",
                value=50.0 if good else 40.0,
                limit=45.0,
                direction="min",
                n=8,
                slice="scores",
                verdict="pass" if good else "fail",
            )
            return JudgedArtifact(
                made=made,
                run=Path("run"),
                measured=Measured(checks=(check,), scores=()),
                accepted=good,
            )

        def locate(_: ArtifactChain, made: MadeArtifact, checks: tuple[Check, ...]) -> Divergence:
            self.located.append(made.artifact.sha256)
            return FOUND

        monkeypatch.setattr(ArtifactChain, "_optimize", optimize)
        monkeypatch.setattr(ArtifactChain, "judge", judge)
        monkeypatch.setattr(ArtifactChain, "locate", locate)

    def finish(self) -> JudgedArtifact:
        parent: Future[MadeArtifact] = Future()
        parent.set_result(_made(0.0))
        chain = ArtifactChain(
            request=cast(BuildRequest, None),
            workshop=cast(Workshop, None),
            hub=cast(Hub, None),
            baseline=cast("Future[StepResult]", None),
        )
        return chain.finish(WANTED, parent)


def test_a_candidate_that_is_accepted_at_once_is_not_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = _Bench(0.0, monkeypatch)
    judged = bench.finish()
    assert judged.made.artifact.id == "tflite-float16"
    assert judged.attempts == ()
    assert bench.located == []


def test_the_least_float32_that_helps_is_shipped_and_the_refused_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = _Bench(FLOAT32_SHARES[1], monkeypatch)
    judged = bench.finish()
    assert judged.accepted
    assert judged.made.artifact.id == "tflite-mixed"
    assert judged.made.artifact.requested == "float16"
    assert [(a.what, a.failed) for a in judged.attempts] == [
        (f"share {FLOAT32_SHARES[0]}", (("snr_db scores", 40.0),))
    ]
    assert bench.located == []


def test_where_nothing_helps_the_plain_candidate_is_refused_and_its_layer_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = _Bench(2.0, monkeypatch)
    judged = bench.finish()
    assert not judged.accepted
    assert judged.made.artifact.id == "tflite-float16"
    assert judged.divergence == FOUND
    assert len(judged.attempts) == len(FLOAT32_SHARES) - 1
    assert bench.located == [str(FLOAT32_SHARES[0])]
