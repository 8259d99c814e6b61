"""Which artifacts the configured targets ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from phoneproof.core.apple import AppleForm
from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.config_types import (
    Config,
    DataConfig,
    ModelConfig,
    TargetConfig,
    TargetsConfig,
)
from phoneproof.pipeline.prepare import artifact_requests
from phoneproof.pipeline.request import ArtifactRequest
from phoneproof.verify.limits import limits_for


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


def of_ios(**settings: Any) -> list[ArtifactRequest]:
    config = config_of(TargetConfig(), TargetConfig())
    targets = TargetsConfig(android=TargetConfig(), ios=TargetConfig(**settings))
    return list(artifact_requests(msgspec.structs.replace(config, targets=targets), ("ios",)))


def test_ios_asks_for_core_ml_float16_of_an_image() -> None:
    (one,) = of_ios()
    assert (one.id, one.layout) == ("coreml-float16", "NCHW")
    assert one.apple == AppleForm(input="image", minimum_ios=17)


def test_what_is_said_of_core_ml_goes_to_core_ml_alone() -> None:
    both = of_ios(formats=("coreai", "coreml"), input="tensor", minimum_ios=15)
    forms = {one.format: one.apple for one in both}
    assert forms == {"coreai": AppleForm(), "coreml": AppleForm(input="tensor", minimum_ios=15)}


def test_core_ml_float16_is_held_to_more_than_others() -> None:
    assert limits_for("float16", "coreml").snr_db == 55.0
    assert limits_for("float16", "tflite") == limits_for("float16")
    assert limits_for("float16", "coreai") == limits_for("float16")
    assert limits_for("float32", "coreml") == limits_for("float32")


def test_core_ai_has_small_weights_but_no_integer_activations() -> None:
    wanted = ("weight_only_wi8", "int8", "palette4", "sparse")
    ids = [one.id for one in of_ios(formats=("coreai", "coreml"), precisions=wanted)]
    small = [f"{format_}-{one}" for format_ in ("coreai", "coreml") for one in wanted]
    assert sorted(ids) == sorted(
        one.replace("int8", "static_wi8_ai8") for one in small if one != "coreai-int8"
    )
