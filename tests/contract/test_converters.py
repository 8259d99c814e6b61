"""What every converter promises, whatever library it wraps."""

from __future__ import annotations

from pathlib import Path

import msgspec
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
def edge(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def converter(edge: str) -> Converter:
    return CONVERTERS.load(edge)


@pytest.fixture(params=[edge for edge in CONVERTERS if edge.startswith("hub-")])
def from_hub(request: pytest.FixtureRequest) -> Converter:
    """Those that read a hub program."""
    return CONVERTERS.load(request.param)


def convert(edge: str, folder: Path, source: Layout, target: Layout) -> tuple[Path, WrittenModel]:
    """(file, what the converter returned)."""
    wanted = tiny.chain_request(edge, folder, source, target)
    return wanted.output, CONVERTERS.load(edge).convert(wanted)


def content(path: Path) -> dict[str, bytes]:
    """Every file of an artifact."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.relative_to(path.parent)): file.read_bytes() for file in files}


def test_an_edge_is_named_by_its_ends(edge: str, converter: Converter) -> None:
    assert edge == f"{converter.source}-{converter.format}"


@pytest.mark.parametrize(("source", "target"), LAYOUTS)
def test_the_file_is_the_hub(edge: str, tmp_path: Path, source: Layout, target: Layout) -> None:
    output, converted = convert(edge, tmp_path, source, target)
    name = converted.binding.format
    image = tiny.pixels(source)
    expected = RUNTIMES.load("hub").open(tmp_path / "hub.pt2").run({"image": image})
    session = RUNTIMES.load(name).open(output)
    moved = np.ascontiguousarray(image.transpose(permutation(source, target)))
    found = session.run({"image": moved})
    assert set(found) == set(expected)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, atol=HUB_RELATIVE * np.abs(value).max())

    binding = converted.binding
    assert binding.format == CONVERTERS.load(edge).format
    assert binding.precision == "float32"
    assert binding.artifact is None
    assert binding.contract == tiny.CONTRACT.sha256
    assert binding.image.layout == target
    assert [(i.tensor, i.shape) for i in binding.inputs] == [
        (spec.name, spec.shape) for spec in session.inputs
    ]
    shapes = {spec.name: spec.shape for spec in session.outputs}
    assert {o.tensor: o.shape for o in binding.outputs} == shapes
    embedded = read_embedded(output, binding.format)
    assert (embedded.contract, embedded.binding) == (tiny.CONTRACT, binding)
    left = {path.name for path in tmp_path.iterdir()} - {"hub.pt2", "source.saved_model"}
    assert left == {output.name}


class Listed(nn.Module):
    """The tiny network as some are written: its outputs come in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = tiny.TinyNet("NCHW")

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return list(self.inner(image))


def test_a_list_of_outputs_is_taken_apart(from_hub: Converter, tmp_path: Path) -> None:
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", Listed())
    output = tmp_path / "model"
    from_hub.convert(tiny.request(hub, "NCHW", "NCHW", output))
    assert set(RUNTIMES.load(from_hub.format).open(output).outputs) == set(tiny.OUTPUTS)


def test_converting_twice_gives_the_same_bytes(edge: str, tmp_path: Path) -> None:
    files = []
    for run in ("first", "second, elsewhere"):
        folder = tmp_path / run
        folder.mkdir()
        files.append(content(convert(edge, folder, "NCHW", "NHWC")[0]))
    assert files[0].keys() == files[1].keys()
    assert [name for name in files[0] if files[0][name] != files[1][name]] == []


def test_no_path_of_this_disk_is_inside(edge: str, tmp_path: Path) -> None:
    data = b"".join(content(convert(edge, tmp_path, "NCHW", "NHWC")[0]).values())
    here = Path(__file__).resolve()
    for path in (here.parents[2], here.parents[3], Path.home(), tmp_path.parent):
        assert str(path).encode() not in data
    for part in (b"site-packages", b".py\x00", here.name.encode()):
        assert part not in data


def test_weights_that_are_not_numbers_are_refused(from_hub: Converter, tmp_path: Path) -> None:
    net = tiny.TinyNet("NCHW")
    with torch.no_grad():
        net.body.weight[1, 2, 0, 1] = float("nan")
    hub = tiny.write_hub(tmp_path / "hub.pt2", "NCHW", net)
    output = tmp_path / "model"
    with pytest.raises(ConversionFailed) as caught:
        from_hub.convert(tiny.request(hub, "NCHW", "NCHW", output))
    assert "NaN" in caught.value.found
    assert not output.exists()


def test_a_binding_of_another_file_is_refused(edge: str, tmp_path: Path) -> None:
    wanted = tiny.chain_request(edge, tmp_path, "NCHW", "NCHW")
    image = msgspec.structs.replace(
        wanted.binding.image, shape=tiny.image_shape("NHWC"), layout="NHWC"
    )
    other = msgspec.structs.replace(wanted.binding, inputs=(image,))
    with pytest.raises(InvalidInput):
        CONVERTERS.load(edge).convert(msgspec.structs.replace(wanted, binding=other))
    assert not wanted.output.exists()


def test_a_file_of_another_kind_is_refused(converter: Converter, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput):
        converter.convert(tiny.request(source, "NCHW", "NCHW", tmp_path / "model"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
