"""Running a library that talks: its progress, warnings and log lines are not for our users."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings, logging below ERROR, and Python's stdout and stderr. Process-wide."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def without_cycle_collection() -> Iterator[None]:
    """Pause the cycle collector: graph compilers make millions of objects that live to the end.

    Converting YOLOv8n spends a fifth of its time (19.5 s of 25 s remain) in collections that
    find 33 MB.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
