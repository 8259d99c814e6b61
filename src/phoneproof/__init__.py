"""Phoneproof: from a trained vision model to a verified mobile model.

`capture_module` and `build` are the whole job; see `phoneproof.api`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phoneproof.api import Captured, build, capture_module
    from phoneproof.pipeline.build import BuildOutcome

__all__ = ["BuildOutcome", "Captured", "build", "capture_module"]


def __getattr__(name: str) -> object:
    # Imported on first use: the command line starts without them.
    if name not in __all__:
        raise AttributeError(f"module 'phoneproof' has no attribute {name!r}")
    from phoneproof import api

    return getattr(api, name)
