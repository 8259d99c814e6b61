"""What devices wrote is judged by what the bundle recorded, and by nothing that they claim."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from phoneproof.core.binding import Precision
from phoneproof.core.check import Check
from phoneproof.core.device_results import DeviceReport
from phoneproof.core.errors import InvalidInput
from phoneproof.pipeline.device_results import judge_device_results
from phoneproof.verify.limits import limits_for
from tests.unit import device_samples as devices
from tests.unit.device_samples import Document, Shipped, accelerator, ship, write


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    return ship(tmp_path_factory.mktemp("device") / "classifier")


@pytest.fixture(scope="module")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    return ship(tmp_path_factory.mktemp("device") / "detector", "detect")


def judge(shipped: Shipped, document: Document, folder: Path) -> DeviceReport:
    return judge_device_results(shipped.bundle, write(folder / "results.json", document)).report


def checks(report: DeviceReport) -> dict[str, Check]:
    return {f"{c.name} {c.slice}".strip(): c for c in report.accelerators[0].checks}


def verdicts(report: DeviceReport) -> dict[str, str]:
    return {name: check.verdict for name, check in checks(report).items()}


def test_recorded_outputs_pass(classifier: Shipped, tmp_path: Path) -> None:
    report = judge(classifier, classifier.document(), tmp_path)
    assert report.verdict == "pass"
    assert report.artifact == "coreml-float32"
    assert verdicts(report) == {
        "golden_pixels": "pass",
        "golden_outputs": "pass",
        "snr_db scores": "pass",
        "golden_results": "pass",
    }
    assert all(c.n == 8 and c.gating and c.limit is not None for c in checks(report).values())
    assert {c.runtime for c in checks(report).values()} == {"Core ML"}
    assert {c.device for c in checks(report).values()} == {"iPhone 16, CPU and Neural Engine"}


def test_boxes_are_decoded_from_whole_outputs(detector: Shipped, tmp_path: Path) -> None:
    report = judge(detector, detector.document(), tmp_path)
    assert report.verdict == "pass"
    assert "golden_results" in checks(report)


def test_a_claim_of_equality_is_not_believed(classifier: Shipped, tmp_path: Path) -> None:
    """The document says max_abs 0 in every case."""
    report = judge(classifier, classifier.document(lambda v: v[::-1]), tmp_path)
    assert report.verdict == "fail"
    found = checks(report)
    assert found["golden_outputs"].verdict == "fail"
    assert found["golden_outputs"].worst
    assert found["snr_db scores"].verdict == "fail"
    assert found["golden_results"].verdict == "fail"


@pytest.mark.parametrize("task", ["classify", "detect"])
def test_one_planted_value_is_found(
    classifier: Shipped, detector: Shipped, tmp_path: Path, task: str
) -> None:
    shipped = classifier if task == "classify" else detector
    document = shipped.document()
    output = accelerator(document)["vectors"][3]["outputs"][-1]
    values = np.frombuffer(base64.b64decode(output["values"]), "<f4").copy()
    values[0] += 0.3
    output["values"] = base64.b64encode(values.tobytes()).decode()
    report = judge(shipped, document, tmp_path)
    assert report.verdict == "fail"
    case = accelerator(document)["vectors"][3]["case"]
    picture = next(c.file for c in shipped.golden.cases if c.id == case)
    assert [w.image for w in checks(report)["golden_outputs"].worst] == [picture]


@pytest.mark.parametrize(
    ("precision", "noise", "verdict"),
    [
        ("float32", 1e-5, "pass"),
        ("float32", 4e-3, "fail"),
        ("float16", 4e-4, "pass"),
        ("float16", 4e-2, "fail"),
        ("palette4", 4e-4, "pass"),
        ("palette4", 4e-2, "fail"),
        ("static_wi8_ai8", 4e-4, "pass"),
        ("static_wi8_ai8", 4e-2, "fail"),
    ],
)
@pytest.mark.parametrize("layers", ["all", "some"])
def test_limits_are_those_of_the_precision(
    tmp_path: Path, precision: Precision, noise: float, verdict: str, layers: str
) -> None:
    """Of what was asked for, where some layers are kept wide."""
    read_back: Precision = precision if layers == "all" else "mixed"
    shipped = ship(tmp_path / "bundle", precision=read_back, requested=precision)
    rng = np.random.default_rng(5)
    document = shipped.document(lambda v: v + rng.normal(0, noise, v.shape))
    assert judge(shipped, document, tmp_path).verdict == verdict


@pytest.mark.parametrize(
    ("asked", "noise", "verdict"),
    [(30.0, 4e-3, "pass"), (None, 4e-3, "fail"), (90.0, 1e-4, "pass"), (30.0, 4e-2, "fail")],
)
def test_what_a_build_asked_less_of_holds_and_what_it_asked_more_of_does_not(
    tmp_path: Path, asked: float | None, noise: float, verdict: str
) -> None:
    """Against 4 probabilities about .25: .004 leaves some 36 dB, .0001 about 68."""
    limits = msgspec.structs.replace(limits_for("float16"), snr_db=asked)
    shipped = ship(tmp_path / "bundle", precision="float16", limits=limits)
    rng = np.random.default_rng(5)
    document = shipped.document(lambda v: v + rng.normal(0, noise, v.shape))
    assert judge(shipped, document, tmp_path).verdict == verdict


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_no_numbers_fail(
    classifier: Shipped, tmp_path: Path, value: float
) -> None:
    report = judge(classifier, classifier.document(lambda v: v * value), tmp_path)
    assert report.verdict == "fail"
    assert checks(report)["golden_outputs"].value is None


def test_cases_that_are_left_out_fail(classifier: Shipped, tmp_path: Path) -> None:
    document = classifier.document()
    del accelerator(document)["vectors"][2]
    report = judge(classifier, document, tmp_path)
    assert report.verdict == "fail"
    assert "1 golden cases were not recorded" in checks(report)["golden_outputs"].hint


def test_nothing_recorded_fails(classifier: Shipped, tmp_path: Path) -> None:
    report = judge(classifier, classifier.document(vectors=[]), tmp_path)
    assert report.verdict == "fail"


def test_another_input_is_named(classifier: Shipped, tmp_path: Path) -> None:
    document = classifier.document()
    accelerator(document)["vectors"][0]["input_sha256"] = "0" * 64
    report = judge(classifier, document, tmp_path)
    assert report.verdict == "fail"
    assert verdicts(report)["golden_pixels"] == "fail"
    assert accelerator(document)["vectors"][0]["case"] in checks(report)["golden_pixels"].hint


def test_pictures_fed_as_pictures_have_no_input_check(classifier: Shipped, tmp_path: Path) -> None:
    document = classifier.document()
    for vector in accelerator(document)["vectors"]:
        vector["input_sha256"] = None
    report = judge(classifier, document, tmp_path)
    assert report.verdict == "pass"
    assert "golden_pixels" not in checks(report)


def test_what_the_apps_own_decode_says_counts_too(detector: Shipped, tmp_path: Path) -> None:
    document = detector.document()
    for vector in accelerator(document)["vectors"]:
        case = next(c for c in detector.golden.cases if c.id == vector["case"])
        vector["boxes"] = msgspec.to_builtins(case.expected.artifacts[0].boxes)
    same = judge(detector, document, tmp_path)
    assert same.verdict == "pass"
    filled = next(v for v in accelerator(document)["vectors"] if v["boxes"])
    filled["boxes"][0]["label"] = 1 - min(1, filled["boxes"][0]["label"])
    other = judge(detector, document, tmp_path)
    assert verdicts(other)["golden_outputs"] == "pass"
    assert verdicts(other)["golden_results"] == "fail"


def test_classes_of_the_app_are_compared(classifier: Shipped, tmp_path: Path) -> None:
    document = classifier.document()
    for vector in accelerator(document)["vectors"]:
        case = next(c for c in classifier.golden.cases if c.id == vector["case"])
        vector["classes"] = msgspec.to_builtins(case.expected.artifacts[0].classes)
    assert judge(classifier, document, tmp_path).verdict == "pass"
    accelerator(document)["vectors"][0]["classes"] = [{"label": 10**9, "probability": 1.0}]
    report = judge(classifier, document, tmp_path)
    assert verdicts(report)["golden_results"] == "fail"


@pytest.mark.parametrize(
    ("state", "verdict", "own"),
    [("unavailable", "undecided", None), ("failed", "fail", "fail")],
)
def test_what_did_not_run(
    classifier: Shipped, tmp_path: Path, state: str, verdict: str, own: str | None
) -> None:
    document = classifier.document(state=state, reason="no such unit", vectors=[])
    report = judge(classifier, document, tmp_path)
    assert (report.verdict, report.accelerators[0].verdict) == (verdict, own)
    document["accelerators"].append(accelerator(classifier.document()))
    both = judge(classifier, document, tmp_path)
    assert both.verdict == ("pass" if state == "unavailable" else "fail")


def remove(document: Document) -> None:
    del document["device"]


def another_contract(document: Document) -> None:
    document["contract"] = "1" * 64


def other_vectors(document: Document) -> None:
    document["golden"] = "1" * 64


def another_artifact(document: Document) -> None:
    document["artifact"] = "1" * 64


def older(document: Document) -> None:
    document["schema"] = "phoneproof.device-results/0"


def newer(document: Document) -> None:
    document["schema"] = "phoneproof.device-results/2"


def foreign(document: Document) -> None:
    document["schema"] = "phoneproof.report/1"


def unknown_field(document: Document) -> None:
    document["verdict"] = "pass"


def no_number(document: Document) -> None:
    accelerator(document)["latency"]["p50_ms"] = float("nan")


def endless(document: Document) -> None:
    accelerator(document)["latency"]["p95_ms"] = float("inf")


def negative(document: Document) -> None:
    accelerator(document)["latency"]["first_ms"] = -1.0


def swapped(document: Document) -> None:
    accelerator(document)["latency"]["p95_ms"] = 0.5


def unknown_case(document: Document) -> None:
    accelerator(document)["vectors"][0]["case"] = "../../etc/passwd"


def twice(document: Document) -> None:
    vectors = accelerator(document)["vectors"]
    vectors.append(vectors[0])


def short_values(document: Document) -> None:
    accelerator(document)["vectors"][0]["outputs"][0]["values"] = "AAAA"


def no_base64(document: Document) -> None:
    accelerator(document)["vectors"][0]["outputs"][0]["values"] = "not base64!"


def another_step(document: Document) -> None:
    accelerator(document)["vectors"][0]["outputs"][0]["every"] = 3


def other_outputs(document: Document) -> None:
    accelerator(document)["vectors"][0]["outputs"][0]["name"] = "logits"


def terminal_codes(document: Document) -> None:
    document["device"]["name"] = "\x1b[2Jphone"


def last_line(document: Document) -> None:
    accelerator(document)["name"] = "CPU\n"


def no_accelerator(document: Document) -> None:
    document["accelerators"] = []


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (remove, "device"),
        (another_contract, "another contract"),
        (other_vectors, "other golden vectors"),
        (another_artifact, "not in plants 1.2.0"),
        (older, "run the kit of this bundle again"),
        (newer, "install a newer phoneproof"),
        (foreign, "name the device-results.json"),
        (unknown_field, "verdict"),
        (no_number, "cannot be read"),
        (endless, "cannot be read"),
        (negative, "first_ms must be a number of zero or more"),
        (swapped, "p95_ms is below p50_ms"),
        (unknown_case, "does not have"),
        (twice, "twice"),
        (short_values, "bytes instead of"),
        (no_base64, "not base64"),
        (another_step, "every 3"),
        (other_outputs, "logits"),
        (no_accelerator, "length"),
        (terminal_codes, "device.name"),
        (last_line, "accelerators[0].name"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_unusable_documents_are_refused(
    classifier: Shipped, tmp_path: Path, spoil: Callable[[Document], None], says: str
) -> None:
    document = classifier.document()
    spoil(document)
    with pytest.raises(InvalidInput) as caught:
        judge(classifier, document, tmp_path)
    assert says in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_no_documents(classifier: Shipped, tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(data)
    with pytest.raises(InvalidInput):
        judge_device_results(classifier.bundle, path)


def test_a_truncated_document(classifier: Shipped, tmp_path: Path) -> None:
    path = write(tmp_path / "results.json", classifier.document())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInput, match=r"results\.json cannot be read"):
        judge_device_results(classifier.bundle, path)


def test_numbers_beyond_all_bounds(classifier: Shipped, tmp_path: Path) -> None:
    path = write(tmp_path / "results.json", classifier.document())
    path.write_bytes(path.read_bytes().replace(b'"p95_ms": 1.5', b'"p95_ms": 1e999'))
    with pytest.raises(InvalidInput):
        judge_device_results(classifier.bundle, path)


@pytest.mark.parametrize("name", ["missing.json", "."])
def test_no_such_file(classifier: Shipped, tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"device-results\.json"):
        judge_device_results(classifier.bundle, tmp_path / name)


def test_samples_of_large_outputs_are_enough(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every third value only: distances are seen, boxes are decoded where all is there."""
    monkeypatch.setattr("phoneproof.package.golden_tensors.SAMPLE", 6)
    shipped = devices.ship(tmp_path / "bundle", "detect")
    steps = {
        one.every for c in shipped.golden.cases for a in c.expected.artifacts for one in a.outputs
    }
    assert steps == {1, 3}
    report = judge(shipped, shipped.document(), tmp_path)
    assert report.verdict == "pass"
    assert checks(report)["golden_outputs"].n == 8
    assert checks(report)["golden_results"].n == 1
