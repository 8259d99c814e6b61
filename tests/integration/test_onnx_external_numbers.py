"""External data of ONNX files: its place is a number of bytes, or the file is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from phoneproof.capture.backends.onnx_read import read_graph
from phoneproof.core.errors import InvalidInput


def write(path: Path, **place: str) -> Path:
    weight = numpy_helper.from_array(np.ones(4, np.float32), "w")
    (path.parent / "w.bin").write_bytes(weight.raw_data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": "w.bin", **place}.items():
        weight.external_data.add(key=key, value=value)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    assert onnx.load(path, load_external_data=False).graph.initializer[0].external_data
    return path


def test_a_place_in_the_file_is_taken(tmp_path: Path) -> None:
    read_graph(write(tmp_path / "m.onnx", offset="0", length="16"))


@pytest.mark.parametrize("value", ["many", "-4", "1e3", "", "0x10", "\u0664", "9" * 5000])
@pytest.mark.parametrize("key", ["offset", "length"])
def test_what_is_no_number_of_bytes(tmp_path: Path, key: str, value: str) -> None:
    path = write(tmp_path / "m.onnx", **{key: value})
    with pytest.raises(InvalidInput, match="not a readable ONNX model") as caught:
        read_graph(path)
    assert key in caught.value.found
