"""TensorFlow and Keras 2 imported without their output, and in an order that does not crash."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

_ENVIRONMENT = {
    "TF_USE_LEGACY_KERAS": "1",  # tf.keras, which tf2onnx looks at, must be tf-keras
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "0",  # oneDNN changes the order of sums between machines
    "CUDA_VISIBLE_DEVICES": "-1",
}


def import_tensorflow() -> tuple[ModuleType, ModuleType]:
    """(tensorflow, tf_keras), on the CPU.

    Triton's compiler, which torch loads when it exports, crashes the process when TensorFlow's
    copy of LLVM is already there; the other order works. So it goes first where it is installed.

    Raises:
        ModuleNotFoundError: one of the two is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if importlib.util.find_spec("triton") is not None:
        importlib.import_module("triton._C.libtriton")
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensorflow = importlib.import_module("tensorflow")
        keras = importlib.import_module("tf_keras")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    return tensorflow, keras


def tensorflow_version() -> str:
    """Of the installed distribution, without importing it.

    Raises:
        ModuleNotFoundError: there is none.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
    for distribution in ("tensorflow-cpu", "tensorflow"):
        with contextlib.suppress(PackageNotFoundError):
            return version(distribution)
    return "of unknown version"


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Discard what native code writes to file descriptor 2; exceptions still come through."""
    saved = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)
