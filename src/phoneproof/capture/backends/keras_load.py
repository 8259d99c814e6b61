"""Keras models loaded by the Keras that wrote them; 2 and 3 live in one process."""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from phoneproof.capture.backends.keras_config import KerasConfig
from phoneproof.capture.backends.keras_inspect import image_of
from phoneproof.capture.backends.tensorflow_to_hub import Forward, TensorFlowModel
from phoneproof.capture.fixed_session import static_shape
from phoneproof.core.errors import ConversionFailed, Unsupported, first_line
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

if TYPE_CHECKING:
    from tensorflow import Tensor as TfTensor


def keras_model(
    path: Path, config: KerasConfig, size: tuple[int, int], batch: int
) -> TensorFlowModel:
    """A judged file, held to one input shape.

    Raises:
        Unsupported: the file fixes another shape.
    """
    image = image_of(path, config)
    return TensorFlowModel(
        file=path.name,
        image=image.spec.name,
        shape=static_shape(image.spec.shape, image.shape(size, batch), name=path.name),
        names=config.outputs,
        load=lambda: _load(path, config),
    )


def import_keras3() -> ModuleType:
    """Keras 3 on TensorFlow, beside tf-keras, which stays what `tf.keras` is.

    Raises:
        ModuleNotFoundError: it is not installed.
        Unsupported: this process has loaded it on another backend.
    """
    import_tensorflow()
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = importlib.import_module("keras")
    if keras.backend.backend() != "tensorflow":
        raise Unsupported(
            "Keras 3 runs on another backend in this process",
            found=str(keras.backend.backend()),
            next_step="set KERAS_BACKEND=tensorflow",
        )
    return keras


def _load(path: Path, config: KerasConfig) -> Forward:
    """The model as a function, its description judged before and its optimizer left out."""
    if config.generation == 3:
        library = import_keras3()
    else:
        _, library = import_tensorflow()
        library.backend.reset_uids()  # else a nameless Sequential is counted on: sequential_1
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            model = library.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise ConversionFailed(
            f"Keras {config.generation} cannot load {path.name}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="export it to ONNX with the Keras version that saved it",
        ) from error

    def run(image: TfTensor) -> list[TfTensor]:
        result = model(image, training=False)
        if isinstance(result, dict):
            return [result[key] for key in config.keys]
        return list(result) if isinstance(result, (list, tuple)) else [result]

    return run
