"""Adding to a bundle that was written before: a new one beside it, then moved into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from phoneproof.core.json_format import pretty_bytes
from phoneproof.package.bundle import MANIFEST, Bundle, listed_files, require_inside
from phoneproof.package.bundle_place import replacing_bundle


def rewrite_bundle(bundle: Bundle, changed: Mapping[str, bytes]) -> None:
    """Write the bundle again with some files new or replaced; the manifest follows.

    Files that stay are linked where the disk allows it: a bundle may be large.

    Args:
        bundle: as `read_bundle` gave it.
        changed: path relative to the bundle -> content.

    Raises:
        InvalidInput: a path of `changed` leads outside the bundle; nothing is written.
        StorageError: the disk is full, or the folder's parent cannot be written. The bundle is
            then as it was.
    """
    for path in changed:
        require_inside(path)
    destination = bundle.folder.resolve()
    with replacing_bundle(destination) as fresh:
        for file in bundle.manifest.files:
            if file.path not in changed:
                _keep(destination / file.path, fresh / file.path)
        for path, data in changed.items():
            (fresh / path).parent.mkdir(parents=True, exist_ok=True)
            (fresh / path).write_bytes(data)
        manifest = msgspec.structs.replace(bundle.manifest, files=listed_files(fresh))
        (fresh / MANIFEST).write_bytes(pretty_bytes(manifest))


def _keep(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
