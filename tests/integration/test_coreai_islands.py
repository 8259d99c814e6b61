"""Float32 layers in Core AI's float16 files: chosen on the hub, converted and run by Apple's."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from phoneproof.core.json_format import parse
from phoneproof.core.recipe import Float16
from phoneproof.optimize.backends.hub_fold import fold_batch_norms
from phoneproof.optimize.backends.hub_graph import graph_of
from phoneproof.optimize.backends.hub_half import HalfHub, computations
from phoneproof.optimize.backends.hub_scan import HubScanRequest, scan
from phoneproof.optimize.base import OPTIMIZERS, OptimizeRequest
from phoneproof.optimize.float16_scan import Float16Scan
from phoneproof.optimize.islands import with_readers
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.hub import load_hub
from phoneproof.runtimes.base import Float
from tests.integration.coreai_nets import CONTRACT, Mobile, Small, core_ai, picture, small
from tests.integration.test_coreai import Hot, snr_db

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the libraries' own imports
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> Small:
    return small(Mobile(), tmp_path_factory.mktemp("mobile") / "hub.pt2")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.random.default_rng(7).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def scanned(hub: Small, photo: Path, asked: float | None) -> Float16Scan:
    return scan(
        HubScanRequest(
            artifact=hub.hub, contract=CONTRACT, binding=hub.binding, images=(photo,), snr_db=asked
        )
    )


def fed(hub: Small, photo: Path) -> Float:
    spec = CONTRACT.image
    tensor = Preprocessor(spec, hub.binding.image).prepare(read_image(photo, spec)).tensor
    return np.ascontiguousarray(tensor, np.float32).reshape(hub.binding.image.shape)


@pytest.mark.parametrize("count", [0, 4, 8])
def test_what_is_computed_before_is_what_pytorchs_float16_gives(
    mobile: Small, tmp_path: Path, count: int
) -> None:
    """Both round every value once; only the order of sums differs."""
    module = graph_of(load_hub(mobile.hub)[0])
    fold_batch_norms(module)
    layers = tuple(one.name for one in computations(module))[:count]
    kept = with_readers(computations(module), layers)
    expected = mobile.run(picture())
    (made,) = HalfHub(module).outputs(torch.from_numpy(picture()), kept)
    told = mobile.half(tmp_path / "half.pt2", layers).run(picture())
    assert np.allclose(made.numpy(), told, rtol=4 * 2.0**-11)
    (exact,) = HalfHub(module).outputs(torch.from_numpy(picture()), None)
    assert np.allclose(exact.numpy(), expected, rtol=1e-5)
    assert not np.allclose(made.numpy(), expected, rtol=1e-5)


def test_as_few_layers_as_a_ratio_takes_make_a_mixed_file_that_has_it(
    mobile: Small, photo: Path, tmp_path: Path
) -> None:
    plain = scanned(mobile, photo, 20.0)
    assert plain.snr_db is not None
    assert (plain.layers, plain.must) == ((), ())
    aim = plain.snr_db + 6
    found = scanned(mobile, photo, aim)
    assert found.reached_db is not None
    assert aim <= found.reached_db < math.inf
    assert 0 < len(found.layers) < len(found.damage)
    image = fed(mobile, photo)
    expected = mobile.run(image)
    written = mobile.half(tmp_path / "mixed.pt2", found.layers).convert(tmp_path / "mixed.aimodel")
    assert written.binding.precision == "mixed"
    assert snr_db(core_ai(tmp_path / "mixed.aimodel", image), expected) > aim - 2
    mobile.half(tmp_path / "half.pt2").convert(tmp_path / "half.aimodel")
    assert snr_db(core_ai(tmp_path / "half.aimodel", image), expected) < aim - 2


def test_layers_that_overflow_are_named_whatever_is_asked(photo: Path, tmp_path: Path) -> None:
    hub = small(Hot(), tmp_path / "hub.pt2")
    image = fed(hub, photo)
    for asked in (None, 45.0):
        found = scanned(hub, photo, asked)
        assert found.unheld
        hub.half(tmp_path / "island.pt2", found.must).convert(tmp_path / f"{asked}.aimodel")
        given = core_ai(tmp_path / f"{asked}.aimodel", image)
        assert snr_db(given, hub.run(image)) > 45
    assert scanned(small(Hot(1.0), tmp_path / "cold.pt2"), photo, None).must == ()


def test_who_reads_a_float32_layer_stays_float32_and_is_listed(
    mobile: Small, tmp_path: Path
) -> None:
    written = OPTIMIZERS.load("hub-float16").propose(
        OptimizeRequest(
            artifact=mobile.hub,
            contract=CONTRACT,
            binding=mobile.binding,
            recipe=Float16(float32_share=0.0, float_layers=("relu6",)),
            output=tmp_path / "half.pt2",
        )
    )
    listed = parse(
        dict(written.options)["float32_layers"].encode(), tuple[str, ...], what="options"
    )
    module = graph_of(load_hub(mobile.hub)[0])
    fold_batch_norms(module)
    (relu,) = (node for node in module.graph.nodes if node.name == "relu6")
    assert listed[0] == "relu6"
    assert {*listed[1:]} == {reader.name for reader in relu.users}
