"""As few float32 islands as make a float16 file quiet enough, corrected by what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from phoneproof.core.artifact import Artifact, Lineage
from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.check import Check
from phoneproof.core.optimization import LayerDamage
from phoneproof.optimize.float16_scan import Float16Scan
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


UNKNOWN = Float16Scan(images=4)


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

    def __init__(
        self,
        snr_db: dict[int, float] | None,
        flat: float = 0.0,
        scan: Float16Scan = UNKNOWN,
        loud: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda _: (),
    ) -> None:
        self.snr_db = snr_db
        self.flat = flat
        self.scan = scan
        self.loud = loud
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

    def judged(*arguments: object) -> tuple[JudgedArtifact, tuple[str, ...]]:
        layers = cast(tuple[str, ...], arguments[-1])
        lost = bench.loud(layers)
        found = bench.judge(made(layers))
        return replace(found, accepted=found.accepted and not lost), lost

    scanned = SimpleNamespace(found=bench.scan, folder=Path("scan"))
    monkeypatch.setattr(apple_float16, "_scanned", lambda *_: scanned)
    monkeypatch.setattr(apple_float16, "_damage", damage)
    monkeypatch.setattr(apple_float16, "_judged", judged)
    chain = SimpleNamespace(request=SimpleNamespace(limits_for=limits_for))
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


def scanned(snr_db: float, layers: int) -> Float16Scan:
    return Float16Scan(
        images=4,
        output="scores",
        snr_db=snr_db,
        layers=LAYERS[:layers],
        reached_db=55.6,
        damage=DAMAGE,
    )


def test_a_file_that_a_scan_shows_to_be_noisy_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench({0: 48.0, 17: 55.3}, scan=scanned(48.0, 17))
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts, bench.damage_asked) == (True, [17], 0)
    (attempt,) = found.attempts
    assert attempt.broke.startswith("not written: computed layer by layer on 4 images")
    assert "48.0 dB" in attempt.broke


def test_where_a_scan_leaves_doubt_the_file_without_islands_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench({0: 55.1}, scan=scanned(54.2, 3))
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts, found.attempts) == (True, [0], ())


def test_what_a_scan_promised_and_a_file_does_not_keep_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench({0: 48.0, 12: 54.0, 15: 55.2}, scan=scanned(48.0, 12))
    found = search(bench, monkeypatch)
    assert found.accepted
    assert bench.counts[0] == 12
    assert bench.counts[-1] >= 15
    assert bench.damage_asked == 0
    assert len(found.attempts) == len(bench.counts)


def test_operations_that_overflow_on_other_images_become_islands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loud(layers: tuple[str, ...]) -> tuple[str, ...]:
        return () if "layer_9" in layers else ("layer_9",)

    bench = Bench({0: 60.0}, loud=loud)
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts) == (True, [0, 1])


def test_overflow_that_no_island_ends_refuses_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench({0: 60.0}, loud=lambda _: ("layer_9",))
    found = search(bench, monkeypatch)
    assert not found.accepted


@pytest.mark.parametrize(("snr_db", "count"), [(54.5, 1), (48.0, 18)])
def test_layers_that_a_scan_of_the_hub_names_are_in_every_file(
    monkeypatch: pytest.MonkeyPatch, snr_db: float, count: int
) -> None:
    scan = msgspec.structs.replace(scanned(snr_db, 17), must=("layer_19",))
    bench = Bench({0: 60.0}, scan=scan)
    assert search(bench, monkeypatch).accepted
    assert bench.counts == [count]


def test_a_format_says_itself_how_many_files_are_tried() -> None:
    bench = Bench(None, flat=50.0)
    files = apple_float16.Islands(
        scan=UNKNOWN,
        judged=lambda layers: (bench.judge(made(layers)), ()),
        damage=lambda _: DAMAGE,
        tries=1,
    )
    chain = SimpleNamespace(request=SimpleNamespace(limits_for=limits_for))
    found = apple_float16.fewest_islands(cast(ArtifactChain, chain), WANTED, files)
    assert not found.accepted
    assert len(bench.counts) == 2


def test_a_noisy_file_that_no_layer_would_help_is_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Class numbers: decibels say nothing of them, and they have no gradients."""
    bench = Bench({0: 60.0}, scan=scanned(24.0, 0))
    found = search(bench, monkeypatch)
    assert (found.accepted, bench.counts, found.attempts) == (True, [0], ())
