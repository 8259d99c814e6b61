"""TensorFlow for the readers of its formats; see `runtimes.backends.tensorflow_quiet`."""

from __future__ import annotations

from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

__all__ = ["import_tensorflow", "silent_stderr"]
