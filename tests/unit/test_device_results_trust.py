"""What a bundle or a document says of itself opens no file and loosens no limit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Format
from phoneproof.core.device_results import DeviceReport
from phoneproof.core.errors import InvalidInput
from phoneproof.core.json_format import pretty_bytes
from phoneproof.package.bundle import GOLDEN_INDEX, MANIFEST, REPORT, Bundle, read_bundle
from phoneproof.package.bundle_rewrite import rewrite_bundle
from phoneproof.pipeline.device_results import add_to_bundle, judge_device_results
from tests.unit.device_samples import Document, Shipped, accelerator, ship, write

EVIL = "../../../evil/x"


@pytest.fixture
def shipped(tmp_path: Path) -> Shipped:
    """Deep enough that what escapes is still seen."""
    return ship(tmp_path / "one" / "two" / "plants")


def judge(shipped: Shipped, document: Document, folder: Path) -> DeviceReport:
    return judge_device_results(shipped.bundle, write(folder / "results.json", document)).report


def hostile(bundle: Bundle) -> Bundle:
    """The bundle whose one artifact is called so that its results would lie elsewhere."""
    artifact = msgspec.structs.replace(bundle.manifest.artifacts[0], id=EVIL)
    reported = msgspec.structs.replace(bundle.report.artifacts[0], id=EVIL)
    return replace(
        bundle,
        manifest=msgspec.structs.replace(bundle.manifest, artifacts=(artifact,)),
        report=msgspec.structs.replace(bundle.report, artifacts=(reported,)),
    )


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_bundle_of_a_hostile_id_is_not_read(shipped: Shipped) -> None:
    """All its hashes fit."""
    bad = hostile(shipped.bundle)
    report = shipped.folder / REPORT
    report.write_bytes(pretty_bytes(bad.report))
    files = tuple(
        msgspec.structs.replace(
            one, bytes=report.stat().st_size, sha256=file_sha256(report)
        ) if one.path == REPORT else one
        for one in bad.manifest.files
    )  # fmt: skip
    manifest = msgspec.structs.replace(bad.manifest, files=files)
    (shipped.folder / MANIFEST).write_bytes(pretty_bytes(manifest))
    with pytest.raises(InvalidInput, match="no plain name"):
        read_bundle(shipped.folder)


@pytest.mark.parametrize("number", range(4), ids=["picture", "pixels", "input", "output"])
def test_a_golden_index_names_files_of_its_own_folder(shipped: Shipped, number: int) -> None:
    """All the hashes fit, and what is named is there."""
    bundle, index = shipped.bundle, shipped.golden
    text = pretty_bytes(index).decode()
    named = json.dumps(index.files[-4:][number])
    assert text.count(named) == 1
    for name in ("../report.json", "../../plants-model", str(shipped.folder / REPORT), "a\\b", ""):
        bad = text.replace(named, json.dumps(name))
        rewrite_bundle(bundle, {GOLDEN_INDEX: bad.encode()})
        with pytest.raises(InvalidInput, match="outside its bundle"):
            read_bundle(shipped.folder)
    rewrite_bundle(bundle, {GOLDEN_INDEX: text.replace(named, '"a/b.bin"').encode()})
    read_bundle(shipped.folder)


def test_ids_are_plain_names(shipped: Shipped) -> None:
    path = shipped.folder / MANIFEST
    whole = shipped.bundle.manifest
    for name in (EVIL, "a/b", "a\\b", "", ".", "..", "x\n", "\x1b[2J", "\xe4", "x" * 101):
        artifact = msgspec.structs.replace(whole.artifacts[0], id=name)
        path.write_bytes(pretty_bytes(msgspec.structs.replace(whole, artifacts=(artifact,))))
        with pytest.raises(InvalidInput, match="no plain name") as caught:
            read_bundle(shipped.folder)
        assert "\x1b" not in str(caught.value)


def test_a_hostile_id_writes_nothing(shipped: Shipped, tmp_path: Path) -> None:
    """Also where nobody looked at the id before."""
    bad = hostile(shipped.bundle)
    path = write(tmp_path / "results.json", shipped.document(vectors=[]))
    judged = judge_device_results(bad, path)
    assert EVIL in judged.report.file
    before = everything(tmp_path)
    with pytest.raises(InvalidInput, match="outside its bundle"):
        add_to_bundle(bad, [judged])
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["../x", "/tmp/x", "a/../../x", "a\\b", "", ".", "./report.json"])
def test_rewriting_stays_inside(shipped: Shipped, tmp_path: Path, name: str) -> None:
    before = everything(tmp_path)
    with pytest.raises(InvalidInput, match="outside its bundle"):
        rewrite_bundle(shipped.bundle, {name: b"evil"})
    assert everything(tmp_path) == before
    rewrite_bundle(shipped.bundle, {"device-results/x.json": b"good"})
    assert (shipped.folder / "device-results" / "x.json").read_bytes() == b"good"


@pytest.mark.parametrize("float_pixels", [False, True])
@pytest.mark.parametrize("sha256", ["0" * 64, None])
def test_inputs_are_claimed_where_they_are_exact(
    tmp_path: Path, float_pixels: bool, sha256: str | None
) -> None:
    shipped = ship(tmp_path / "bundle", float_pixels=float_pixels)
    document = shipped.document()
    if sha256 is not None:
        accelerator(document)["vectors"][0]["input_sha256"] = sha256
    report = judge(shipped, document, tmp_path)
    found = [
        (c.verdict, c.value, c.n)
        for c in report.accelerators[0].checks
        if c.name == "golden_pixels"
    ]
    if float_pixels:
        assert (report.verdict, found) == ("pass", [])
    elif sha256 is None:
        assert found == [("pass", 0.0, 8)]
    else:
        assert found == [("fail", 1.0, 8)]


def test_only_inputs_that_were_compared_are_counted(shipped: Shipped, tmp_path: Path) -> None:
    document = shipped.document()
    for vector in accelerator(document)["vectors"][:3]:
        vector["input_sha256"] = None
    checks = judge(shipped, document, tmp_path).accelerators[0].checks
    assert [c.n for c in checks if c.name == "golden_pixels"] == [5]


@pytest.mark.parametrize(
    ("format_", "said", "verdict"),
    [
        ("tflite", "float16", "pass"),
        ("tflite", "float32", "fail"),
        ("tflite", None, "fail"),
        ("coreml", "float16", "fail"),
        ("coreai", "float16", "fail"),
        ("onnx", "float16", "fail"),
    ],
)
def test_computing_in_half_is_for_tflite(
    tmp_path: Path, format_: Format, said: str | None, verdict: str
) -> None:
    """Off by 0.3 %: 50 dB, between what the two precisions are held to."""
    shipped = ship(tmp_path / "bundle", format_=format_)
    document = shipped.document(lambda v: v * np.float32(1.003), precision=said)
    report = judge(shipped, document, tmp_path)
    assert report.verdict == verdict
    methods = [c.method for c in report.accelerators[0].checks if c.name == "snr_db"]
    assert ["float16" in method for method in methods] == [verdict == "pass"]
