"""Core AI: Apple's own runtime on Linux gives what torch gives, and shows what is wrong."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

from phoneproof.convert.base import CONVERTERS
from phoneproof.core.artifact import tree_bytes, tree_sha256
from phoneproof.core.errors import (
    InvalidInput,
    MissingExtra,
    OptimizationFailed,
    Unsupported,
)
from phoneproof.runtimes.base import RUNTIMES, Float
from phoneproof.runtimes.embedded import read_embedded
from tests.integration.coreai_nets import (
    CONTRACT,
    Mobile,
    Resizes,
    Small,
    core_ai,
    picture,
    small,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

NETS = {"mobile": Mobile, "resizes": Resizes}
FLOAT32 = 1e-5
"""Largest difference, relative to the largest magnitude."""


def relative(found: Float, expected: Float) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def snr_db(found: Float, expected: Float) -> float:
    signal = np.square(expected, dtype=np.float64).sum()
    return float(10 * np.log10(signal / np.square(found - expected, dtype=np.float64).sum()))


@pytest.fixture(scope="module", params=list(NETS))
def net(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small(NETS[request.param](), tmp_path_factory.mktemp("hub") / "hub.pt2")


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    folder = tmp_path_factory.mktemp("mobile")
    hub = small(Mobile(), folder / "hub.pt2")
    hub.convert(folder / "m.aimodel")
    return hub, folder / "m.aimodel"


def test_apples_runtime_gives_what_torch_gives(net: Small, tmp_path: Path) -> None:
    written = net.convert(tmp_path / "m.aimodel")
    assert written.binding.precision == "float32"
    for seed in (5, 6):
        image = picture(seed=seed)
        assert relative(core_ai(tmp_path / "m.aimodel", image), net.run(image)) <= FLOAT32


def test_a_weight_that_is_scaled_shows(tmp_path: Path) -> None:
    right, wrong = Mobile(), Mobile()
    with torch.no_grad():
        wrong.expand.weight[7] *= 1.5
    expected = small(right, tmp_path / "right.pt2").run(picture())
    small(wrong, tmp_path / "wrong.pt2").convert(tmp_path / "wrong.aimodel")
    assert relative(core_ai(tmp_path / "wrong.aimodel", picture()), expected) > 5 * FLOAT32


def test_equal_hubs_give_equal_bytes_with_contract_and_binding(
    mobile: tuple[Small, Path], tmp_path: Path
) -> None:
    hub, first = mobile
    written = hub.convert(tmp_path / "again.aimodel")
    assert tree_sha256(tmp_path / "again.aimodel") == tree_sha256(first)
    embedded = read_embedded(first, "coreai")
    assert (embedded.contract, embedded.binding) == (CONTRACT, written.binding)
    names = {path.name for path in first.iterdir()}
    assert names == {"main.mlirb", "main.hash", "metadata.json"}
    held = b"".join(path.read_bytes() for path in first.iterdir())
    assert str(tmp_path).encode() not in held
    assert str(Path(__file__).parent).encode() not in held


def test_float16_keeps_the_signal_in_half_the_bytes(net: Small, tmp_path: Path) -> None:
    net.convert(tmp_path / "float32.aimodel")
    half = net.half(tmp_path / "half.pt2")
    written = half.convert(tmp_path / "float16.aimodel")
    assert written.binding.precision == "float16"
    assert written.binding.image.dtype == "float32"
    assert tree_bytes(tmp_path / "float16.aimodel") < tree_bytes(tmp_path / "float32.aimodel")
    expected = net.run(picture())
    found = core_ai(tmp_path / "float16.aimodel", picture())
    assert found.dtype == np.float32
    assert 45 < snr_db(found, expected) < 90


class Hot(nn.Module):
    """A layer whose outputs float16 cannot hold, brought back by the next one."""

    def __init__(self, factor: float = 1e6) -> None:
        super().__init__()
        self.warm = nn.Conv2d(3, 4, 1)
        self.cool = nn.Conv2d(4, 2, 1)
        self.factor = factor

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        # Twice a thousand: each factor fits float16, their product does not.
        root = self.factor**0.5
        cooled: torch.Tensor = self.cool(self.warm(image) * root * root) / self.factor
        return cooled


def test_overflow_shows_and_an_island_of_float32_heals_it(tmp_path: Path) -> None:
    hub = small(Hot(), tmp_path / "hub.pt2")
    expected = hub.run(picture())
    hub.half(tmp_path / "half.pt2").convert(tmp_path / "half.aimodel")
    assert not np.isfinite(core_ai(tmp_path / "half.aimodel", picture())).all()
    session = RUNTIMES.load("hub").open_for_trace(hub.hub)
    layers = [name for name, _ in session.trace({"image": picture()})]
    island = hub.half(tmp_path / "island.pt2", tuple(layers[1:]))
    island.convert(tmp_path / "island.aimodel")
    assert snr_db(core_ai(tmp_path / "island.aimodel", picture()), expected) > 45


def test_a_weight_beyond_float16_is_refused(tmp_path: Path) -> None:
    broken = Hot()
    with torch.no_grad():
        broken.warm.weight[0, 0] = 1e5
    hub = small(broken, tmp_path / "hub.pt2")
    with pytest.raises(OptimizationFailed, match="does not fit float16") as caught:
        hub.half(tmp_path / "half.pt2")
    assert "100000" in caught.value.found
    with pytest.raises(OptimizationFailed, match="no such layer"):
        hub.half(tmp_path / "half.pt2", ("conv2d_77",))
    assert not (tmp_path / "half.pt2").exists()


class Sorted(nn.Module):
    """An operator that Core AI's converter lacks."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = torch.sort(image * 2, dim=3).values
        return values


def test_a_missing_operator_is_named_with_its_place(tmp_path: Path) -> None:
    hub = small(Sorted(), tmp_path / "hub.pt2")
    with pytest.raises(Unsupported) as caught:
        hub.convert(tmp_path / "m.aimodel")
    assert "aten.sort" in caught.value.found
    assert "(at sort" in caught.value.found
    assert not (tmp_path / "m.aimodel").exists()


class Constant(nn.Module):
    """Gives a large tensor, so that keeping any of them would be seen."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([image] * 64, 1)


def test_a_hundred_runs_leave_nothing_behind(tmp_path: Path) -> None:
    """One output is 1 MB: a hundred that were kept would be 100."""
    small(Constant(), tmp_path / "hub.pt2").convert(tmp_path / "m.aimodel")
    session = RUNTIMES.load("coreai").open(tmp_path / "m.aimodel")
    feed = {"image": picture()}
    process = psutil.Process()
    for _ in range(10):
        session.run(feed)
    before = process.memory_info().rss
    for _ in range(100):
        session.run(feed)
    assert process.memory_info().rss - before < 25 << 20
    handles = process.num_fds()
    for _ in range(5):
        RUNTIMES.load("coreai").open(tmp_path / "m.aimodel")
    assert process.num_fds() <= handles + 4


def test_the_runtime_says_whose_it_is() -> None:
    runtime = RUNTIMES.load("coreai")
    assert runtime.name == "Apple Core AI runtime on Linux"
    assert runtime.version.startswith("coreai-core ")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_program_is_refused(
    mobile: tuple[Small, Path], tmp_path: Path, share: float
) -> None:
    """Apple's parser ends the whole process over such a file: it must not see it."""
    model = tmp_path / "cut.aimodel"
    shutil.copytree(mobile[1], model)
    data = (model / "main.mlirb").read_bytes()
    (model / "main.mlirb").write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InvalidInput, match=r"cut\.aimodel"):
        RUNTIMES.load("coreai").open(model)


def test_a_program_without_its_function_is_refused(
    mobile: tuple[Small, Path], tmp_path: Path
) -> None:
    model = tmp_path / "other.aimodel"
    shutil.copytree(mobile[1], model)
    data = (model / "main.mlirb").read_bytes()
    assert data.count(b"\0main\0") == 1
    renamed = data.replace(b"\0main\0", b"\0mine\0")
    (model / "main.mlirb").write_bytes(renamed)
    (model / "main.hash").write_bytes(hashlib.sha256(renamed).digest())
    with pytest.raises(Unsupported, match="no function 'main'"):
        RUNTIMES.load("coreai").open(model)


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [key for key in sys.modules if key.partition(".")[0] in ("coreai", "coreai_torch")]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("coreai", "coreai.authoring"):
        monkeypatch.setitem(sys.modules, name, None)
    for backend in ("runtimes.backends.coreai", "convert.backends.coreai_torch"):
        monkeypatch.delitem(sys.modules, f"phoneproof.{backend}", raising=False)
    for load in (lambda: RUNTIMES.load("coreai"), lambda: CONVERTERS.load("hub-coreai")):
        with pytest.raises(MissingExtra) as caught:
            load()
        assert "phoneproof[coreai]" in caught.value.next_step
