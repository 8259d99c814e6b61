"""Where the sources that generated apps are made of lie: the Kotlin library, the Swift package."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from phoneproof.core.errors import MissingExtra

_PACKED: Final = Path(__file__).parents[1] / "_mobile"
_CHECKED_OUT: Final = Path(__file__).parents[3] / "mobile"
_BUILT: Final = frozenset({".build", ".gradle", ".swiftpm", "build", "target"})


def mobile_folder() -> Path:
    """The folder with ``android/`` and ``ios/``: packed into the wheel, or that of the checkout.

    Raises:
        MissingExtra: neither is there; the installation is not whole.
    """
    for folder in (_PACKED, _CHECKED_OUT):
        if (folder / "android").is_dir() and (folder / "ios").is_dir():
            return folder
    raise MissingExtra(
        "the sources of the Android and iOS libraries are missing",
        found=f"no {_PACKED}",
        next_step="install phoneproof again: its wheel holds them",
    )


def copy_sources(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what a build left in it; existing folders are added to."""
    if source.is_dir():
        for path in sorted(source.iterdir()):
            if path.name not in _BUILT:
                copy_sources(path, target / path.name)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
