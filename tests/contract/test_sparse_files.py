"""Sparse files of both formats: how much is zero, what stays, and what compression makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.optimization import ReadBack
from phoneproof.core.recipe import Sparse
from phoneproof.formats.onnx_file import read_onnx
from phoneproof.formats.read_back import read_back
from phoneproof.formats.tflite import read_tflite
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from tests.contract import tiny
from tests.contract.test_optimizers import bound

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

FileFormat = Literal["tflite", "onnx"]
FORMATS: tuple[FileFormat, ...] = ("tflite", "onnx")
FIRST, OTHERS = 8 * 3 * 9, 6 * 8 * 9 + 5 * 6
"""Weights of the tiny network's first layer and of the other two."""


def sparse(source: Path, share: float, output: Path) -> ReadBack:
    format_: FileFormat = "tflite" if source.suffix == ".tflite" else "onnx"
    OPTIMIZERS.load(f"{format_}-sparse").propose(
        OptimizeRequest(
            artifact=source,
            contract=tiny.CONTRACT,
            binding=bound(source),
            recipe=Sparse(share=share),
            output=output,
        )
    )
    found = read_back(output, format_)
    assert found is not None
    return found


def constants(path: Path) -> list[NDArray[np.float32]]:
    """Float constants of more than one number, the smallest first."""
    if path.suffix == ".tflite":
        tensors = read_tflite(path).tensors
        found = [one.data.view("<f4") for one in tensors if one.dtype == "float32"]
    else:
        initializers = read_onnx(path).graph.initializer
        found = [
            numpy_helper.to_array(one).ravel() for one in initializers if one.data_type == one.FLOAT
        ]
    return sorted((one for one in found if one.size > 1), key=len)


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_share_is_read_back_from_the_file(
    format_: FileFormat, share: float, model_files: dict[str, Path], tmp_path: Path
) -> None:
    found = sparse(model_files[format_], share, tmp_path / f"sparse.{format_}")
    assert found.zeros == pytest.approx(round(share * OTHERS) / (FIRST + OTHERS))


@pytest.mark.parametrize("format_", FORMATS)
def test_the_first_layer_and_biases_stay(
    format_: FileFormat, model_files: dict[str, Path], tmp_path: Path
) -> None:
    source, output = model_files[format_], tmp_path / f"sparse.{format_}"
    sparse(source, 0.7, output)
    before, after = constants(source), constants(output)
    assert [one.size for one in before] == [one.size for one in after]
    changed = {a.size for a, b in zip(before, after, strict=True) if not np.array_equal(a, b)}
    assert changed == {6 * 8 * 9, 5 * 6}


@pytest.mark.parametrize("format_", FORMATS)
def test_more_zeros_compress_better(
    format_: FileFormat, model_files: dict[str, Path], tmp_path: Path
) -> None:
    source = model_files[format_]
    plain = read_back(source, format_)
    assert plain is not None
    sizes = [plain.gzip_bytes or 0]
    for share in (0.3, 0.6, 0.9):
        found = sparse(source, share, tmp_path / f"{share}.{format_}")
        sizes.append(found.gzip_bytes or 0)
        assert found.macs == plain.macs
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] > 0.5 * 4 * OTHERS


def test_a_file_of_one_layer_has_nothing_to_spare(
    model_files: dict[str, Path], tmp_path: Path
) -> None:
    """The first layer stays, and here it is the only one."""
    model = read_onnx(model_files["onnx"])
    layer = next(node for node in model.graph.node if node.op_type == "Conv")
    image, output = model.graph.input[0], onnx.TypeProto()
    output.CopyFrom(image.type)
    output.tensor_type.ClearField("shape")
    graph = helper.make_graph(
        [layer],
        "one",
        [image],
        [onnx.ValueInfoProto(name=layer.output[0], type=output)],
        [one for one in model.graph.initializer if one.name in layer.input],
    )
    path = tmp_path / "one.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version),
        path,
    )
    request = OptimizeRequest(
        artifact=path,
        contract=tiny.CONTRACT,
        binding=bound(model_files["onnx"]),
        recipe=Sparse(share=0.5),
        output=tmp_path / "sparse.onnx",
    )
    with pytest.raises(OptimizationFailed, match="no weights that may be set to zero"):
        OPTIMIZERS.load("onnx-sparse").propose(request)
    assert not request.output.exists()
