"""Libraries that run a model inside an Android app."""

from __future__ import annotations

from typing import Final, Literal

from phoneproof.core.binding import Format

AndroidEngine = Literal["litert", "tflite", "onnxruntime"]

ENGINE_FORMATS: Final[dict[AndroidEngine, Format]] = {
    "litert": "tflite",
    "tflite": "tflite",
    "onnxruntime": "onnx",
}
"""What each of them runs. An app gets the first that runs some of its files."""
