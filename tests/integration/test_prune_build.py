"""Pruned and sparse files from a model file to a bundle, on a network trained on the spot."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from phoneproof.core.artifact import file_sha256
from phoneproof.core.errors import ConfigError
from phoneproof.core.events import Event
from phoneproof.core.optimization import ReadBack
from phoneproof.core.report import ArtifactReport
from phoneproof.demo.run import make_model
from phoneproof.demo.shapes import CLASSES
from phoneproof.formats.shares import gzip_size
from phoneproof.package.bundle import read_bundle
from phoneproof.pipeline.build import BuildOutcome, build
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.ladder import sparse
from phoneproof.runtimes.embedded import read_embedded
from tests.integration.command_line import phoneproof

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of the converters' own imports
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

TRAINING = '''
"""Trains on the demo's own pictures, with their labels."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

FOLDER = Path(__file__).parent / "train"


def recover(network, seconds):
    images, labels = pictures()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(EPOCHS):
        for lot in torch.randperm(len(images)).split(32):
            chances = network(images[lot]).clamp(min=1e-6)
            loss = torch.nn.functional.nll_loss(chances.log(), labels[lot])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network


def pictures():
    found = [(k, path) for k, one in enumerate(sorted(FOLDER.iterdir())) for path in one.iterdir()]
    images = np.stack([squared(Image.open(path)) for _, path in sorted(found)])
    images = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    tensor = torch.tensor(images, dtype=torch.float32).permute(0, 3, 1, 2)
    return tensor, torch.tensor([k for k, _ in sorted(found)])


def squared(picture):
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)).resize((32, 32)))
'''


@dataclass(frozen=True, kw_only=True)
class Shapes:
    """The demo's folder, with builds of their own beside each other; they share a cache."""

    folder: Path

    def configure(self, targets: str, place: str) -> Path:
        path = self.folder / "phoneproof.toml"
        path.write_text(
            '[model]\nsource = "shapes.onnx"\nname = "shapes"\n[data]\nevaluation = "val"\n'
            f'[contract]\npreset = "torchvision.imagenet"\nsize = 32\nlabels = {list(CLASSES)}\n'
            f'[checks]\ncontract_search = "off"\n[package]\ndirectory = "{place}"\n{targets}\n'
        )
        return path

    def train_by(self, code: str) -> None:
        (self.folder / "my_training.py").write_text(code)

    def build(self, targets: str, place: str = "dist") -> tuple[BuildOutcome, dict[str, str]]:
        """In this process; with what became of each step that prunes. place: of the bundle."""
        events: list[Event] = []
        config = load_config(self.configure(targets, place))
        cache = self.folder / ".phoneproof"
        outcome = build(config, workspace=cache, listener=events.append)
        ended = ("finished", "cached")
        return outcome, {e.step: e.state for e in events if "prune" in e.step and e.state in ended}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    folder = tmp_path_factory.mktemp("shapes")
    make_model(folder, lambda event: None)
    return Shapes(folder=folder)


CHANNELS = """
[targets.android]
precisions = ["float32", "int8"]
prune = { macs = 0.6, seconds = 60, finetune = "my_training:recover" }
"""


@pytest.fixture(scope="module")
def shipped(shapes: Shapes) -> dict[str, ArtifactReport]:
    shapes.train_by(f"EPOCHS = 16\n{TRAINING}")
    outcome, _ = shapes.build(CHANNELS)
    assert outcome.report.accepted
    return {one.id: one for one in outcome.report.artifacts}


@pytest.fixture(scope="module")
def zeros(shapes: Shapes) -> dict[str, ArtifactReport]:
    outcome, _ = shapes.build('[targets.android]\nprecisions = ["float32", "sparse"]', "zeros")
    assert outcome.report.accepted
    return {one.id: one for one in outcome.report.artifacts}


def held(report: ArtifactReport) -> ReadBack:
    assert report.read_back is not None
    return report.read_back


def test_every_file_that_was_asked_for_ships(
    shapes: Shapes, shipped: dict[str, ArtifactReport]
) -> None:
    assert set(shipped) == {
        "tflite-float32",
        "tflite-static_wi8_ai8",
        "tflite-float32-pruned",
        "tflite-static_wi8_ai8-pruned",
    }
    bundle = read_bundle(shapes.folder / "dist" / "shapes-1.0.0")
    for artifact in bundle.manifest.artifacts:
        path = shapes.folder / "dist" / "shapes-1.0.0" / artifact.path
        assert file_sha256(path) == artifact.sha256
        assert read_embedded(path, "tflite").binding.precision == artifact.precision
        assert ("artifacts/pruned/" in artifact.path) == artifact.id.endswith("-pruned")


def test_a_network_trained_by_the_users_code_ships(shipped: dict[str, ArtifactReport]) -> None:
    pruned = shipped["tflite-float32-pruned"]
    assert pruned.accepted
    attempt = pruned.attempts[0]
    assert (attempt.rung, attempt.what) == ("pruned", "60% of the macs")
    assert held(pruned).macs < 0.93 * held(shipped["tflite-float32"]).macs


def test_the_pruned_file_is_quantized_too(shipped: dict[str, ArtifactReport]) -> None:
    small = shipped["tflite-static_wi8_ai8-pruned"]
    assert small.accepted
    assert small.requested == "static_wi8_ai8"
    assert small.parent == shipped["tflite-float32-pruned"].sha256
    assert held(small).macs == held(shipped["tflite-float32-pruned"]).macs
    assert small.bytes < min(
        shipped[name].bytes for name in ("tflite-static_wi8_ai8", "tflite-float32-pruned")
    )


def test_a_sparse_file_is_as_large_and_compresses_better(
    shapes: Shapes, zeros: dict[str, ArtifactReport]
) -> None:
    sparse_file, plain = zeros["tflite-sparse"], zeros["tflite-float32"]
    assert sparse_file.accepted
    assert sparse_file.precision == "sparse"
    share = held(sparse_file).zeros
    assert share is not None
    assert share >= 0.09
    assert held(plain).zeros == pytest.approx(0.0, abs=0.01)
    path = shapes.folder / "zeros" / "shapes-1.0.0" / sparse_file.path
    assert read_embedded(path, "tflite").binding.precision == "sparse"
    assert gzip_size(path) == held(sparse_file).gzip_bytes
    before, after = held(plain).gzip_bytes, held(sparse_file).gzip_bytes
    assert before is not None
    assert after is not None
    assert after < (1 - 0.7 * share) * before
    assert sparse_file.bytes == pytest.approx(plain.bytes, rel=0.02)


def test_golden_vectors_come_again(
    shapes: Shapes, shipped: dict[str, ArtifactReport], zeros: dict[str, ArtifactReport]
) -> None:
    for place in ("dist", "zeros"):
        ran = phoneproof("verify", shapes.folder / place / "shapes-1.0.0", cwd=shapes.folder)
        assert ran.code == 0, ran.said


def test_nearly_everything_at_zero_is_refused(
    shapes: Shapes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sparse, "SHARES", (0.99,))
    outcome, _ = shapes.build('[targets.android]\nprecisions = ["sparse"]', "nothing")
    assert not outcome.report.accepted
    (artifact,) = outcome.report.artifacts
    assert {name for name, _ in artifact.attempts[0].failed} >= {"top1_drop"}


SHORT = """
[targets.android]
precisions = ["float32"]
prune = { macs = 0.9, seconds = 5, finetune = "my_training:recover" }
"""


def test_code_that_changed_trains_anew(shapes: Shapes) -> None:
    states = []
    for epochs in (1, 1, 2):
        shapes.train_by(f"EPOCHS = {epochs}\n{TRAINING}")
        _, steps = shapes.build(SHORT, "short")
        states.append(steps["prune to 90% macs"])
    assert states == ["finished", "cached", "finished"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def recover(network, seconds):\n    return network.no_such_thing\n",
            ("my_training:recover failed", "no_such_thing", "my_training.py:2"),
        ),
        ("def recover(network):\n    return network\n", ("my_training:recover failed",)),
        ("def recovr(network, seconds):\n    return network\n", ("did you mean 'recovr'",)),
        ("def recover(network, seconds):\n    network.train()\n", ("returned nothing",)),
        ("def recover(network, seconds:\n", ("my_training.py is not valid Python",)),
        ("import not_there_at_all\n", ("my_training:recover failed", "not_there_at_all")),
    ],
)
def test_what_is_wrong_in_the_users_code_is_said_with_its_place(
    shapes: Shapes, code: str, words: tuple[str, ...]
) -> None:
    shapes.train_by(code)
    with pytest.raises(ConfigError) as caught:
        shapes.build(SHORT, "short")
    for word in words:
        assert word in str(caught.value)


def test_a_module_that_is_not_there_is_said_before_anything_runs(shapes: Shapes) -> None:
    with pytest.raises(ConfigError, match="no module nowhere_at_all for the finetune"):
        shapes.build(SHORT.replace("my_training", "nowhere_at_all"))


def test_the_original_teaches_where_nobody_else_does(shapes: Shapes) -> None:
    outcome, _ = shapes.build(
        '[targets.server]\nformats = ["onnx"]\nprune = { macs = 0.9, seconds = 2 }', "server"
    )
    found = {one.id: one for one in outcome.report.artifacts}
    options = dict(found["onnx-float32-pruned"].options)
    assert options == {} or "finetune" not in options
    assert found["onnx-float32-pruned"].attempts[0].what == "90% of the macs"
