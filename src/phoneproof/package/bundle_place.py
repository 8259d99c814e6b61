"""Where a bundle lies: a new one is made beside it, then moved into place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from phoneproof.core.errors import STORAGE_STEPS, StorageError


@contextmanager
def replacing_bundle(destination: Path) -> Iterator[Path]:
    """An empty folder beside `destination`, moved there when the block succeeds.

    An older bundle stays until then. Nothing is left behind on failure.

    Raises:
        StorageError: the disk is full, or the folder cannot be written.
    """
    fresh = destination.with_name(f".{destination.name}.new")
    try:
        _restore_interrupted(destination)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        yield fresh
        _move_into_place(fresh, destination)
    except OSError as error:
        if error.errno not in STORAGE_STEPS:
            raise  # a bug: it keeps its traceback
        raise storage_error(destination, error) from error
    finally:
        _remove(fresh)


def _move_into_place(fresh: Path, destination: Path) -> None:
    """Replace `destination`; it is there, old or new, whenever something interrupts."""
    old = _old(destination)
    try:
        if destination.exists():
            destination.rename(old)
        fresh.rename(destination)
    except BaseException:
        # Also an interrupt: it may come after either of the two renames.
        if old.exists() and not destination.exists():
            old.rename(destination)
        raise
    finally:
        if destination.exists():
            _remove(old)


def _remove(folder: Path) -> None:
    """Remove a folder also where an interrupt comes meanwhile; the interrupt goes on."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def storage_error(destination: Path, error: OSError) -> StorageError:
    """What the disk did to a bundle."""
    return StorageError(
        f"the bundle {destination.name} could not be written",
        found=os.strerror(error.errno or 0),
        next_step=f"{STORAGE_STEPS[error.errno or 0]}; nothing was left behind",
    )


def _old(destination: Path) -> Path:
    return destination.with_name(f".{destination.name}.old")


def _restore_interrupted(destination: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    old = _old(destination)
    if old.exists() and not destination.exists():
        old.rename(destination)
    shutil.rmtree(old, ignore_errors=True)
