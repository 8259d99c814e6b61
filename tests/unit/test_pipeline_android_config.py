"""``engine`` of ``[targets.android]``."""

from __future__ import annotations

import pytest

from phoneproof.core.binding import Format
from phoneproof.core.engine import AndroidEngine
from phoneproof.pipeline.android_config import app_engine, engine_faults
from phoneproof.pipeline.config_types import TargetConfig, TargetName


@pytest.mark.parametrize(
    ("formats", "wanted", "engine"),
    [
        (("tflite",), None, "litert"),
        (("onnx", "tflite"), None, "litert"),
        (("onnx",), None, "onnxruntime"),
        (("tflite", "onnx"), "tflite", "tflite"),
        (("saved_model",), None, None),
    ],
)
def test_the_engine_of_an_app(
    formats: tuple[Format, ...], wanted: AndroidEngine | None, engine: AndroidEngine | None
) -> None:
    assert app_engine(formats, wanted) == engine


@pytest.mark.parametrize(
    ("name", "engine", "formats", "what"),
    [
        ("server", "tflite", ("tflite",), "only targets.android has an app that takes an engine"),
        (
            "android",
            "onnxruntime",
            ("tflite",),
            "onnxruntime runs onnx files; the formats are tflite",
        ),
    ],
)
def test_engines_that_run_nothing(
    name: TargetName, engine: AndroidEngine, formats: tuple[Format, ...], what: str
) -> None:
    (fault,) = engine_faults(name, TargetConfig(engine=engine), formats)
    assert fault.place == f"targets.{name}.engine"
    assert fault.what == what


def test_what_fits_has_no_fault() -> None:
    assert not [*engine_faults("android", TargetConfig(engine="tflite"), ("tflite", "onnx"))]
    assert not [*engine_faults("server", TargetConfig(), ("tflite",))]
