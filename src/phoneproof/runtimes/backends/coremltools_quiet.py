"""coremltools imported without its output, and without the libraries it would try beside torch."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Final

from phoneproof.formats.quiet import quiet

_NOT_NEEDED: Final = (
    "executorch",
    "libsvm",
    "sklearn",
    "tensorflow",
    "torchao",
    "torchaudio",
    "transformers",
    "xgboost",
)
"""Sources other than torch that it looks for when it is imported. They cost seconds, and
TensorFlow's copy of LLVM crashes the process that has torch's (see `tensorflow_quiet`)."""


def import_coremltools() -> ModuleType:
    """coremltools for torch programs and Core ML files: 2 s in place of 9.

    Raises:
        ModuleNotFoundError: not installed.
    """
    with quiet(), _hidden(_NOT_NEEDED):
        return importlib.import_module("coremltools")


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Let these modules be missing; what was imported before comes back afterwards."""
    kept = {name: sys.modules[name] for name in names if name in sys.modules}
    # None is how the import system is told that there is no such module.
    blocked: dict[str, ModuleType | None] = dict.fromkeys(names)
    sys.modules.update(blocked)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(kept)
