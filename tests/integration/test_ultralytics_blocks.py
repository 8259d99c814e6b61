"""Every block against numbers of the original implementation, on small tables of our own.

The numbers were recorded once (see the file's first line); the package is not needed here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from phoneproof.capture.backends.ultralytics.blocks.attention import Attention, PsaBlock
from phoneproof.capture.backends.ultralytics.blocks.convolution import Conv, Focus
from phoneproof.capture.backends.ultralytics.blocks.cross_stage import (
    C3,
    Bottleneck,
    Cib,
    RepVggDw,
)
from phoneproof.capture.backends.ultralytics.blocks.network import Network
from phoneproof.capture.backends.ultralytics.blocks.pooling import Sppf
from phoneproof.capture.backends.ultralytics.description import describe
from phoneproof.capture.backends.ultralytics.rebuild import rebuild
from phoneproof.capture.base import SOURCES, Source
from phoneproof.capture.infer import hub_binding, infer_contract
from phoneproof.core.capture import Inspection
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.core.tolerances import HUB_RELATIVE
from phoneproof.decode.decode import decode
from phoneproof.decode.results import Detections
from phoneproof.runtimes.base import Session
from tests.integration.hub_agreement import worst_relative
from tests.integration.ultralytics_files import changed, made, pickled
from tests.integration.ultralytics_tables import SIZE, TABLES, image

RELATIVE, ABSOLUTE = 1e-4, 2e-5
"""Two orders of summation of the same float32 products; a wrong block is off by 1e-2 and more."""

END_TO_END = ("yolov10", "yolo26")

Array = NDArray[np.float32]


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Evenly spaced values of a tensor."""

    shape: tuple[int, ...]
    values: tuple[float, ...]


class Recorded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the original gave for one table.

    output: of heads that are decoded. scores, top: of end-to-end heads: the one-to-one branch's
    scores before the selection, and the first rows of the selection (xyxy, score, class).
    """

    parameters: int
    eps: float | None = None
    output: Sample | None = None
    scores: Sample | None = None
    top: tuple[tuple[float, float, float, float, float, float], ...] = ()


class Numbers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recorded file."""

    recorded: str
    tables: dict[str, Recorded]


NUMBERS = msgspec.json.decode(
    Path(__file__).with_name("ultralytics_numbers.json").read_bytes(), type=Numbers
)


@pytest.fixture(scope="module")
def source() -> Source:
    return SOURCES.load("ultralytics")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {name: checkpoint(folder, name) for name in TABLES}


def checkpoint(folder: Path, name: str) -> Path:
    return made(folder / f"{name}.pt", TABLES[name], train_args={"imgsz": list(SIZE)})


def agrees(values: Array, sample: Sample) -> bool:
    """Whether the sampled places hold the recorded numbers."""
    assert values.shape == sample.shape
    places = np.linspace(0, values.size - 1, len(sample.values)).astype(int)
    return np.allclose(values.reshape(-1)[places], sample.values, rtol=RELATIVE, atol=ABSOLUTE)


def as_recorded(name: str, network: Network) -> bool:
    """Whether a network gives what the original gave; classifiers' own eps is set for it."""
    expected = NUMBERS.tables[name]
    with torch.inference_mode():
        output = network(torch.from_numpy(image())).numpy()
    if expected.output is not None:
        return agrees(output, expected.output)
    assert expected.scores is not None
    return agrees(output[:, 4:], expected.scores)


def network_of(path: Path, name: str) -> Network:
    network = rebuild(describe(path), SIZE)
    eps = NUMBERS.tables[name].eps
    for module in network.modules():
        if eps is not None and isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    return network


@pytest.fixture(scope="module")
def networks(files: dict[str, Path]) -> dict[str, Network]:
    return {name: network_of(path, name) for name, path in files.items()}


@pytest.mark.parametrize("name", TABLES)
def test_the_blocks_give_the_originals_numbers(networks: dict[str, Network], name: str) -> None:
    assert as_recorded(name, networks[name])


@pytest.mark.parametrize("name", TABLES)
def test_they_have_the_originals_parameters(files: dict[str, Path], name: str) -> None:
    """All of the file's: the unused branch of end-to-end heads too."""
    description = describe(files[name])
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    total = sum(
        ref.numel for key, ref in description.model.tensors.items() if not key.endswith(buffers)
    )
    assert total == NUMBERS.tables[name].parameters


Fault = Callable[[nn.Module], bool]
"""Spoils a module; False where it is not the kind that is meant."""


def _flips_shortcut(module: nn.Module) -> bool:
    if isinstance(module, Bottleneck | Cib | Sppf):
        module.add = not module.add
    return isinstance(module, Bottleneck | Cib | Sppf)


def _activates(module: nn.Module) -> bool:
    """A convolution that stays linear in the original."""
    linear = isinstance(module, Conv) and isinstance(module.act, nn.Identity)
    if linear:
        module.act = nn.SiLU()
    return linear


def _leaves_linear(module: nn.Module) -> bool:
    if isinstance(module, Conv | RepVggDw):
        module.act = nn.Identity()
    return isinstance(module, Conv | RepVggDw)


def _splits_heads(module: nn.Module) -> bool:
    if not isinstance(module, Attention):
        return False
    module.num_heads *= 2
    module.head_dim //= 2
    module.key_dim //= 2
    return True


def _scales_by_width(module: nn.Module) -> bool:
    if isinstance(module, Attention):
        module.scale = module.head_dim**-0.5
    return isinstance(module, Attention)


def _drops_position(module: nn.Module) -> bool:
    if isinstance(module, Attention):
        nn.init.zeros_(module.pe.bn.weight)
        nn.init.zeros_(module.pe.bn.bias)
    return isinstance(module, Attention)


def _drops_feed_forward(module: nn.Module) -> bool:
    if isinstance(module, PsaBlock):
        module.ffn = nn.Sequential(nn.Identity())
    return isinstance(module, PsaBlock)


def _swaps_branches(module: nn.Module) -> bool:
    if isinstance(module, C3):
        module.cv1, module.cv2 = module.cv2, module.cv1
    return isinstance(module, C3)


def _drops_small_kernel(module: nn.Module) -> bool:
    if isinstance(module, RepVggDw):
        nn.init.zeros_(module.conv1.bn.weight)
    return isinstance(module, RepVggDw)


def _pools_once_less(module: nn.Module) -> bool:
    if isinstance(module, nn.MaxPool2d):
        module.kernel_size, module.padding = 3, 1
    return isinstance(module, nn.MaxPool2d)


def _changes_parity(module: nn.Module) -> bool:
    """Space to depth with columns before rows."""
    if isinstance(module, Focus):
        blocks = module.conv.conv.weight.reshape(16, 4, 3, 3, 3)
        module.conv.conv.weight = nn.Parameter(
            blocks[:, [0, 2, 1, 3]].reshape(16, 12, 3, 3), requires_grad=False
        )
    return isinstance(module, Focus)


FAULTS: list[tuple[str, Fault]] = [
    ("yolov5u", _flips_shortcut),
    ("yolov5u", _swaps_branches),
    ("yolov5u", _pools_once_less),
    ("yolov5u", _changes_parity),
    ("yolov8", _flips_shortcut),
    ("yolov8", _leaves_linear),
    ("yolo11", _flips_shortcut),
    ("yolo11", _splits_heads),
    ("yolo11", _scales_by_width),
    ("yolo11", _drops_position),
    ("yolo11", _drops_feed_forward),
    ("yolo11", _activates),
    ("yolo11_deep", _swaps_branches),
    ("yolo11_cls", _drops_position),
    ("yolov10", _flips_shortcut),
    ("yolov10", _drops_small_kernel),
    ("yolov10", _activates),
    ("yolo26", _flips_shortcut),
    ("yolo26", _activates),
    ("yolo26", _drops_feed_forward),
    ("yolo26", _pools_once_less),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_one_wrong_block_is_noticed(networks: dict[str, Network], name: str, fault: Fault) -> None:
    """Control: the first place where a fault fits is enough."""
    network = copy.deepcopy(networks[name])
    assert any(fault(module) for module in list(network.modules()))
    assert not as_recorded(name, network)


@pytest.mark.parametrize("name", ["yolov5u", "yolo11", "yolov10", "yolo26"])
def test_the_hub_program_is_the_network(source: Source, files: dict[str, Path], name: str) -> None:
    session = source.open(files[name], size=SIZE, batch=1)
    ((_, export),) = source.importers(files[name], size=SIZE, batch=1)
    assert worst_relative(export(), session, [image()]) <= HUB_RELATIVE


# End-to-end heads.


def decoded(inspection: Inspection, session: Session) -> Detections:
    """The detections of the app that follows the inferred contract, in pixels of the input."""
    contract = infer_contract(inspection, name="net").contract
    assert contract.decode is not None
    assert contract.decode.nms is None
    binding = hub_binding(inspection, contract, size=SIZE, batch=1)
    outputs = session.run({"image": image()})
    results = decode(outputs, contract, binding, to_original=lambda boxes: boxes)
    assert isinstance(results, Detections)
    return results


@pytest.mark.parametrize("name", END_TO_END)
def test_the_contracts_decode_is_the_familys_selection(
    source: Source, files: dict[str, Path], name: str
) -> None:
    """[N, 4 + C, A] and a threshold give the rows of the original's own [N, 300, 6]."""
    found = decoded(source.inspect(files[name]), source.open(files[name], size=SIZE, batch=1))
    top = np.array(NUMBERS.tables[name].top, np.float32)
    assert len(found.scores) > len(top) >= 16
    assert (np.diff(found.scores) <= 0).all()
    np.testing.assert_allclose(found.scores[: len(top)], top[:, 4], rtol=RELATIVE)
    for row in top:
        same = found.classes == int(row[5])
        far = np.abs(found.boxes[same] - row[:4]).max(1) + np.abs(found.scores[same] - row[4])
        assert far.min() <= 1e-2  # pixels; the rows are recorded to seven digits


@pytest.mark.parametrize("name", END_TO_END)
def test_the_branch_that_only_helps_training_is_left_out(
    source: Source, files: dict[str, Path], name: str
) -> None:
    found = {finding.key: finding for finding in source.inspect(files[name]).findings}
    assert found["head.branch"].value == "one-to-one"
    assert "one-to-many" in found["source.left_out"].reason
    assert found["contract.preset"].value == "ultralytics.detect_end2end"
    left_out = describe(files[name]).left_out
    assert left_out
    assert all(key.split(".")[2] in ("cv2", "cv3") for key in left_out)


def test_weights_beside_the_described_ones_are_still_refused(tmp_path: Path) -> None:
    """Control of the above: only the branch's own names may be left out."""
    table = {**TABLES["yolov8"], "end2end": False}
    path = made(tmp_path / "a.pt", table)
    edit = path.with_name("b.pt")
    changed(path, edit, lambda data: data.replace(pickled("running_mean"), pickled("running_mode")))
    with pytest.raises(InvalidInput, match="do not fit"):
        rebuild(describe(edit), SIZE)


def test_a_recorded_flag_that_contradicts_the_table_is_refused(tmp_path: Path) -> None:
    """The same shapes with another shortcut: only the module's own record can tell."""
    path = made(tmp_path / "a.pt", TABLES["yolov5u"])
    other = {**TABLES["yolov5u"], "backbone": without_shortcut()}
    description = describe(path)
    architecture = describe(made(tmp_path / "b.pt", other)).architecture
    with pytest.raises(InvalidInput, match="not what the architecture describes") as error:
        rebuild(
            type(description)(
                checkpoint=description.checkpoint,
                model=description.model,
                architecture=architecture,
            ),
            SIZE,
        )
    assert error.value.found == "add True instead of False"


def test_a_size_of_millions_of_boxes_is_refused_before_it_is_made(files: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="more boxes"):
        rebuild(describe(files["yolov8"]), (16384, 16384))


def without_shortcut() -> list[object]:
    backbone = TABLES["yolov5u"]["backbone"]
    assert isinstance(backbone, list)
    rows = list(backbone)
    rows[1] = [-1, 6, "C3", [64, False]]
    return rows
