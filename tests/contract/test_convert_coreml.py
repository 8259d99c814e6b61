"""What is Core ML's own of its converter: images, names, systems, operators it has no form for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from phoneproof.convert.backends.coreml import CoreMlConverter
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.apple import AppleForm, MinimumIos
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.contract import Contract, ImageInput, Resize
from phoneproof.core.errors import ConversionFailed, PhoneproofError, Unsupported
from phoneproof.core.tensors import TensorSpec, identifiers
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.coreml.wire import read_image_channels, read_user_metadata
from phoneproof.runtimes.backends.hub import save_hub
from phoneproof.runtimes.base import RUNTIMES
from tests.contract import tiny

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

IMAGE = ImageInput(
    geometry=(),
    size=(16, 24),
    channels="bgr",
    scale=1 / 255,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)


class Tail(nn.Module):
    """The tiny network with one more operator in a module of its own behind it."""

    class Last(nn.Module):
        def __init__(self, last: Callable[[Tensor], Tensor]) -> None:
            super().__init__()
            self.last = last

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x)

    def __init__(self, last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = tiny.TinyNet("NCHW")
        self.odd = self.Last(last)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        scores, features = self.inner(image)
        return scores, self.odd(features)


def contract(image: ImageInput, labels: tuple[str | None, ...] = ()) -> Contract:
    return Contract(name="tiny", task="raw", inputs=(image,), labels=labels)


def convert(
    folder: Path,
    *,
    wanted: Contract | None = None,
    net: nn.Module | None = None,
    input_: str = "image",
    minimum_ios: MinimumIos = 17,
) -> tuple[Path, WrittenModel]:
    hub = tiny.write_hub(folder / "hub.pt2", "NCHW", net)
    request = tiny.request(hub, "NCHW", "NCHW", folder / "model.mlpackage")
    form = msgspec.convert({"input": input_, "minimum_ios": minimum_ios}, AppleForm)
    request = msgspec.structs.replace(
        request, apple=form, contract=wanted or contract(IMAGE), licence="CC0-1.0"
    )
    return request.output, CoreMlConverter().convert(request)


def option(made: WrittenModel, name: str) -> str:
    return dict(made.options)[name]


def test_an_image_takes_pixels_and_gives_what_the_hub_gives(tmp_path: Path) -> None:
    path, made = convert(tmp_path)
    assert made.binding.image.normalise_in_file
    assert read_image_channels(path) == ("bgr",)
    pixels = np.random.default_rng(5).integers(0, 256, tiny.SHAPE).astype(np.float32)
    mean, std = (np.array(v).reshape(1, 3, 1, 1) for v in (IMAGE.mean, IMAGE.std))
    values = ((pixels.astype(np.float64) / 255 - mean) / std).astype(np.float32)
    expected = RUNTIMES.load("hub").open(tmp_path / "hub.pt2").run({"image": values})
    found = RUNTIMES.load("coreml").open(path).run({"image": pixels})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-6 * np.abs(value).max())
    assert 0 < float(option(made, "scaling_ulp")) <= 1


def test_a_tensor_takes_the_values_of_the_table(tmp_path: Path) -> None:
    path, made = convert(tmp_path, input_="tensor")
    assert not made.binding.image.normalise_in_file
    assert read_image_channels(path) == ()
    assert option(made, "input") == "tensor"


def test_pixels_between_whole_numbers_are_no_image_and_the_file_says_why(tmp_path: Path) -> None:
    resize = Resize(to="stretch", size=(16, 24), filter="tensorflow.bilinear_half_pixel")
    floats = msgspec.structs.replace(IMAGE, values="float32", geometry=(resize,))
    path, made = convert(tmp_path, wanted=contract(floats))
    assert read_image_channels(path) == ()
    assert option(made, "input") == "tensor"
    assert "TensorFlow's resize" in option(made, "input_because")


def test_an_image_in_another_layout_is_refused(tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW")
    request = tiny.request(hub, "NCHW", "NHWC", tmp_path / "model.mlpackage")
    with pytest.raises(Unsupported, match="NHWC"):
        CoreMlConverter().convert(msgspec.structs.replace(request, apple=AppleForm(input="image")))


@pytest.mark.parametrize(("minimum", "version"), [(15, 6), (16, 7), (17, 8), (18, 9)])
def test_the_oldest_system_is_written_into_the_file(
    tmp_path: Path, minimum: MinimumIos, version: int
) -> None:
    path, _ = convert(tmp_path, minimum_ios=minimum)
    assert read_coreml(path).spec.specificationVersion == version


def test_what_xcode_shows(tmp_path: Path) -> None:
    labels = ("tench, Tinca tinca", None, "été")
    path, _ = convert(tmp_path, wanted=contract(IMAGE, labels))
    about = read_coreml(path).spec.description
    assert about.metadata.versionString == "1.0.0"
    assert about.metadata.license == "CC0-1.0"
    assert "Scale, mean and std are inside" in about.metadata.shortDescription
    assert about.input[0].shortDescription == "BGR picture of 24 x 16 pixels"
    entries = read_user_metadata(path)
    assert entries["classes"].decode() == "tench; Tinca tinca,,été"
    assert set(entries) == {"classes", "phoneproof.binding", "phoneproof.contract"}


class Slopes(nn.Module):
    """PReLU behind a dense layer and on rows, with a slope for each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense, self.rows = nn.PReLU(channels), nn.PReLU(channels)
        with torch.no_grad():
            self.dense.weight.copy_(torch.linspace(-1, 1, channels))
            self.rows.weight.copy_(torch.linspace(2, 0, channels))

    def forward(self, x: Tensor) -> Tensor:
        dense: Tensor = self.dense(x.mean((2, 3)) - 1)[:, :, None, None]
        rows: Tensor = self.rows(x.flatten(2) - 1).reshape(x.shape)
        return dense + rows


def test_prelu_has_a_slope_for_each_channel_also_behind_dense_layers(tmp_path: Path) -> None:
    channels = tiny.OUTPUTS[1].shape[1]
    path, _ = convert(tmp_path, net=Tail(Slopes(channels)), input_="tensor")
    feed = {"image": tiny.pixels("NCHW")}
    expected = RUNTIMES.load("hub").open(tmp_path / "hub.pt2").run(feed)
    found = RUNTIMES.load("coreml").open(path).run(feed)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-6 * np.abs(value).max())


def odd_names(folder: Path) -> tuple[ConvertRequest, tuple[TensorSpec, ...]]:
    """A hub whose outputs are named as importers of other formats leave them."""
    named = tuple(
        msgspec.structs.replace(spec, name=name)
        for spec, name in zip(tiny.OUTPUTS, ("scope/scores:0", "477"), strict=True)
    )
    example = (torch.from_numpy(tiny.pixels("NCHW")),)
    program = torch.export.export(tiny.TinyNet("NCHW").eval(), example)
    image = TensorSpec(name="image", shape=tiny.SHAPE, dtype="float32")
    save_hub(program, folder / "hub.pt2", (image,), named)
    request = tiny.request(folder / "hub.pt2", "NCHW", "NCHW", folder / "model.mlpackage")
    roles = tuple(
        msgspec.structs.replace(role, tensor=spec.name)
        for role, spec in zip(request.binding.outputs, named, strict=True)
    )
    binding = msgspec.structs.replace(request.binding, outputs=roles)
    return msgspec.structs.replace(request, binding=binding), named


def test_names_become_such_as_xcode_takes(tmp_path: Path) -> None:
    request, _ = odd_names(tmp_path)
    made = CoreMlConverter().convert(request)
    wanted = ("scope_scores_0", "tensor_477")
    assert made.binding.tensors == wanted
    session = RUNTIMES.load("coreml").open(request.output)
    assert tuple(spec.name for spec in session.outputs) == wanted


def test_names_stay_unlike_each_other() -> None:
    names = ("a/b", "a_b", "a:b", "1", "")
    assert identifiers(names) == {
        "a/b": "a_b",
        "a_b": "a_b_2",
        "a:b": "a_b_3",
        "1": "tensor_1",
        "": "tensor_",
    }


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (torch.lgamma, "lgamma in odd/lgamma"),
        (lambda x: nn.functional.pad(x, (1, 1, 1, 1), mode="circular"), "Pad mode"),
    ],
)
def test_an_operator_without_a_form_is_named_with_its_place(
    tmp_path: Path, last: Callable[[Tensor], Tensor], said: str
) -> None:
    with pytest.raises(PhoneproofError) as caught:
        convert(tmp_path, net=Tail(last))
    assert isinstance(caught.value, (Unsupported, ConversionFailed))
    assert said in caught.value.found
    assert "odd/" in caught.value.found
    assert caught.value.next_step
    assert {path.name for path in tmp_path.iterdir()} == {"hub.pt2"}


@pytest.mark.parametrize(
    "last",
    [
        lambda x: nn.functional.max_pool2d(x.repeat(1, 1, 2, 2), 2),  # padding left out
        lambda x: nn.functional.avg_pool2d(x.repeat(1, 1, 2, 2), 2),
        lambda x: x.var(dim=1, keepdim=True) + x,  # arguments by name
    ],
)
def test_arguments_that_export_leaves_out_are_filled_in(
    tmp_path: Path, last: Callable[[Tensor], Tensor]
) -> None:
    path, _ = convert(tmp_path, net=Tail(last), input_="tensor")
    image = tiny.pixels("NCHW")
    expected = RUNTIMES.load("hub").open(tmp_path / "hub.pt2").run({"image": image})
    found = RUNTIMES.load("coreml").open(path).run({"image": image})
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5 * np.abs(value).max())
