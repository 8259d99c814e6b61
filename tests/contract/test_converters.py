"""What every converter promises, whatever library it wraps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from phoneproof.convert.artifact import permutation
from phoneproof.convert.base import CONVERTERS, Converter
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Layout
from phoneproof.core.errors import ConversionFailed, InvalidInput
from phoneproof.core.tolerances import HUB_RELATIVE
from phoneproof.runtimes.base import RUNTIMES
from phoneproof.runtimes.embedded import read_embedded
from tests.contract import tiny

pytestmark = [
    # torch.onnx and litert-torch warn while they are imported; the converters silence them only
    # while they run.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

LAYOUTS: tuple[tuple[Layout, Layout], ...] = (
    ("NCHW", "NCHW"),
    ("NCHW", "NHWC"),
    ("NHWC", "NCHW"),
    ("NHWC", "NHWC"),
)


@pytest.fixture(params=list(CONVERTERS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def converter(name: str) -> Converter:
    return CONVERTERS.load(name)


def convert(
    converter: Converter, folder: Path, source: Layout, target: Layout
) -> tuple[Path, Path, WrittenModel]:
    """(hub, file, what the converter returned)."""
    hub = tiny.write_hub(folder / "hub.pt2", source)
    output = folder / f"model.{converter.format}"
    return hub, output, converter.convert(tiny.request(hub, source, target, output))


@pytest.mark.parametrize(("source", "target"), LAYOUTS)
def test_the_file_is_the_hub(
    converter: Converter, name: str, tmp_path: Path, source: Layout, target: Layout
) -> None:
    hub, output, converted = convert(converter, tmp_path, source, target)
    image = tiny.pixels(source)
    expected = RUNTIMES.load("hub").open(hub).run({"image": image})
    session = RUNTIMES.load(name).open(output)
    moved = np.ascontiguousarray(image.transpose(permutation(source, target)))
    found = session.run({"image": moved})
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=HUB_RELATIVE * np.abs(value).max())

    binding = converted.binding
    assert binding.format == name
    assert binding.precision == "float32"
    assert binding.artifact is None
    assert binding.contract == tiny.CONTRACT.sha256
    assert binding.image.layout == target
    assert [(i.tensor, i.shape) for i in binding.inputs] == [
        (spec.name, spec.shape) for spec in session.inputs
    ]
    assert [(o.tensor, o.shape) for o in binding.outputs] == [
        (spec.name, spec.shape) for spec in session.outputs
    ]
    embedded = read_embedded(output, binding.format)
    assert (embedded.contract, embedded.binding) == (tiny.CONTRACT, binding)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub.pt2", output.name]


class Listed(nn.Module):
    """The tiny network as some are written: its outputs come in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny.TinyNet("NCHW")

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return list(self.inner(image))


def test_a_list_of_outputs_is_taken_apart(converter: Converter, name: str, tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", Listed())
    output = tmp_path / "model"
    converter.convert(tiny.request(hub, "NCHW", "NCHW", output))
    assert RUNTIMES.load(name).open(output).outputs == tiny.OUTPUTS


def test_converting_twice_gives_the_same_bytes(converter: Converter, tmp_path: Path) -> None:
    files = []
    for run in ("first", "second, elsewhere"):
        folder = tmp_path / run
        folder.mkdir()
        files.append(convert(converter, folder, "NCHW", "NHWC")[1].read_bytes())
    assert files[0] == files[1]


def test_no_path_of_this_disk_is_inside(converter: Converter, tmp_path: Path) -> None:
    data = convert(converter, tmp_path, "NCHW", "NHWC")[1].read_bytes()
    here = Path(__file__).resolve()
    for path in (here.parents[2], here.parents[3], Path.home(), tmp_path.parent):
        assert str(path).encode() not in data
    for part in (b"site-packages", b".py\x00", here.name.encode()):
        assert part not in data


def test_weights_that_are_not_numbers_are_refused(converter: Converter, tmp_path: Path) -> None:
    net = tiny.TinyNet("NCHW")
    with torch.no_grad():
        net.body.weight[1, 2, 0, 1] = float("nan")
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", net)
    output = tmp_path / "model"
    with pytest.raises(ConversionFailed) as caught:
        converter.convert(tiny.request(hub, "NCHW", "NCHW", output))
    assert "NaN" in caught.value.found
    assert not output.exists()


def test_a_binding_of_another_hub_is_refused(converter: Converter, tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW")
    wanted = tiny.request(hub, "NHWC", "NCHW", tmp_path / "model")
    with pytest.raises(InvalidInput):
        converter.convert(wanted)


def test_a_file_that_is_no_hub_is_refused(converter: Converter, tmp_path: Path) -> None:
    hub = tmp_path / "hub.pt2"
    hub.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput):
        converter.convert(tiny.request(hub, "NCHW", "NCHW", tmp_path / "model"))
    assert not (tmp_path / "model").exists()
