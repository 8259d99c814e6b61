"""Results of devices become part of the bundle, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from phoneproof.core.errors import StorageError
from phoneproof.package.bundle import read_bundle
from phoneproof.package.devices_html import BEGIN, END, replace_section
from phoneproof.package.report_html import render_report, with_devices
from phoneproof.pipeline.device_results import JudgedDocument, add_to_bundle, judge_device_results
from tests.unit import report_samples as samples
from tests.unit.device_samples import Document, Shipped, ship, write


@pytest.fixture
def shipped(tmp_path: Path) -> Shipped:
    return ship(tmp_path / "plants-1.2.0")


def judged(shipped: Shipped, document: Document) -> JudgedDocument:
    path = shipped.folder.with_name("results.json")
    return judge_device_results(shipped.bundle, write(path, document))


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_report_page_card_and_copy(shipped: Shipped) -> None:
    before = all_bytes(shipped.folder)
    one = judged(shipped, shipped.document())
    add_to_bundle(shipped.bundle, [one])
    after = all_bytes(shipped.folder)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        "report.json", "report.html", "MODEL_CARD.md", "manifest.json", one.report.file
    }  # fmt: skip
    assert after[one.report.file] == one.data
    bundle = read_bundle(shipped.folder)
    assert bundle.report.devices == (one.report,)
    page, card = after["report.html"].decode(), after["MODEL_CARD.md"].decode()
    for text in (page, card):
        assert "iPhone 16 (iPhone17,3), iOS 18.1" in text
        assert "CPU and Neural Engine" in text
    assert "passed" in card
    assert "not measured here" not in card
    assert page == render_report(bundle.report)
    assert [p.name for p in shipped.folder.parent.iterdir() if p.name.startswith(".")] == []


def test_a_document_given_twice_is_kept_once(shipped: Shipped) -> None:
    one = judged(shipped, shipped.document())
    add_to_bundle(shipped.bundle, [one, one])
    first = all_bytes(shipped.folder)
    add_to_bundle(shipped.bundle, [judged(shipped, shipped.document())])
    assert all_bytes(shipped.folder) == first
    add_to_bundle(shipped.bundle, [judged(shipped, shipped.document(lambda v: v * 2))])
    assert [d.verdict for d in shipped.bundle.report.devices] in (
        ["pass", "fail"],
        ["fail", "pass"],
    )
    assert all_bytes(shipped.folder)["report.html"].decode().count('id="devices"') == 1


def test_a_failure_is_said_with_its_reason(shipped: Shipped) -> None:
    add_to_bundle(shipped.bundle, [judged(shipped, shipped.document(lambda v: v * 2))])
    card = (shipped.folder / "MODEL_CARD.md").read_text()
    assert "failed" in card
    assert "golden_outputs" in card
    assert "<details open>" in (shipped.folder / "report.html").read_text()


def test_hostile_names_stay_text(shipped: Shipped) -> None:
    document = shipped.document(name=samples.HOSTILE)
    document["device"] |= {"name": samples.HOSTILE, "os": samples.HOSTILE}
    document["made_by"]["name"] = samples.HOSTILE
    add_to_bundle(shipped.bundle, [judged(shipped, document)])
    for name in ("report.html", "MODEL_CARD.md"):
        assert "<script>" not in (shipped.folder / name).read_text()


def test_pictures_of_a_page_stay(shipped: Shipped) -> None:
    page = render_report(samples.accepted_report(), samples.comparisons())
    report = shipped.bundle.report
    again = with_devices(page, report)
    assert again.replace(f"{BEGIN}\n\n{END}", "") == page.replace(f"{BEGIN}\n{END}", "")
    assert again.count("data:image/jpeg") == page.count("data:image/jpeg") > 0


def test_a_page_that_knew_no_devices() -> None:
    page = "<body>\n<main>\n<section>all</section>\n</main></body>"
    once = replace_section(page, "<p>one</p>")
    assert once.index("<p>one</p>") < once.index("<section>all")
    assert replace_section(once, "<p>two</p>") == once.replace("one", "two")


def test_a_full_disk_leaves_the_bundle(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    before = all_bytes(shipped.folder)
    one, bundle = judged(shipped, shipped.document()), shipped.bundle

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StorageError):
            add_to_bundle(bundle, [one])
    assert all_bytes(shipped.folder) == before
    assert sorted(p.name for p in shipped.folder.parent.iterdir() if p.name[0] == ".") == []


def test_disks_without_links_copy(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", refuse)
    add_to_bundle(shipped.bundle, [judged(shipped, shipped.document())])
    assert len(shipped.bundle.report.devices) == 1


def test_a_bundle_in_the_current_folder(shipped: Shipped, monkeypatch: pytest.MonkeyPatch) -> None:
    one = judged(shipped, shipped.document())
    monkeypatch.chdir(shipped.folder)
    add_to_bundle(read_bundle(Path()), [one])
    assert len(shipped.bundle.report.devices) == 1


def test_times_and_places_are_shown(shipped: Shipped) -> None:
    document = shipped.document(
        placed=[["npu", 312], ["cpu", 28]],
        sustained={"seconds": 60, "n": 9000, "first_p50_ms": 1.2, "last_p50_ms": 2.5,
                   "thermal": "serious"},
    )  # fmt: skip
    add_to_bundle(shipped.bundle, [judged(shipped, document)])
    page = (shipped.folder / "report.html").read_text()
    assert "312 on NPU and 28 on CPU" in page
    assert "1.2 ms to 2.5 ms" in page
    read = json.loads((shipped.folder / "report.json").read_bytes())
    assert read["devices"][0]["accelerators"][0]["latency"]["p95_ms"] == 1.5
