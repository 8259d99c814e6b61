"""ONNX files: what is read, what is changed, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from phoneproof.convert.backends.torch_onnx import TorchOnnxConverter, require_opset
from phoneproof.core.errors import ConversionFailed, InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.inventory import require_standard_ops
from phoneproof.formats.onnx_file import (
    declare_shapes,
    embed,
    embedded_entries,
    onnx_inventory,
    onnx_tensors,
    opset,
    read_onnx,
    strip_comments,
)
from phoneproof.formats.onnx_fold import fold_constants
from phoneproof.runtimes.base import RUNTIMES
from tests.assets import asset
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # while the libraries are imported
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def model_of(nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> onnx.ModelProto:
    """x float32 [2, 3] -> y, opset 13."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(array, name) for name, array in weights.items()],
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )


def test_what_was_converted_is_plain(model_files: dict[str, Path]) -> None:
    model = read_onnx(model_files["onnx"])
    ops = dict(onnx_inventory(model).ops)
    assert opset(model) == 12
    assert set(ops) <= {
        "Conv", "Sigmoid", "Mul", "Resize", "MaxPool", "ReduceMean", "Gemm", "Softmax",
    }  # fmt: skip
    assert onnx_inventory(model).precision == "float32"
    assert not any(node.doc_string for node in model.graph.node)


def test_another_opset_is_noticed(model_files: dict[str, Path]) -> None:
    model = read_onnx(model_files["onnx"])
    require_opset(model, 12)  # the control
    with pytest.raises(ConversionFailed) as caught:
        require_opset(model, 13)
    assert caught.value.found == "12 instead of 13"


@pytest.mark.parametrize("wanted", [9, 11, 24, 99])
def test_opsets_that_are_not_written(hub_nchw: Path, tmp_path: Path, wanted: int) -> None:
    with pytest.raises(Unsupported) as caught:
        TorchOnnxConverter().convert(
            tiny.request(hub_nchw, "NCHW", "NCHW", tmp_path / "m.onnx", wanted)
        )
    assert str(wanted) in caught.value.failed


@pytest.mark.parametrize("wanted", [13, 17, 18, 20, 23])
def test_the_opset_is_the_one_asked_for(hub_nchw: Path, tmp_path: Path, wanted: int) -> None:
    output = tmp_path / "m.onnx"
    TorchOnnxConverter().convert(tiny.request(hub_nchw, "NCHW", "NCHW", output, wanted))
    assert opset(read_onnx(output)) == wanted
    feed = {"image": tiny.pixels("NCHW")}
    expected = RUNTIMES.load("hub").open(hub_nchw).run(feed)
    found = RUNTIMES.load("onnx").open(output).run(feed)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=1e-5)


def test_no_transpose_is_left_of_two_that_cancel(tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NHWC")
    output = tmp_path / "m.onnx"
    converter = TorchOnnxConverter()
    converter.convert(tiny.request(hub, "NHWC", "NCHW", output))
    assert "Transpose" not in dict(onnx_inventory(read_onnx(output)).ops)
    converter.convert(tiny.request(hub, "NHWC", "NHWC", output))
    assert dict(onnx_inventory(read_onnx(output)).ops)["Transpose"] == 1


def test_a_foreign_domain_is_refused_by_name() -> None:
    own = model_of([helper.make_node("Relu", ["x"], ["y"])], {})
    require_standard_ops(onnx_inventory(own), "ONNX", "")  # the control
    model = model_of([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], {})
    with pytest.raises(Unsupported) as caught:
        require_standard_ops(onnx_inventory(model), "ONNX", "")
    assert "com.microsoft::Gelu" in caught.value.found


def test_folding_computes_what_the_input_cannot_change() -> None:
    model = model_of(
        [
            helper.make_node(
                "Constant", [], ["two"], value=numpy_helper.from_array(np.array(2, np.float32))
            ),
            helper.make_node("Mul", ["w", "two"], ["ww"]),
            helper.make_node("Add", ["x", "ww"], ["y"]),
        ],
        {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "unused": np.ones(4, np.float32)},
    )
    fold_constants(model)
    assert [node.op_type for node in model.graph.node] == ["Add"]
    (folded,) = model.graph.initializer
    assert np.array_equal(
        numpy_helper.to_array(folded), 2 * np.arange(6, dtype=np.float32).reshape(2, 3)
    )


def test_folding_leaves_outputs_and_random_numbers_computed() -> None:
    constant = helper.make_node(
        "Constant", [], ["y"], value=numpy_helper.from_array(np.ones((2, 3), np.float32))
    )
    noise = helper.make_node("RandomNormal", [], ["noise"], shape=[2, 3])
    model = model_of([constant], {})
    fold_constants(model)
    assert [node.op_type for node in model.graph.node] == ["Constant"]
    model = model_of([noise, helper.make_node("Add", ["x", "noise"], ["y"])], {})
    fold_constants(model)
    assert [node.op_type for node in model.graph.node] == ["RandomNormal", "Add"]


def test_comments_with_paths_are_dropped() -> None:
    node = helper.make_node("Relu", ["x"], ["y"], doc_string="/home/me/net.py(3): forward")
    model = model_of([node], {})
    model.graph.node[0].metadata_props.add(key="stack_trace", value="/home/me/net.py")
    model.doc_string = model.graph.doc_string = "/home/me"
    model.graph.input[0].doc_string = "/home/me"
    strip_comments(model)
    assert b"/home" not in model.SerializeToString()


def test_metadata_is_replaced_by_key_and_kept_otherwise() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {})
    model.metadata_props.add(key="names", value="{0: 'cat'}")
    embed(model, {"phoneproof.contract": b"1"})
    embed(model, {"phoneproof.contract": b"2"})
    assert embedded_entries(model) == {"names": b"{0: 'cat'}", "phoneproof.contract": b"2"}


def test_external_data_is_not_followed(tmp_path: Path) -> None:
    model = model_of(
        [helper.make_node("Add", ["x", "w"], ["y"])], {"w": np.ones((2, 3), np.float32)}
    )
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="../../../../etc/hostname")
    path = tmp_path / "outside.onnx"
    path.write_bytes(model.SerializeToString())
    read_onnx(path)  # reads nothing but the file itself
    with pytest.raises(InvalidInput):
        RUNTIMES.load("onnx").open(path)


@pytest.mark.parametrize(
    ("file", "precision", "version"),
    [
        ("models/detect/yolov8n_coco_rebuilt.onnx", "float32", 12),
        ("models/detect/yolox_nano.onnx", "float32", 11),
    ],
)
def test_real_files(file: str, precision: str, version: int) -> None:
    model = read_onnx(asset(file))
    assert (onnx_inventory(model).precision, opset(model)) == (precision, version)
    inputs, outputs = onnx_tensors(model)
    session = RUNTIMES.load("onnx").open(asset(file))
    assert (inputs, outputs) == (session.inputs, session.outputs)


def test_open_output_sizes_are_declared_and_known_ones_stay() -> None:
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], {})
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3]))
    declare_shapes(model, (TensorSpec(name="y", shape=(2, 7), dtype="float32"),))
    assert onnx_tensors(model)[1] == (TensorSpec(name="y", shape=(2, 3), dtype="float32"),)
