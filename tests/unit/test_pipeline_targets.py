"""Which artifacts the configured targets ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.config_types import (
    Config,
    DataConfig,
    ModelConfig,
    TargetConfig,
    TargetsConfig,
)
from phoneproof.pipeline.prepare import artifact_requests


def config_of(android: TargetConfig, server: TargetConfig) -> Config:
    return Config(
        model=ModelConfig(source=Path("m.onnx"), name="m"),
        data=DataConfig(evaluation=Path("val")),
        targets=TargetsConfig(android=android, server=server),
    )


def test_targets_share_the_files_that_both_want() -> None:
    both = TargetConfig(formats=("tflite",))
    ids = [request.id for request in artifact_requests(config_of(both, both), ())]
    assert ids == ["tflite-float32", "tflite-float16"]


@pytest.mark.parametrize(
    "other",
    [
        TargetConfig(formats=("tflite",), precisions=("float16",), layout="NCHW"),
        TargetConfig(formats=("tflite",), precisions=("float16",), opset=17),
    ],
)
def test_one_format_in_two_forms_is_refused_whatever_the_precision(other: TargetConfig) -> None:
    config = config_of(TargetConfig(formats=("tflite",), precisions=("float32",)), other)
    with pytest.raises(ConfigError, match="want different tflite files"):
        artifact_requests(config, ())
    assert len(artifact_requests(config, ("server",))) == 1
