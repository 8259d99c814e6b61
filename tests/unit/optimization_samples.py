"""Sample reports of optimisation for the tests of the page and its siblings."""

from __future__ import annotations

from typing import Literal

import msgspec

from phoneproof.core.check import Check
from phoneproof.core.optimization import (
    CalibrationImage,
    CalibrationReport,
    LayerDamage,
    ParetoPoint,
    PhoneCost,
    PhoneOp,
    ReadBack,
    Recommendation,
    Share,
    Stability,
)
from phoneproof.core.report import ArtifactReport, Attempt, Report
from tests.unit import report_samples as samples

SPLIT = "int8, boxes and scores in tensors of their own"
WINNER = "int8, mse ranges, 4 layers in int16"
SHA = "1a" * 32


def attempts(*, accepted: bool = True) -> tuple[Attempt, ...]:
    """A ladder of five rungs; the fourth wins where `accepted`."""
    return (
        _attempt("int8, min/max ranges", "int8", 3_280_000, 0.0, (0.096, -0.132, 0.075), 21.4),
        _attempt("int8, mse ranges", "ranges", 3_280_000, 0.0, (0.043, -0.071, 0.041), 19.8),
        Attempt(
            what="int8, entropy ranges",
            bytes=0,
            failed=(),
            rung="ranges",
            seconds=3.1,
            broke="the quantizer does not take TRANSPOSE_CONV",
        ),
        _attempt(SPLIT, "split heads", 3_290_000, 0.0, (0.013, -0.022, 0.018), 24.9),
        _attempt(
            WINNER,
            "sensitive layers",
            3_410_000,
            0.043,
            (0.006, -0.011, 0.009) if accepted else (0.012, -0.011, 0.009),
            31.0,
        ),
    )


def _attempt(
    what: str, rung: str, size: int, wide: float, found: tuple[float, float, float], seconds: float
) -> Attempt:
    names = ("map50_95_drop", "score_shift", "lost_share")
    limits = (0.01, 0.03, 0.02)
    rows = tuple(zip(names, found, limits, strict=True))
    failed = tuple((name, value) for name, value, limit in rows if abs(value) > limit)
    return Attempt(
        what=what,
        bytes=size,
        failed=failed,
        rung=rung,
        precision="static_wi8_ai8",
        macs_above_int8=wide,
        seconds=seconds,
        losses=rows,
        accepted=not failed,
    )


def layers(count: int = 30) -> tuple[LayerDamage, ...]:
    """Worst first, falling by a quarter each, told for two outputs."""
    return tuple(
        LayerDamage(
            layer=f"conv_2d_{(at * 7) % 64}",
            op="CONV_2D" if at % 5 else "DEPTHWISE_CONV_2D",
            macs=0.002 + 0.01 * (at % 4),
            damage=0.021 * 0.75**at,
            by_output=(("boxes", 0.014 * 0.75**at), ("scores", 0.007 * 0.75**at)),
        )
        for at in range(count)
    )


def read_back() -> ReadBack:
    return ReadBack(
        macs=4_372_000_000,
        shares=(
            Share(dtype="int8", ops=0.937, weights=0.962, macs=0.957),
            Share(dtype="int16", ops=0.043, weights=0.031, macs=0.043),
            Share(dtype="float32", ops=0.02, weights=0.007, macs=0.0),
        ),
        fused=(("RELU6", 35), ("bias", 64)),
        gzip_bytes=2_870_000,
    )


def phone() -> tuple[PhoneCost, ...]:
    return (
        PhoneCost(
            delegate="xnnpack",
            taken=252 / 254,
            partitions=5,
            left=(
                PhoneOp(
                    op="RESIZE_NEAREST_NEIGHBOR",
                    count=2,
                    reason="not on its list",
                    rewrite="join the map with itself and reshape",
                ),
            ),
            source="LiteRT, xnnpack_delegate.cc at f67457790c9c (2026-08-21), read 2026-11-21",
        ),
        PhoneCost(delegate="gpu", taken=1.0, partitions=1, left=(), source="LiteRT, gpu, 2026"),
    )


def calibration(*, enough: bool = True) -> CalibrationReport:
    reasons: tuple[Literal["class", "extreme", "spread"], ...]
    reasons = ("class", "class", "class", "extreme", "spread")
    return CalibrationReport(
        images=tuple(
            CalibrationImage(
                name=f"street {at}.jpg", sha256=f"{at:064x}", reason=reasons[at % len(reasons)]
            )
            for at in range(100)
        ),
        pool=412,
        hash="9f" * 32,
        classes=(71, 80),
        stability=Stability(
            spread=0.04 if enough else 0.31,
            worst_tensor="conv_2d_61",
            worst=0.22,
            limit=0.1,
            enough=enough,
        ),
    )


def int8_artifact(*, accepted: bool = True) -> ArtifactReport:
    drop = (
        samples.margin("map50_95_drop", 0.006, (-0.004, 0.0095), "pass")
        if accepted
        else samples.margin("map50_95_drop", 0.041, (0.022, 0.063), "fail")
    )
    checks = (drop, _accuracy(0.451 if accepted else 0.416))
    base = samples.artifact_report("float16", "float32", checks)
    return msgspec.structs.replace(
        base,
        id="tflite-static_wi8_ai8",
        requested="static_wi8_ai8",
        precision="static_wi8_ai8",
        path="artifacts/model_int8.tflite",
        bytes=3_410_000,
        sha256=SHA,
        step="the repair ladder",
        attempts=attempts(accepted=accepted),
        read_back=read_back(),
        sensitivity=layers(),
        phone=phone(),
    )


def _accuracy(value: float) -> Check:
    return Check(
        name="map50_95", kind="margin", value=value, gating=False, n=64, against="labels",
        dataset=samples.DATA, verdict="pass",
    )  # fmt: skip


def points() -> tuple[ParetoPoint, ...]:
    return (
        ParetoPoint(
            artifact="tflite-static_wi8_ai8", format="tflite", precision="static_wi8_ai8",
            accuracy=0.451, bounds=(0.4475, 0.461), loss=0.006, agreement=0.94,
            bytes=3_410_000, gzip_bytes=2_870_000, macs=4_372_000_000, latency_ms=41.27, best=True,
        ),
        ParetoPoint(
            artifact="tflite-dynamic_wi8", format="tflite", precision="dynamic_wi8",
            accuracy=0.447, bounds=(0.44, 0.459), loss=0.01, bytes=3_520_000, latency_ms=77.0,
        ),
        ParetoPoint(
            artifact="tflite-float16", format="tflite", precision="float16", accuracy=0.4571,
            bounds=(0.4568, 0.4574), loss=-0.0001, bytes=6_412_800, best=True,
        ),
        ParetoPoint(
            artifact="tflite-float32", format="tflite", precision="float32", accuracy=0.457,
            bounds=(0.457, 0.457), loss=0.0, bytes=12_816_000, latency_ms=92.1,
        ),
        ParetoPoint(
            artifact="onnx-float32", format="onnx", precision="float32", accuracy=0.457,
            bounds=(0.457, 0.457), loss=0.0, bytes=12_821_000, latency_ms=88.4,
        ),
    )  # fmt: skip


def optimized_report() -> Report:
    """Accepted: a ladder, its Pareto picture and its advice."""
    report = samples.accepted_report()
    return msgspec.structs.replace(
        report,
        artifacts=(*report.artifacts, int8_artifact()),
        calibration=calibration(),
        pareto=points(),
        recommended=(
            Recommendation(
                target="android",
                artifact="tflite-static_wi8_ai8",
                reason="the smallest of 4 accepted files for this target; shown to keep its limits",
            ),
            Recommendation(
                target="server",
                artifact="onnx-float32",
                reason="the only accepted file for this target; shown to keep its limits",
            ),
        ),
    )


def ladder_refused_report() -> Report:
    """Refused: nothing on the ladder kept its limits, and the calibration set is too small."""
    report = samples.accepted_report()
    return msgspec.structs.replace(
        report,
        verdict="fail",
        accepted=False,
        artifacts=(*report.artifacts, int8_artifact(accepted=False)),
        calibration=calibration(enough=False),
    )


def hostile_report() -> Report:
    """Every text that a file or a library may bring to these sections is hostile."""
    h = samples.HOSTILE
    report = optimized_report()
    artifact = int8_artifact(accepted=False)
    tried = tuple(
        msgspec.structs.replace(one, what=h, rung=h, broke=h if one.broke else "")
        for one in artifact.attempts
    )
    suffering = tuple(
        msgspec.structs.replace(one, layer=h, op=h, by_output=((h, 1.0),)) for one in layers(3)
    )
    held = msgspec.structs.replace(
        read_back(), shares=(Share(dtype=h, ops=1.0, weights=1.0, macs=1.0),), fused=((h, 3),)
    )
    left = (PhoneOp(op=h, count=2, reason=h, rewrite=h),)
    cost = msgspec.structs.replace(phone()[0], left=left, source=h)
    artifact = msgspec.structs.replace(
        artifact, attempts=tried, sensitivity=suffering, read_back=held, phone=(cost,)
    )
    images = (CalibrationImage(name=h, sha256=SHA, reason="class"),)
    stability = Stability(spread=0.5, worst_tensor=h, worst=1.0, limit=0.1, enough=False)
    return msgspec.structs.replace(
        report,
        artifacts=(*report.artifacts[:-1], artifact),
        calibration=msgspec.structs.replace(calibration(), images=images, stability=stability),
        pareto=tuple(msgspec.structs.replace(point, artifact=h) for point in points()),
        recommended=(Recommendation(target="android", artifact=h, reason=h),),
    )
