"""As few float32 islands as make a float16 file quiet enough, corrected by what was measured."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.check import Check
from phoneproof.core.optimization import LayerDamage
from phoneproof.pipeline import apple_float16
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.judge_steps import Measured
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.verify.limits import limits_for

WANTED = ArtifactRequest(format="coreml", precision="float16", layout="NCHW")
LIMIT = 55.0
LAYERS = tuple(f"layer_{number}" for number in range(20))
DAMAGE = tuple(
    LayerDamage(layer=name, op="conv", macs=0.05, damage=1e-6, by_output=(("scores", 1e-6),))
    for name in LAYERS
)
"""20 alike: 47 dB together, 55 dB without 17 of them."""


def made(layers: tuple[str, ...]) -> MadeArtifact:
    image = InputBinding(tensor="image", shape=(1, 3, 8, 8), layout="NCHW")
    artifact = Artifact(
        id="coreml-float16",
        format="coreml",
        requested="float16",
        precision="float16",
        path="artifacts/model.mlpackage",
        bytes=1000 + len(layers),
        sha256=str(len(layers)),
        binding=Binding(contract="c", format="coreml", inputs=(image,), outputs=()),
        lineage=Lineage(parent="p", step=f"{len(layers)} layers"),
    )
    return MadeArtifact(artifact=artifact, path=Path("model.mlpackage"))


class Bench:
    """A chain whose files are as quiet as `snr_db` of the number of float32 layers says."""

    def __init__(self, snr_db: dict[int, float] | None, flat: float = 0.0) -> None:
        self.snr_db = snr_db
        self.flat = flat
        self.counts: list[int] = []
        self.damage_asked = 0

    def measured(self, count: int) -> float:
        if self.snr_db is None:
            return self.flat
        return self.snr_db[max(one for one in self.snr_db if one <= count)]

    def judge(self, candidate: MadeArtifact) -> JudgedArtifact:
        count = int(candidate.artifact.sha256)
        self.counts.append(count)
        value = self.measured(count)
        good = value >= LIMIT
        check = Check(
            name="snr_db",
            kind="bounded",
            value=value,
            limit=LIMIT,
            direction="min",
            n=8,
            verdict="pass" if good else "fail",
        )
        return JudgedArtifact(
            made=candidate,
            run=Path("run"),
            measured=Measured(checks=(check,), scores=()),
            accepted=good,
        )


def search(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> JudgedArtifact:
    def damage(*_: object) -> tuple[LayerDamage, ...]:
        bench.damage_asked += 1
        return DAMAGE

    def candidate(*arguments: object) -> MadeArtifact:
        return made(cast(tuple[str, ...], arguments[-1]))

    monkeypatch.setattr(apple_float16, "_damage", damage)
    monkeypatch.setattr(apple_float16, "_candidate", candidate)
    chain = SimpleNamespace(judge=bench.judge, request=SimpleNamespace(limits_for=limits_for))
    return apple_float16.with_islands(cast(ArtifactChain, chain), WANTED, made(()))


def test_a_quiet_file_keeps_nothing_in_float32_and_asks_for_no_damage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench({0: 60.0})
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts, bench.damage_asked) == (True, [0], 0)


def test_what_is_missing_is_taken_out_and_half_a_decibel_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """3.5 dB are a factor of 2.24: eight of twenty equal layers may go on rounding."""
    bench = Bench({0: 52.0, 12: 55.2})
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts) == (True, [0, 12])
    assert [one.what for one in found.attempts] == ["0 layers"]


def test_the_next_try_corrects_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench({0: 52.0, 12: 53.0, 15: 54.0, 17: 55.0})
    found = search(bench, monkeypatch)
    assert found.accepted
    assert bench.counts == sorted(set(bench.counts))
    assert bench.counts[:2] == [0, 12]
    assert len(found.attempts) == len(bench.counts) - 1


def test_where_nothing_helps_the_first_is_refused_with_all_that_was_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(None, flat=50.0)
    found = search(bench, monkeypatch)
    assert not found.accepted
    assert int(found.made.artifact.sha256) == 0
    assert bench.counts == sorted(set(bench.counts))
    assert bench.counts[-1] <= len(LAYERS)
    assert len(bench.counts) <= 1 + apple_float16.TRIES
    assert [one.what for one in found.attempts] == [f"{n} layers" for n in bench.counts[1:]]
