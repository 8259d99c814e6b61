"""Real captured models as Core ML files: the reference runtime computes what torch computes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from phoneproof.formats.quiet import quiet
from phoneproof.runtimes.backends.coreml import CoreMlRuntime, open_counting
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools
from phoneproof.runtimes.backends.hub import load_hub
from tests.integration.test_convert_real_models import captured

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """One hub program, the packages made of it, and what torch makes of a real picture."""

    float32: Path
    float16: Path
    image: Array
    expected: Array

    def run(self, path: Path) -> Array:
        session = CoreMlRuntime().open(path)
        (found,) = session.run({session.inputs[0].name: self.image}).values()
        return found.astype(np.float32)


def converted(source: str, folder: Path) -> Converted:
    case = captured(source, folder)
    program, _ = load_hub(case.hub)
    lowered = program.run_decompositions({})
    with quiet():
        tools = import_coremltools()
        for name in ("FLOAT32", "FLOAT16"):
            model = tools.convert(
                lowered,
                minimum_deployment_target=tools.target.iOS17,
                compute_precision=getattr(tools.precision, name),
                skip_model_load=True,
            )
            model.save(str(folder / f"{name}.mlpackage"))
    with torch.inference_mode():
        result = program.module(check_guards=False)(torch.from_numpy(case.image.copy()))
    return Converted(
        float32=folder / "FLOAT32.mlpackage",
        float16=folder / "FLOAT16.mlpackage",
        image=case.image,
        expected=(result if isinstance(result, torch.Tensor) else result[0]).numpy(),
    )


@pytest.fixture(
    scope="module",
    params=[
        "models/detect/yolov8n_coco_rebuilt.onnx",
        "models/classify/mobilenet_v2_1.0_224_float.onnx",
    ],
    ids=["yolov8n", "mobilenet_v2"],
)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    return converted(str(request.param), tmp_path_factory.mktemp("real"))


def parts(values: Array) -> list[Array]:
    """Boxes and scores apart: pixels must not hide what scores lose."""
    return [values[:, :4], values[:, 4:]] if values.ndim == 3 else [values]


def test_float32_equals_torch(model: Converted) -> None:
    found = model.run(model.float32)
    assert found.shape == model.expected.shape
    for ours, theirs in zip(parts(found), parts(model.expected), strict=True):
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_float16_is_near_and_not_the_same(model: Converted) -> None:
    found = model.run(model.float16)
    for ours, theirs in zip(parts(found), parts(model.expected), strict=True):
        error = np.sum((ours - theirs) ** 2, dtype=np.float64)
        assert error > 0
        assert 10 * np.log10(np.sum(theirs**2, dtype=np.float64) / error) > 30


def test_float16_findings_name_the_operations(model: Converted) -> None:
    session = open_counting(model.float16)
    session.run({session.inputs[0].name: model.image})
    findings = session.float16_findings()
    assert len(findings) > 50
    assert all(item.values > 0 and item.overflows == 0 for item in findings)
    assert {item.type for item in findings} >= {"conv", "softmax"}
