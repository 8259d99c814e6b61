"""Programs that the reference runtime refuses: unknown operations, and contradictions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.runtimes.backends.coreml import CoreMlRuntime
from tests.integration.mil_programs import save
from tests.integration.test_mil_session import X, output, weights
from tests.unit import coreml_files


def test_an_unknown_operation_is_named(tmp_path: Path) -> None:
    def body(mb: Any, x: Any) -> Any:
        noise = mb.random_normal(shape=np.array([1, 3, 12, 10], np.int32), seed=1, name="noise")
        return mb.add(x=x, y=noise, name="out")

    path = save(body, [X], tmp_path / "random.mlpackage")
    with pytest.raises(Unsupported, match="random_normal") as caught:
        CoreMlRuntime().open(path)
    assert "noise" in caught.value.found
    assert "random.mlpackage" in caught.value.found


def test_an_unknown_variant_is_named(tmp_path: Path) -> None:
    def body(mb: Any, x: Any) -> Any:
        return mb.upsample_bilinear(
            x=x,
            scale_factor_height=2,
            scale_factor_width=2,
            align_corners=True,
            half_pixel_centers=True,
            name="out",
        )

    with pytest.raises(Unsupported, match="half-pixel") as caught:
        CoreMlRuntime().open(save(body, [X], tmp_path / "odd.mlpackage"))
    assert "'out' (upsample_bilinear)" in caught.value.failed


def edited(tmp_path: Path, change: Callable[[Any], None]) -> Path:
    """The package of the unit tests with its program changed."""
    data, (offset,) = coreml_files.blob((2, coreml_files.weights().tobytes()))
    spec = coreml_files.specification(offset)
    change(spec.mlProgram.functions["main"].block_specializations["CoreML7"])
    return coreml_files.write(tmp_path / "odd.mlpackage", spec, data)


def test_the_package_of_the_unit_tests_runs(tmp_path: Path) -> None:
    x = weights(3, 1, 3, 8, 6)
    found = output(edited(tmp_path, lambda block: None), x)
    middle = torch.conv2d(torch.from_numpy(x), torch.from_numpy(coreml_files.weights()))
    np.testing.assert_allclose(found, middle.relu().numpy(), atol=1e-5)


def _wrong_shape(block: Any) -> None:
    block.operations[-1].outputs[0].type.tensorType.dimensions[3].constant.size = 9


def _reads_nothing(block: Any) -> None:
    block.operations[-1].inputs["x"].arguments[0].name = "later"


def _no_input(block: Any) -> None:
    del block.operations[-1].inputs["x"]


def _twice(block: Any) -> None:
    block.operations[-1].outputs[0].name = "middle"


def _huge(block: Any) -> None:
    times = coreml_files.add_constant(block, "times", "INT32", 4)
    times.immediateValue.tensor.ints.values.extend([1 << 20, 1 << 20, 1, 1])
    coreml_files.add_operation(block, "tile", "big", (1, 2, 7, 5), x="out", reps="times")


def _huge_constant(block: Any) -> None:
    shape = coreml_files.add_constant(block, "shape", "INT32", 2)
    shape.immediateValue.tensor.ints.values.extend([1 << 30, 1 << 30])
    coreml_files.add_operation(block, "fill", "big", (1 << 30, 1 << 30), shape="shape")


def _huge_resize(block: Any) -> None:
    for name in ("height", "width"):
        side = coreml_files.add_constant(block, name, "INT32")
        side.immediateValue.tensor.ints.values.append(2**31 - 1)
    coreml_files.add_operation(
        block,
        "resize_nearest_neighbor",
        "big",
        (1, 2, 7, 5),
        x="out",
        target_size_height="height",
        target_size_width="width",
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_wrong_shape, "another shape"),
        (_reads_nothing, "'later', which nothing makes"),
        (_no_input, "lacks its input 'x'"),
        (_twice, "two values are named 'middle'"),
        (_huge, "1048576"),
        (_huge_constant, "1073741824"),
        (_huge_resize, "a resize to"),
    ],
)
def test_a_program_that_contradicts_itself_is_refused(
    change: Callable[[Any], None], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as caught:
        CoreMlRuntime().open(edited(tmp_path, change))
    assert words in str(caught.value)


def test_another_kind_of_model_is_refused_or_read(tmp_path: Path) -> None:
    spec = coreml_files.specification()
    spec.scaler.SetInParent()
    path = coreml_files.write(tmp_path / "scaler.mlpackage", spec, None)
    with pytest.raises(Unsupported, match="not interpreted") as caught:
        CoreMlRuntime().open(path)
    assert "scaler" in caught.value.found
