"""Every imported TFLite operator against LiteRT, on files of one operator.

Operators on images run twice: on the image as it comes, and behind a convolution, where values
are stored channels first.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ai_edge_litert import schema_py_generated as schema

from phoneproof.capture.backends.tflite_to_hub import TfliteNetwork, hub_from_tflite
from phoneproof.formats.tflite import parse_tflite, read_tflite
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from phoneproof.runtimes.backends.tflite_torch.operators import OPERATORS
from tests.integration.tflite_cases import VALID, Array, Case, rng
from tests.integration.tflite_files import TfliteFile
from tests.integration.tflite_number_cases import binaries, choices, reductions, unaries
from tests.integration.tflite_shape_cases import moves, slices
from tests.integration.tflite_window_cases import products, resizes, windows

CASES = [
    *windows(),
    *binaries(),
    *unaries(),
    *choices(),
    *reductions(),
    *resizes(),
    *moves(),
    *slices(),
    *products(),
]


def _file(case: Case, *, behind_convolution: bool) -> bytes:
    file = TfliteFile()
    x = image = file.add(case.shape)
    if behind_convolution:
        options = schema.Conv2DOptionsT(padding=VALID, strideW=1, strideH=1)
        options.dilationHFactor = options.dilationWFactor = 1
        eye = np.eye(case.shape[-1], dtype=np.float32)[:, None, None, :]
        zeros = np.zeros(case.shape[-1], np.float32)
        inputs = [image, file.const(eye), file.const(zeros)]
        x = file.node("CONV_2D", inputs, case.shape, options=options)
    outputs = case.make(file, x)
    return file.pack([image], outputs)


def _differences(
    data: bytes, image: Array, path: Path, *, exported: bool = False
) -> list[tuple[float, float]]:
    """(largest difference, largest value) of each output."""
    path.write_bytes(data)
    session = LiteRtRuntime().open(path, threads=1)
    expected = list(session.run({session.inputs[0].name: image}).values())
    with torch.no_grad():
        network: torch.nn.Module
        if exported:
            network = hub_from_tflite(path, shape=image.shape).module()
        else:
            network = TfliteNetwork(read_tflite(path), image.shape)
        found = network(torch.from_numpy(image))
    assert len(found) == len(expected)
    pairs = []
    for ours, theirs in zip(found, expected, strict=True):
        assert tuple(ours.shape) == theirs.shape
        gap = float(np.max(np.abs(ours.numpy() - theirs.astype(np.float32)), initial=0))
        pairs.append((gap, float(np.max(np.abs(theirs), initial=0))))
    return pairs


@pytest.mark.parametrize("behind_convolution", [False, True], ids=["plain", "behind_conv"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operator_equals_litert(case: Case, behind_convolution: bool, tmp_path: Path) -> None:
    image = rng(7).uniform(case.low, case.high, case.shape).astype(np.float32)
    data = _file(case, behind_convolution=behind_convolution)
    # torch.export takes most of the time: the first case of each operator goes through it.
    exported = behind_convolution and case is next(c for c in CASES if c.op == case.op)
    for gap, largest in _differences(data, image, tmp_path / "one.tflite", exported=exported):
        assert gap <= 2e-5 * max(largest, 1.0)


def test_every_operator_of_the_table_has_a_case() -> None:
    tested = {case.op for case in CASES}
    files = (_file(case, behind_convolution=False) for case in CASES)
    tested |= {op.name for data in files for op in parse_tflite(data, "case").ops}
    assert set(OPERATORS) <= tested


def test_the_comparison_sees_a_wrong_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phoneproof.runtimes.backends.tflite_torch import evaluate

    monkeypatch.setattr(evaluate, "OPERATORS", {**OPERATORS, "RELU": OPERATORS["ABS"]})
    case = next(case for case in CASES if case.op == "RELU")
    image = rng(7).uniform(case.low, case.high, case.shape).astype(np.float32)
    data = _file(case, behind_convolution=False)
    ((gap, largest),) = _differences(data, image, tmp_path / "one.tflite")
    assert gap > 0.1 * largest
