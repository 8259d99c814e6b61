"""Resize filters and grey formulas by the libraries that own them."""

from __future__ import annotations

from phoneproof.pixels.filters.gray import to_gray
from phoneproof.pixels.filters.library import resize

__all__ = ["resize", "to_gray"]
