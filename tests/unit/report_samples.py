"""Sample reports for the tests of the bundle, the page and their siblings."""

from __future__ import annotations

import msgspec
import numpy as np

from phoneproof.core.binding import Binding, Box, InputBinding, OutputBinding, Precision
from phoneproof.core.capture import Capture, Evidence, Hazard
from phoneproof.core.check import Check, DatasetRef, Verdict, Worst, artifact_verdict
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Pad, Resize
from phoneproof.core.report import (
    ArtifactReport,
    DatasetReport,
    Divergence,
    Report,
    SplitReport,
)
from phoneproof.decode.results import Classification, Detections
from phoneproof.package.report_html import Comparison

HOSTILE = "<script>alert('x')</script>\"&"
HASHES = {"hub": "a1" * 32, "onnx": "b2" * 32, "float32": "c3" * 32, "float16": "d4" * 32}
DATA = DatasetRef(hash="e5" * 32, split="confirmation")
GOLDEN = DatasetRef(hash="f6" * 32, split="golden")
RUNTIME = "LiteRT 2.3.0"
STEPS = {"onnx": "torch.onnx", "float32": "litert-torch", "float16": "float16 weights"}
TOOLS = (("ai-edge-litert", "2.3.0"), ("litert-torch", "0.10.0"))


def detect_contract(
    labels: tuple[str | None, ...] = ("person", "bicycle", "car", "traffic light"),
    size: int = 64,
) -> Contract:
    return Contract(
        name="meter-detector",
        version="1.2.0",
        task="detect",
        inputs=(
            ImageInput(
                geometry=(Resize(to="contain", size=(size, size)), Pad(size=(size, size))),
                size=(size, size),
                scale=1 / 255,
                mean=(0.0, 0.0, 0.0),
                std=(1.0, 1.0, 1.0),
            ),
        ),
        labels=labels,
        decode=Decode(confidence=0.25, nms=Nms()),
    )


def classify_contract(count: int = 1000, size: int = 32) -> Contract:
    detect = detect_contract(size=size)
    return msgspec.structs.replace(
        detect,
        name="plants",
        task="classify",
        labels=(None, *(f"species {i}" for i in range(1, count))),
        decode=None,
    )


def binding_for(contract: Contract, precision: Precision = "float32") -> Binding:
    size = contract.image.size
    return Binding(
        contract=contract.sha256,
        format="tflite",
        precision=precision,
        inputs=(InputBinding(tensor="image", shape=(1, *size, 3), layout="NHWC"),),
        outputs=(
            OutputBinding(
                tensor="boxes",
                role="boxes",
                shape=(1, 84, 4),
                axes=("anchor", "coord"),
                box=Box(format="xyxy"),
            ),
        ),
    )


def margin(
    name: str, value: float, bounds: tuple[float, float], verdict: Verdict, n: int = 64
) -> Check:
    return msgspec.convert(
        {
            "name": name,
            "kind": "margin",
            "value": value,
            "limit": 0.01,
            "n": n,
            "bounds": bounds,
            "n_needed": 541 if verdict == "undecided" else None,
            "dataset": msgspec.to_builtins(DATA),
            "runtime": "LiteRT 2.3.0",
            "device": "x86-64 CPU, XNNPACK",
            "method": "Paired image bootstrap, 2000 samples, seed 20",
            "verdict": verdict,
        },
        Check,
    )


def float_checks() -> tuple[Check, ...]:
    device = "x86-64 CPU, XNNPACK"
    return (
        Check(
            name="max_abs", kind="bounded", value=0.00118, unit="px", limit=0.64, n=64,
            dataset=DATA, slice="boxes", verdict="pass", runtime=RUNTIME, device=device,
        ),
        Check(
            name="snr_db", kind="bounded", value=98.31, unit="dB", limit=60.0, direction="min",
            n=64, dataset=DATA, slice="scores", verdict="pass", runtime=RUNTIME, device=device,
        ),
        Check(
            name="box_agreement", kind="bounded", value=1.0, limit=1.0, direction="min", n=64,
            ties=3, dataset=DATA, verdict="pass", method="Matched within 1 px",
            runtime=RUNTIME, device=device,
        ),
        margin("map50_95_drop", 0.0, (0.0, 0.0004), "pass"),
        Check(
            name="map50", kind="margin", value=0.6052, gating=False, n=64, against="labels",
            dataset=DATA, verdict="pass", bounds=(0.571, 0.641), runtime=RUNTIME, device=device,
            method="Confidence .001, IoU .7, 300 kept, COCO maxDets 100",
        ),
        Check(
            name="golden_pixels", kind="exact", value=0.0, limit=0.0, n=8, dataset=GOLDEN,
            verdict="pass",
        ),
    )  # fmt: skip


def artifact_report(key: str, parent: str, checks: tuple[Check, ...]) -> ArtifactReport:
    precision: Precision = "float16" if key == "float16" else "float32"
    is_onnx = key == "onnx"
    verdict = artifact_verdict(checks)
    rng = np.random.default_rng(7)
    scores = tuple(
        (round(float(s), 4), round(float(np.clip(s + d, 0, 1)), 4))
        for s, d in zip(rng.beta(3, 1.4, 180), rng.normal(0, 0.004, 180), strict=True)
    )
    return ArtifactReport(
        id="onnx-float32" if is_onnx else f"tflite-{precision}",
        format="onnx" if is_onnx else "tflite",
        requested=precision,
        precision=precision,
        path="artifacts/model.onnx" if is_onnx else f"artifacts/model_{precision}.tflite",
        bytes=6_412_800 if key == "float16" else 12_816_000,
        sha256=HASHES[key],
        parent=HASHES[parent],
        step="torch.onnx"
        if is_onnx
        else ("float16 weights" if key == "float16" else "litert-torch"),
        options=(("opset", "12"),) if is_onnx else (("layout", '"NHWC"'),),
        tools=TOOLS,
        seconds=12.41,
        peak_rss_bytes=2_310_000_000,
        verdict=verdict,
        accepted=verdict != "fail",
        checks=checks,
        scores=scores,
    )


def capture(contract: Contract) -> Capture:
    return Capture(
        source_name="best.pt",
        source_format="ultralytics",
        source_sha256="19" * 32,
        importer="ultralytics",
        hub_sha256=HASHES["hub"],
        contract=contract,
        binding=msgspec.structs.replace(binding_for(contract), format="hub"),
        evidence=Evidence(
            framework="Ultralytics 8.3.141",
            family="YOLOv8n detect",
            independent=False,
            license="AGPL-3.0 License (https://ultralytics.com/license)",
            training=(("epochs", "100"), ("imgsz", "640"), ("optimizer", "auto"), ("lr0", "0.01")),
            metrics=(("metrics/mAP50(B)", 0.6112), ("metrics/mAP50-95(B)", 0.4471)),
        ),
    )


AGPL = Hazard(
    name="Licence",
    found="the checkpoint says AGPL-3.0: an app that ships it must publish its source",
    next_step="get a commercial licence, or train a model with a permissive one",
)


def gate(verdict: Verdict = "pass") -> tuple[Check, ...]:
    return (
        Check(
            name="hub_equivalence", kind="bounded", value=2.1e-6 if verdict == "pass" else 0.97,
            limit=1e-4, n=64, dataset=DATA, runtime="PyTorch 2.13.0", verdict=verdict,
            method="Relative to the largest magnitude of the output",
            hint="" if verdict == "pass" else "try the importer onnx2tf_direct",
        ),
    )  # fmt: skip


def accepted_report(contract: Contract | None = None) -> Report:
    contract = contract or detect_contract()
    return Report(
        verdict="pass",
        accepted=True,
        name=contract.name,
        version=contract.version,
        created="2026-11-21T14:30:00Z",
        capture=capture(contract),
        gate=gate(),
        artifacts=(
            artifact_report("onnx", "hub", float_checks()),
            artifact_report("float32", "hub", float_checks()),
            artifact_report("float16", "float32", float_checks()),
        ),
        datasets=(
            DatasetReport(
                role="evaluation",
                kind="YOLO txt",
                n=128,
                labelled=True,
                splits=(
                    SplitReport(split="selection", n=64, hash="77" * 32),
                    SplitReport(split="confirmation", n=64, hash="e5" * 32),
                ),
                skipped=(("broken.jpg", "truncated JPEG"), (f"{HOSTILE}.png", "zero bytes")),
            ),
        ),
        tools=(*TOOLS, ("numpy", "2.3.4"), ("torch", "2.13.0")),
        hazards=(AGPL,),
        seconds=84.3,
        peak_rss_bytes=3_120_000_000,
    )


def failing_report() -> Report:
    report = accepted_report()
    bad = (
        msgspec.structs.replace(
            float_checks()[0],
            value=41.7,
            verdict="fail",
            worst=(Worst(image="street 12.jpg", sha256="00" * 32, value=41.7),),
            hint="the boxes moved and the scores did not: look at the box branch of the head",
        ),
        *float_checks()[1:3],
        margin("map50_95_drop", 0.214, (0.163, 0.268), "fail"),
    )
    broken = msgspec.structs.replace(
        artifact_report("float32", "hub", bad),
        divergence=Divergence(
            layer="model/22/cv2.0/conv",
            explanation="SNR falls from 101 dB to 9.4 dB at this convolution; its inputs agree.",
        ),
    )
    after = artifact_report("float16", "float32", bad)
    return msgspec.structs.replace(
        report,
        verdict="fail",
        accepted=False,
        artifacts=(report.artifacts[0], broken, after),
    )


def undecided_report() -> Report:
    report = accepted_report()
    checks = (*float_checks()[:3], margin("map50_95_drop", 0.002, (-0.011, 0.016), "undecided"))
    return msgspec.structs.replace(
        report,
        verdict="undecided",
        artifacts=(*report.artifacts[:2], artifact_report("float16", "float32", checks)),
    )


def refused_at_gate() -> Report:
    return msgspec.structs.replace(
        accepted_report(), verdict="fail", accepted=False, gate=gate("fail"), artifacts=()
    )


def unlabelled_report() -> Report:
    report = accepted_report()
    data = msgspec.structs.replace(report.datasets[0], labelled=False, kind="folder of images")
    checks = float_checks()[:3]
    artifacts = tuple(msgspec.structs.replace(a, checks=checks) for a in report.artifacts)
    return msgspec.structs.replace(report, datasets=(data,), artifacts=artifacts)


def picture(width: int = 480, height: int = 320) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], axis=-1)
    return rgb.astype(np.uint8)


def detections(shift: float = 0.0) -> Detections:
    boxes = [[20, 30, 180, 260], [200, 60, 460, 310], [300, 2, 340, 40]]
    return Detections(
        boxes=np.asarray(boxes, np.float32) + np.float32(shift),
        scores=np.asarray([0.91, 0.84, 0.42], np.float32),
        classes=np.asarray([0, 2, 3], np.int64),
    )


def classification(count: int = 1000, best: int = 7) -> Classification:
    values = np.full(count, 0.1 / count, np.float32)
    values[[best, best + 1, best + 5]] = (0.62, 0.21, 0.07)
    return Classification(probabilities=values)


def comparisons(artifact: str = "tflite-float32") -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            artifact=artifact,
            check="max_abs",
            image=name,
            value=41.7,
            note="two boxes moved",
            rgb=picture(*shape),
            baseline=detections(),
            candidate=detections(41.7),
        )
        for name, shape in (
            ("street 12.jpg", (480, 320)),
            (f"{HOSTILE}.jpg", (480, 640)),
            ("yard.jpg", (640, 420)),
        )
    )


def class_comparisons(artifact: str = "tflite-float32") -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            artifact=artifact,
            check="top1_agreement",
            image=f"leaf {size}.png",
            value=0.0,
            rgb=picture(*size),
            baseline=classification(),
            candidate=classification(best=120),
        )
        for size in ((32, 32), (800, 500))
    )
