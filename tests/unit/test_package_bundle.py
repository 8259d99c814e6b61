from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from phoneproof.core.artifact import Artifact, Lineage, file_sha256, tree_bytes, tree_sha256
from phoneproof.core.errors import InvalidInput, StorageError, VerificationFailed
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.report import ArtifactReport, Report
from phoneproof.package import bundle as bundle_module
from phoneproof.package.bundle import BundleContents, read_bundle, require_destination, write_bundle
from tests.unit import report_samples as samples

NAME = "meter-detector-1.2.0"


def artifact_of(path: Path, report: ArtifactReport) -> Artifact:
    contract = samples.detect_contract()
    sha256 = tree_sha256(path)
    binding = samples.binding_for(contract, report.precision)
    return Artifact(
        id=report.id,
        format=report.format,
        requested=report.requested,
        precision=report.precision,
        path=report.path,
        bytes=tree_bytes(path),
        sha256=sha256,
        binding=msgspec.structs.replace(binding, artifact=sha256, format=report.format),
        lineage=Lineage(parent=report.parent, step=report.step),
    )


def contents_in(folder: Path, *, with_folder_artifact: bool = False) -> BundleContents:
    report = samples.accepted_report()
    pairs = []
    for number, entry in enumerate(report.artifacts):
        path = folder / f"artifact{number}"
        if with_folder_artifact and number == 0:
            (path / "variables").mkdir(parents=True)
            (path / "saved_model.pb").write_bytes(b"graph")
            (path / "variables" / "data").write_bytes(b"weights")
        else:
            path.write_bytes(f"weights of {entry.id}".encode() * 40)
        pairs.append((artifact_of(path, entry), path))
    golden, baseline = folder / "golden", folder / "baseline"
    golden.mkdir()
    index = GoldenIndex(contract=report.capture.contract.sha256, artifacts=(), cases=())
    (golden / "index.json").write_bytes(pretty_bytes(index))
    baseline.mkdir()
    (baseline / "outputs.bin").write_bytes(bytes(range(256)))
    return BundleContents(
        contract=report.capture.contract,
        report=with_hashes(report, [a for a, _ in pairs]),
        artifacts=tuple(pairs),
        golden=golden,
        baseline=baseline,
        comparisons=samples.comparisons(),
    )


def with_hashes(report: Report, artifacts: list[Artifact]) -> Report:
    new = {old.sha256: a.sha256 for old, a in zip(report.artifacts, artifacts, strict=True)}
    changed = tuple(
        msgspec.structs.replace(
            old, sha256=a.sha256, bytes=a.bytes, parent=new.get(old.parent, old.parent)
        )
        for old, a in zip(report.artifacts, artifacts, strict=True)
    )
    return msgspec.structs.replace(report, artifacts=changed)


@pytest.fixture
def contents(tmp_path: Path) -> BundleContents:
    folder = tmp_path / "cache"
    folder.mkdir()
    return contents_in(folder)


@pytest.fixture
def written(tmp_path: Path, contents: BundleContents) -> Path:
    destination = tmp_path / "dist" / NAME
    write_bundle(destination, contents)
    return destination


def all_bytes(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_layout_and_round_trip(written: Path, contents: BundleContents) -> None:
    assert sorted(all_bytes(written)) == [
        "MODEL_CARD.md",
        "artifacts/model.onnx",
        "artifacts/model.onnx.binding.json",
        "artifacts/model_float16.tflite",
        "artifacts/model_float16.tflite.binding.json",
        "artifacts/model_float32.tflite",
        "artifacts/model_float32.tflite.binding.json",
        "baseline/outputs.bin",
        "contract.json",
        "golden/index.json",
        "manifest.json",
        "report.html",
        "report.json",
    ]
    bundle = read_bundle(written)
    assert bundle.contract == contents.contract
    assert bundle.report == contents.report
    assert bundle.manifest.artifacts == tuple(a for a, _ in contents.artifacts)
    for artifact in bundle.manifest.artifacts:
        assert tree_sha256(bundle.path_of(artifact)) == artifact.sha256
    assert list(written.parent.iterdir()) == [written]


def test_same_contents_give_the_same_bytes(tmp_path: Path, contents: BundleContents) -> None:
    for name in ("one", "two"):
        write_bundle(tmp_path / name / NAME, contents)
    assert all_bytes(tmp_path / "one") == all_bytes(tmp_path / "two")


def test_a_folder_artifact_is_copied_and_checked(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    contents = contents_in(tmp_path / "cache", with_folder_artifact=True)
    write_bundle(tmp_path / NAME, contents)
    read_bundle(tmp_path / NAME)
    (tmp_path / NAME / "artifacts/model.onnx/variables/data").write_bytes(b"weightz")
    with pytest.raises(VerificationFailed, match=r"altered: artifacts/model\.onnx/variables"):
        read_bundle(tmp_path / NAME)


@pytest.mark.parametrize(
    "name",
    [
        "artifacts/model_float32.tflite",
        "artifacts/model_float32.tflite.binding.json",
        "contract.json",
        "golden/index.json",
        "baseline/outputs.bin",
        "report.json",
        "report.html",
        "MODEL_CARD.md",
    ],
)
def test_one_altered_byte_is_named(written: Path, name: str) -> None:
    path = written / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(VerificationFailed, match=f"altered: {name}") as caught:
        read_bundle(written)
    assert caught.value.exit_code == 7


def test_missing_and_extra_files_are_named_together(written: Path) -> None:
    (written / "baseline/outputs.bin").unlink()
    (written / "artifacts/other.tflite").write_bytes(b"x")
    with pytest.raises(VerificationFailed) as caught:
        read_bundle(written)
    assert "missing: baseline/outputs.bin" in caught.value.found
    assert "extra: artifacts/other.tflite" in caught.value.found


def test_a_link_in_place_of_a_file_is_refused(written: Path, tmp_path: Path) -> None:
    target = written / "artifacts/model.onnx"
    moved = tmp_path / "elsewhere"
    target.rename(moved)
    target.symlink_to(moved)
    with pytest.raises(VerificationFailed, match=r"altered: artifacts/model\.onnx"):
        read_bundle(written)


def rewrite(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


def test_a_newer_schema_is_refused(written: Path) -> None:
    rewrite(written / "manifest.json", lambda m: m.update(schema="phoneproof.manifest/2", added=1))
    with pytest.raises(InvalidInput, match=r"phoneproof\.manifest/2") as caught:
        read_bundle(written)
    assert "newer" in caught.value.next_step


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a\\b", "", ".", "./a", "a//b"])
def test_a_manifest_that_points_outside_is_refused(written: Path, path: str) -> None:
    def change(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, list)
        files[0]["path"] = path

    rewrite(written / "manifest.json", change)
    with pytest.raises(InvalidInput, match="outside its bundle"):
        read_bundle(written)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": 3}', "\x00\xff"])
def test_a_damaged_manifest_is_invalid_input(written: Path, text: str) -> None:
    (written / "manifest.json").write_text(text)
    with pytest.raises(InvalidInput, match=r"manifest\.json"):
        read_bundle(written)


def test_a_folder_without_manifest_is_not_a_bundle(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not a bundle"):
        read_bundle(tmp_path)
    with pytest.raises(InvalidInput, match="no such folder"):
        read_bundle(tmp_path / "nothing")


def test_a_report_of_other_artifacts_is_refused(written: Path) -> None:
    """A consistent manifest does not help: the report speaks of other files."""
    report = written / "report.json"
    old = "artifacts/model.onnx"
    sha256 = file_sha256(written / old)
    report.write_text(report.read_text().replace(sha256, "0" * 64))

    def change(manifest: dict[str, object]) -> None:
        files = manifest["files"]
        assert isinstance(files, list)
        for file in files:
            if file["path"] == "report.json":
                file.update(sha256=file_sha256(report), bytes=report.stat().st_size)

    rewrite(written / "manifest.json", change)
    with pytest.raises(VerificationFailed, match=r"does not speak of this onnx-float32"):
        read_bundle(written)


def test_an_artifact_changed_since_its_checks_is_refused(
    tmp_path: Path, contents: BundleContents
) -> None:
    contents.artifacts[1][1].write_bytes(b"another model")
    with pytest.raises(VerificationFailed, match="tflite-float32 is not the file"):
        write_bundle(tmp_path / NAME, contents)
    assert not [p for p in tmp_path.iterdir() if NAME in p.name]


def test_an_older_bundle_is_replaced(written: Path, contents: BundleContents) -> None:
    (written / "artifacts/stale.tflite").write_bytes(b"x")
    write_bundle(written, contents)
    read_bundle(written)
    assert list(written.parent.iterdir()) == [written]


def test_a_full_disk_leaves_the_older_bundle(
    written: Path, contents: BundleContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_bytes(written)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StorageError, match="No space left on device") as caught:
        write_bundle(written, contents)
    assert caught.value.exit_code == 10
    assert all_bytes(written) == before
    assert list(written.parent.iterdir()) == [written]


def test_an_error_that_is_not_the_disks_keeps_its_traceback(
    tmp_path: Path, contents: BundleContents
) -> None:
    contents.artifacts[0][1].unlink()
    with pytest.raises(FileNotFoundError):
        write_bundle(tmp_path / "dist" / NAME, contents)
    assert list((tmp_path / "dist").iterdir()) == []


def test_an_interrupt_leaves_nothing(
    tmp_path: Path, contents: BundleContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_module, "model_card", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(tmp_path / "dist" / NAME, contents)
    assert list((tmp_path / "dist").iterdir()) == []


def test_a_kill_between_the_two_renames_is_undone(
    written: Path, contents: BundleContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_bytes(written)
    written.rename(written.with_name(f".{NAME}.old"))
    monkeypatch.setattr(bundle_module, "_fill", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(MemoryError):
        write_bundle(written, contents)
    assert all_bytes(written) == before


def test_a_failed_rename_puts_the_older_bundle_back(
    written: Path, contents: BundleContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_bytes(written)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name.endswith(".new"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(StorageError, match="Permission denied"):
        write_bundle(written, contents)
    assert all_bytes(written) == before


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_that_is_not_a_bundle_is_not_replaced(
    tmp_path: Path, contents: BundleContents, kind: str
) -> None:
    destination = tmp_path / "photos"
    if kind == "folder":
        destination.mkdir()
        (destination / "mine.jpg").write_bytes(b"x")
    else:
        destination.write_bytes(b"x")
    with pytest.raises(StorageError, match="not a bundle"):
        write_bundle(destination, contents)
    assert destination.exists()
    shutil.rmtree(destination) if kind == "folder" else destination.unlink()


def test_a_place_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_destination(tmp_path / "deep" / "down" / "name-1.0.0")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="a part of its path is a file"):
        require_destination(tmp_path / "file" / "name-1.0.0")
    with pytest.raises(StorageError, match="not a bundle"):
        require_destination(tmp_path / "file")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="choose a folder that you may write to"):
        require_destination(tmp_path / "name-1.0.0")


@pytest.mark.parametrize("after", [1, 2])
def test_an_interrupt_at_either_rename_keeps_a_bundle(
    written: Path, contents: BundleContents, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    rename, seen = Path.rename, []

    def interrupted(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        seen.append(path.name)
        if len(seen) == after:
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(written, contents)
    monkeypatch.undo()
    read_bundle(written)


def test_what_is_no_bundle_is_named_as_it_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    for name, expected in (
        (".", ". is not a bundle"),
        ("gone/it", "no such folder: gone/it"),
        ("file", "no such folder: file"),
    ):
        with pytest.raises(InvalidInput) as caught:
            read_bundle(Path(name))
        assert caught.value.failed == expected


@pytest.mark.parametrize("field", ["id", "path"])
def test_two_artifacts_of_one_name_are_refused_before_anything_is_written(
    tmp_path: Path, contents: BundleContents, field: str
) -> None:
    (first, source), *others = contents.artifacts
    same = {field: getattr(others[0][0], field)}
    doubled = replace(
        contents, artifacts=((msgspec.structs.replace(first, **same), source), *others)
    )
    with pytest.raises(RuntimeError, match="two artifacts of one bundle"):
        write_bundle(tmp_path / "dist" / NAME, doubled)
    assert not (tmp_path / "dist").exists()
