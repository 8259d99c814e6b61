"""A corrupted layer of a really exported model is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from phoneproof.convert.backends.litert_torch import LiteRtTorchConverter
from phoneproof.convert.backends.torch_onnx import TorchOnnxConverter
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.binding import Binding, InputBinding, Layout, OutputBinding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.backends.hub import HubRuntime, load_hub, save_hub
from phoneproof.runtimes.backends.litert import LiteRtRuntime
from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime
from phoneproof.verify.divergence import Divergence, first_divergence

SIZE = 32


class Block(torch.nn.Module):
    """Convolution, batch norm, SiLU: what converters fuse."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm = torch.nn.BatchNorm2d(outputs)
        self.act = torch.nn.SiLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.act(self.norm(self.conv(x)))
        return y


class Net(torch.nn.Module):
    """A trunk, a residual, two branches that run interleaved, two outputs of equal shape."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 8, 2)
        self.inner = Block(8, 8)
        self.fine = Block(8, 8)
        self.coarse = Block(8, 8, 2)
        self.fine_head = torch.nn.Conv2d(16, 4, 1)
        self.coarse_head = torch.nn.Conv2d(8, 4, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.stem(x)
        x = x + self.inner(x)
        fine = self.fine(x)
        coarse = self.coarse(x)
        wide = torch.nn.functional.interpolate(coarse, scale_factor=2.0)
        boxes: torch.Tensor = self.fine_head(torch.cat([fine, wide], 1))
        scores: torch.Tensor = self.coarse_head(coarse)
        scores = torch.nn.functional.interpolate(scores, scale_factor=2.0).sigmoid()
        return boxes, scores


# In the order of execution, which is that of the exported nodes.
CONVOLUTIONS = ("stem", "inner", "fine", "coarse", "fine_head", "coarse_head")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = Net()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            # Untrained statistics would make batch norm an identity, and its input a match.
            torch.nn.init.uniform_(module.weight, 0.5, 2.0)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            assert module.running_mean is not None
            module.running_mean.uniform_(-0.5, 0.5)
    program = torch.export.export(net.eval(), (torch.zeros(1, 3, SIZE, SIZE),))
    path = tmp_path_factory.mktemp("hub") / "hub.pt2"
    spec = TensorSpec(name="image", shape=(1, 3, SIZE, SIZE), dtype="float32")
    outputs = tuple(
        TensorSpec(name=name, shape=(1, 4, 16, 16), dtype="float32") for name in ("boxes", "scores")
    )
    save_hub(program, path, (spec,), outputs)
    return path


def request_for(hub: Path, layout: Layout, output: Path) -> ConvertRequest:
    image = ImageInput(geometry=(), size=(SIZE, SIZE), scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
    contract = Contract(name="n", task="raw", inputs=(image,))
    binding = Binding(
        contract=contract.sha256,
        format="hub",
        inputs=(InputBinding(tensor="image", shape=(1, 3, SIZE, SIZE), layout="NCHW"),),
        outputs=tuple(
            OutputBinding(tensor=name, role="raw", shape=(1, 4, 16, 16), axes=("channel", "y", "x"))
            for name in ("boxes", "scores")
        ),
    )
    return ConvertRequest(
        source=hub, contract=contract, binding=binding, layout=layout, output=output
    )


@pytest.fixture(scope="module")
def exported(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    TorchOnnxConverter().convert(request_for(hub, "NCHW", path))
    return path


def locate(hub: Path, artifact: Path) -> Divergence | None:
    image = np.random.default_rng(1).random((1, 3, SIZE, SIZE), np.float32)
    return first_divergence(
        hub=HubRuntime().open_for_trace(hub),
        artifact=OnnxRuntime().open_for_trace(artifact),
        hub_inputs={"image": image},
        artifact_inputs={"image": image},
    )


def corrupt(source: Path, target: Path, index: int) -> str:
    """Change one weight of the index-th convolution; the name of what it computes."""
    model = onnx.load(str(source))
    node = [n for n in model.graph.node if n.op_type == "Conv"][index]
    (weight,) = (i for i in model.graph.initializer if i.name == node.input[1])
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, -1, -1] += 0.5
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(model, str(target))
    return str(node.output[0])


def test_the_exported_model_agrees(hub: Path, exported: Path) -> None:
    assert locate(hub, exported) is None


@pytest.mark.parametrize("layer", CONVOLUTIONS)
def test_the_layer_with_one_corrupted_weight_is_named(
    hub: Path, exported: Path, tmp_path: Path, layer: str
) -> None:
    output = corrupt(exported, tmp_path / "bad.onnx", CONVOLUTIONS.index(layer))
    found = locate(hub, tmp_path / "bad.onnx")
    assert found is not None
    assert layer in found.layer
    assert found.artifact_tensor == output
    assert 1e-3 < found.relative_error < 10


def test_swapped_outputs_are_recognised(hub: Path, exported: Path, tmp_path: Path) -> None:
    model = onnx.load(str(exported))
    names = {"boxes": "scores", "scores": "boxes"}
    for node in model.graph.node:
        node.output[:] = [names.get(name, name) for name in node.output]
    onnx.save(model, str(tmp_path / "swapped.onnx"))
    found = locate(hub, tmp_path / "swapped.onnx")
    assert found is not None
    assert "changed places" in found.explanation


@pytest.fixture(scope="module")
def tflite(hub: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tflite") / "model.tflite"
    LiteRtTorchConverter().convert(request_for(hub, "NHWC", path))
    return path


@pytest.mark.parametrize("layer", ["", *CONVOLUTIONS])
def test_it_is_found_in_channels_last_with_everything_fused(
    hub: Path, tflite: Path, tmp_path: Path, layer: str
) -> None:
    """Here the hub is the corrupted one: which of the two is wrong makes no difference."""
    program, tensors = load_hub(hub)
    if layer:
        weights = [w for n, w in program.state_dict.items() if n.startswith(f"{layer}.")]
        with torch.no_grad():
            weights[0][0, 0, -1, -1] += 0.5
    save_hub(program, tmp_path / "hub.pt2", tensors.inputs, tensors.outputs)
    image = np.random.default_rng(1).random((1, 3, SIZE, SIZE), np.float32)
    channels_last = np.ascontiguousarray(image.transpose(0, 2, 3, 1))
    artifact = LiteRtRuntime().open_for_trace(tflite)
    found = first_divergence(
        hub=HubRuntime().open_for_trace(tmp_path / "hub.pt2"),
        artifact=artifact,
        hub_inputs={"image": image},
        artifact_inputs={artifact.inputs[0].name: channels_last},
    )
    if not layer:
        assert found is None
        return
    assert found is not None
    assert layer in found.layer
    assert (found.artifact_tensor or "").startswith("conv_2d")
