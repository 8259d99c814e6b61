"""Where tests find the real models and images, and what happens when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT.parent / "shared" / "assets"


def asset(relative: str) -> Path:
    """Path of one file or folder of the shared assets; skips (fails under CI) where missing."""
    path = ASSETS / relative
    if not path.exists():
        message = f"asset not found: ../shared/assets/{relative}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path
