"""The bundle: the folder that ships. Written whole or not at all; read with every hash checked."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

import msgspec

from phoneproof.core.artifact import Artifact, file_sha256, tree_bytes, tree_sha256
from phoneproof.core.contract import Contract
from phoneproof.core.engine import AndroidEngine
from phoneproof.core.errors import InvalidInput, StorageError, VerificationFailed
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.manifest import BundleFile, Manifest
from phoneproof.core.report import Report
from phoneproof.package.android_app import write_android_app
from phoneproof.package.app_parts import BINDING_SUFFIX
from phoneproof.package.apple_kit import write_apple_kit
from phoneproof.package.bundle_place import replacing_bundle, storage_error
from phoneproof.package.contact_sheet import Tile
from phoneproof.package.ios_app import write_ios_app
from phoneproof.package.model_card import model_card
from phoneproof.package.report_html import Comparison, render_report

T = TypeVar("T", bound=msgspec.Struct)

MANIFEST = "manifest.json"
CONTRACT = "contract.json"
REPORT = "report.json"
REPORT_PAGE = "report.html"
MODEL_CARD = "MODEL_CARD.md"
GOLDEN = "golden"
GOLDEN_INDEX: Final = f"{GOLDEN}/index.json"
BASELINE = "baseline"

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_DISTRUST: Final = "do not use this bundle; get it again from whoever built it"


@dataclass(frozen=True, kw_only=True, slots=True)
class BundleContents:
    """What goes into a bundle.

    artifacts: each with the file or folder where it lies now; `Artifact.path` says where it goes
    (``artifacts/...``). golden: a folder made by `make_golden`. baseline: the folder of stored
    baseline predictions. comparisons: the worst images, tiles: the contact sheet of
    production images; both are drawn into the page. engine: of the Android app; null: no app.
    """

    contract: Contract
    report: Report
    artifacts: tuple[tuple[Artifact, Path], ...]
    golden: Path | None = None
    baseline: Path | None = None
    comparisons: tuple[Comparison, ...] = ()
    tiles: tuple[Tile, ...] = ()
    engine: AndroidEngine | None = None


def write_bundle(destination: Path, contents: BundleContents) -> Manifest:
    """Write the bundle beside `destination`, then move it into place.

    An older bundle stays until the new one is complete. Nothing is left behind on failure.

    Raises:
        VerificationFailed: an artifact on disk is not the one that was checked.
        StorageError: the disk is full or the folder cannot be written, or `destination` is a
            folder that is not a bundle (it is not touched).
        RuntimeError: two artifacts have one id or one path (a bug of the caller): the later file
            would silently replace the earlier.
    """
    _require_distinct(contents.artifacts)
    with replacing_bundle(destination) as fresh:
        _refuse_foreign(destination)
        return _fill(fresh, contents)


def _require_distinct(artifacts: tuple[tuple[Artifact, Path], ...]) -> None:
    ids = Counter(artifact.id for artifact, _ in artifacts)
    paths = Counter(artifact.path for artifact, _ in artifacts)
    twice = [name for name, count in (*ids.items(), *paths.items()) if count > 1]
    if twice:
        raise RuntimeError(f"two artifacts of one bundle are both called {', '.join(twice)}")


def require_destination(destination: Path) -> None:
    """Refuse at the beginning of a build what `write_bundle` would refuse at its end.

    Raises:
        StorageError: `destination` is something else than a bundle, or its folder is a file or
            may not be written.
    """
    _refuse_foreign(destination)
    place = next(folder for folder in destination.absolute().parents if folder.exists())
    if not place.is_dir():
        raise storage_error(destination, NotADirectoryError(errno.ENOTDIR, ""))
    if not os.access(place, os.W_OK | os.X_OK):
        raise storage_error(destination, PermissionError(errno.EACCES, ""))


def _fill(folder: Path, contents: BundleContents) -> Manifest:
    contract_bytes = pretty_bytes(contents.contract)
    (folder / CONTRACT).write_bytes(contract_bytes)
    (folder / REPORT).write_bytes(pretty_bytes(contents.report))
    page = render_report(contents.report, contents.comparisons, contents.tiles)
    (folder / REPORT_PAGE).write_bytes(page.encode())
    (folder / MODEL_CARD).write_bytes(model_card(contents.report).encode())
    for artifact, source in contents.artifacts:
        _copy_artifact(folder, artifact, source)
    if contents.golden is not None:
        _copy(contents.golden, folder / GOLDEN)
    if contents.baseline is not None:
        _copy(contents.baseline, folder / BASELINE)
    artifacts = [artifact for artifact, _ in contents.artifacts]
    write_apple_kit(folder, contents.contract, artifacts)
    write_ios_app(folder, contents.contract, artifacts)
    if contents.engine is not None:
        write_android_app(folder, contents.contract, artifacts, contents.engine)
    manifest = Manifest(
        name=contents.contract.name,
        version=contents.contract.version,
        contract=contents.contract.sha256,
        artifacts=tuple(artifact for artifact, _ in contents.artifacts),
        files=listed_files(folder),
        golden=GOLDEN_INDEX if contents.golden is not None else None,
        baseline=BASELINE if contents.baseline is not None else None,
    )
    (folder / MANIFEST).write_bytes(pretty_bytes(manifest))
    return manifest


def _copy_artifact(folder: Path, artifact: Artifact, source: Path) -> None:
    target = folder / artifact.path
    _copy(source, target)
    if tree_sha256(target) != artifact.sha256 or tree_bytes(target) != artifact.bytes:
        raise VerificationFailed(
            f"{artifact.id} is not the file that was checked",
            found=f"sha256 {tree_sha256(target)}, expected {artifact.sha256}",
            next_step="run the build again; nothing else may write into its cache meanwhile",
        )
    beside = target.with_name(target.name + BINDING_SUFFIX)
    beside.write_bytes(pretty_bytes(artifact.binding))


def _copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder's files; shutil.copytree would hide why the disk refused."""
    if source.is_dir():
        for path in _walk(source):
            _copy(path, target / path.relative_to(source))
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def listed_files(folder: Path) -> tuple[BundleFile, ...]:
    """Every file of a bundle but the manifest, sorted by path."""
    return tuple(
        BundleFile(
            path=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=file_sha256(path),
        )
        for path in sorted(_walk(folder), key=lambda p: p.relative_to(folder).as_posix())
        if path != folder / MANIFEST
    )


def _walk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


def _refuse_foreign(destination: Path) -> None:
    if not destination.exists():
        return
    is_folder = destination.is_dir()
    if is_folder and ((destination / MANIFEST).is_file() or not any(destination.iterdir())):
        return
    raise StorageError(
        f"{destination.name} exists and is not a bundle",
        found="a folder without manifest.json" if is_folder else "a file",
        next_step="choose another output folder, or move this one away",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A bundle whose every hash was checked."""

    folder: Path
    manifest: Manifest
    contract: Contract
    report: Report

    def path_of(self, artifact: Artifact) -> Path:
        """Where the artifact's file or folder lies."""
        return self.folder / artifact.path


class _Head(msgspec.Struct, frozen=True):
    """The one field that every version of a file has."""

    schema: str


def read_bundle(path: Path) -> Bundle:
    """Read a bundle and check every file's hash.

    The manifest itself is not signed: a bundle vouches for its files' agreement with each other,
    not for who made it.

    Raises:
        InvalidInput: not a bundle, a newer schema, a manifest or golden index that points outside
            its folder, or a manifest whose artifacts' ids are no plain names.
        VerificationFailed: a file is missing, altered or extra; all of them are named.
    """
    manifest = _read(path, MANIFEST, Manifest)
    _refuse_escapes(manifest)
    _check_files(path, manifest)
    if (path / GOLDEN_INDEX).is_file():
        for name in _read(path, GOLDEN_INDEX, GoldenIndex).files:
            require_inside(name)
    contract = _read(path, CONTRACT, Contract)
    report = _read(path, REPORT, Report)
    _check_agreement(path, manifest, contract, report)
    return Bundle(folder=path, manifest=manifest, contract=contract, report=report)


def _read(folder: Path, name: str, kind: type[T]) -> T:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        if not folder.is_dir():
            raise InvalidInput(
                f"no such folder: {folder}",
                found="a file" if folder.exists() else "",
                next_step="name the folder that a build wrote: <name>-<version>",
            ) from error
        raise InvalidInput(
            f"{folder} is not a bundle",
            found=f"{name} cannot be read",
            next_step="name the folder that a build wrote: <name>-<version>",
        ) from error
    expected = _schema_of(kind)
    found = parse(data, _Head, what=name).schema
    if found != expected:
        raise InvalidInput(
            f"{name} has a schema that this version does not read",
            found=f"{found}; known: {expected}",
            next_step="install the version of phoneproof that wrote the bundle, or a newer one",
        )
    return parse(data, kind, what=name)


def _schema_of(kind: type[msgspec.Struct]) -> str:
    return str(next(f.default for f in msgspec.structs.fields(kind) if f.name == "schema"))


def _refuse_escapes(manifest: Manifest) -> None:
    for path in [file.path for file in manifest.files] + [a.path for a in manifest.artifacts]:
        require_inside(path)
    for artifact in manifest.artifacts:
        # Files are named by it: of the golden vectors, the kit, the results of devices.
        if not _ID.fullmatch(artifact.id) or artifact.id in (".", ".."):
            raise InvalidInput(
                "the manifest has an artifact whose id is no plain name",
                found=repr(artifact.id),
                next_step=_DISTRUST,
            )


def require_inside(path: str) -> None:
    """Refuse a path, relative to a bundle or a folder of it, that is not its file's one plain name.

    Two names of one file are refused, too: ``./report.json`` would be written through a link.

    Raises:
        InvalidInput: it is absolute, empty, leads outside, or is not in its shortest form.
    """
    pure = PurePosixPath(path)
    outside = pure.is_absolute() or ".." in pure.parts or "\\" in path or not pure.parts
    if outside or pure.as_posix() != path:
        raise InvalidInput(
            "a file outside its bundle is named", found=repr(path), next_step=_DISTRUST
        )


def _check_files(folder: Path, manifest: Manifest) -> None:
    listed = {file.path: file for file in manifest.files}
    present = {p.relative_to(folder).as_posix(): p for p in _walk(folder)}
    present.pop(MANIFEST)
    faults = [f"missing: {name}" for name in listed if name not in present]
    faults += [f"extra: {name}" for name in sorted(present) if name not in listed]
    for name, file in listed.items():
        if name in present and _altered(present[name], file):
            faults.append(f"altered: {name}")
    if faults:
        raise VerificationFailed(
            f"the bundle {manifest.name} {manifest.version} is not as it was built",
            found="; ".join(faults[:20]) + ("; ..." if len(faults) > 20 else ""),
            next_step="copy the bundle again from where it was built, or build it again",
        )


def _altered(path: Path, file: BundleFile) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != file.bytes:
        return True
    return file_sha256(path) != file.sha256


def _check_agreement(folder: Path, manifest: Manifest, contract: Contract, report: Report) -> None:
    """The parts must speak of the same contract and the same artifacts."""
    faults = []
    if contract.sha256 != manifest.contract:
        faults.append(f"{CONTRACT} is not the manifest's contract")
    reported = {a.id: a.sha256 for a in report.artifacts}
    for artifact in manifest.artifacts:
        if tree_sha256(folder / artifact.path) != artifact.sha256:
            faults.append(f"{artifact.path} is not {artifact.id}")
        if artifact.binding.contract != manifest.contract:
            faults.append(f"{artifact.id} is bound to another contract")
        if reported.get(artifact.id) != artifact.sha256:
            faults.append(f"{REPORT} does not speak of this {artifact.id}")
    if faults:
        raise VerificationFailed(
            "the parts of the bundle do not belong together",
            found="; ".join(faults),
            next_step="build it again",
        )
