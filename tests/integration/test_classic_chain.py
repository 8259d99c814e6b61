"""The classic chain on a small model: four verified artifacts, and a broken link is named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from phoneproof.core.artifact import tree_bytes, tree_sha256
from phoneproof.core.json_format import parse
from phoneproof.core.report import Report
from phoneproof.formats.tflite import read_tflite
from phoneproof.pipeline.artifact_chain import ArtifactChain, JudgedArtifact
from phoneproof.pipeline.artifact_steps import MadeArtifact
from phoneproof.pipeline.chain_report import chain_report
from phoneproof.pipeline.classic_chain import ClassicChain
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.gate import make_hub, start_baseline
from phoneproof.pipeline.prepare import prepare
from phoneproof.pipeline.workshop import open_workshop
from tests.integration.command_line import phoneproof
from tests.integration.conftest import write_project
from tests.integration.test_bundle_alone import ABSENT
from tests.integration.walls import without_libraries

IDS = ["onnx-float32", "hub-float32", "saved_model-float32", "tflite-float32"]
EDGES = ["hub-onnx", "onnx-hub", "hub-saved_model", "saved_model-tflite"]
PATHS = ["model.onnx", "hub.pt2", "saved_model", "model_float32.tflite"]


@dataclass(frozen=True, kw_only=True)
class Built:
    """A project whose android target goes the classic way, and what was built of it."""

    project: Path
    bundle: Path
    report: Report


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    project = write_project(tmp_path_factory.mktemp("classic") / "project")
    assert phoneproof("init", "colours.onnx", "--images", "val", cwd=project).code == 0
    config = project / "phoneproof.toml"
    text = config.read_text()
    start, end = text.index("[targets.android]"), text.index("[checks]")
    route = '[targets.android]\nroute = "classic"\n\n'
    config.write_text(text[:start] + route + text[end:])
    done = phoneproof("build", cwd=project)
    assert done.code == 0, done.said
    bundle = project / "dist" / "colours-1.0.0"
    report = parse((bundle / "report.json").read_bytes(), Report, what="report")
    return Built(project=project, bundle=bundle, report=report)


def test_four_artifacts_are_kept_and_verified(built: Built) -> None:
    report = built.report
    assert [artifact.id for artifact in report.artifacts] == IDS
    assert [artifact.path for artifact in report.artifacts] == [
        f"artifacts/classic/{name}" for name in PATHS
    ]
    parents = [report.capture.hub_sha256, *(one.sha256 for one in report.artifacts[:-1])]
    assert [artifact.parent for artifact in report.artifacts] == parents
    for artifact in report.artifacts:
        assert tree_sha256(built.bundle / artifact.path) == artifact.sha256
        assert artifact.accepted
        undecided = {check.name for check in artifact.checks if check.verdict != "pass"}
        assert undecided <= {"top1_drop"}  # twelve images cannot decide a margin
        against = {check.against for check in artifact.checks}
        assert {"baseline", "parent"} <= against
        beside = [check for check in artifact.checks if check.against == "parent"]
        assert not any(check.gating for check in beside)
        assert {check.verdict for check in beside} == {"pass"}


def test_every_link_agrees_and_both_routes_are_compared(built: Built) -> None:
    chain = built.report.classic
    assert chain is not None
    assert [link.edge for link in chain.links] == EDGES
    assert [link.agreement for link in chain.links] == [1.0] * 4
    assert all(link.kept and link.to_parent is not None for link in chain.links)
    assert chain.broken is None
    assert [one.route for one in chain.routes] == ["direct", "classic"]
    for one in chain.routes:
        assert one.agreement == 1.0
        assert dict(one.ops)["CONV_2D"] == 1
    page = (built.bundle / "report.html").read_text()
    assert "The classic chain, link by link" in page
    assert "hub → saved_model" in page


def test_the_saved_model_is_small(built: Built) -> None:
    weights = sum(
        tensor.data.size
        for tensor in read_tflite(built.bundle / "artifacts/classic/model_float32.tflite").tensors
    )
    folder = built.bundle / "artifacts/classic/saved_model"
    graph = (folder / "saved_model.pb").stat().st_size
    # A program of six operators: TensorFlow's own description of it outweighs the weights.
    assert tree_bytes(folder) - graph < 1.3 * weights + 4096


_SERVE = """
import sys, tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
assert list(model.signatures) == ["serving_default"], list(model.signatures)
serve = model.signatures["serving_default"]
shape = serve.structured_input_signature[1]["image"].shape
answer = serve(image=tf.fill(shape, 0.5))
print("ANSWER", sorted(answer), float(tf.reduce_sum(answer["probabilities"])))
"""


def test_the_saved_model_serves_in_plain_tensorflow(built: Built) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(built.bundle / "artifacts/classic/saved_model")],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ANSWER ['probabilities'] 1.0" in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return without_libraries(tmp_path_factory.mktemp("wall"), ABSENT)


def test_verify_runs_it_where_tensorflow_is(built: Built, tmp_path: Path) -> None:
    done = phoneproof("verify", built.bundle, cwd=tmp_path)
    assert done.code == 0, done.said
    words = " ".join(done.out.split())
    assert "but 1 of 4 artifacts were not run" in words
    assert "hub-float32: not run" in words
    assert "saved_model-float32: not run" not in words


def test_verify_says_what_it_could_not_run(
    built: Built, small: Mapping[str, str], tmp_path: Path
) -> None:
    done = phoneproof("verify", built.bundle, cwd=tmp_path, env=small)
    assert done.code == 0, done.said
    words = " ".join(done.out.split())
    assert "saved_model-float32: not run: tensorflow is not installed" in words
    assert "but 2 of 4 artifacts were not run" in words


class Faulty(ClassicChain):
    """A chain in which a weight changes after one link, before the next."""

    at: int
    folder: Path

    def make(self, place: int, parent: MadeArtifact | None) -> MadeArtifact:
        made = super().make(place, parent)
        if place != self.at:
            return made
        path = self.folder / made.path.name
        (_corrupt_onnx if path.suffix == ".onnx" else _corrupt_tflite)(made.path, path)
        sha256 = tree_sha256(path)
        binding = msgspec.structs.replace(made.artifact.binding, artifact=sha256)
        artifact = msgspec.structs.replace(made.artifact, sha256=sha256, binding=binding)
        return MadeArtifact(artifact=artifact, path=path)


def _corrupt_onnx(source: Path, target: Path) -> None:
    model = onnx.load(source)
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 2)
    values = numpy_helper.to_array(tensor).copy()
    values[0, 0] += 4.0
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(model, target)


def _corrupt_tflite(source: Path, target: Path) -> None:
    data = source.read_bytes()
    tensors = read_tflite(source).tensors
    weights = max((t for t in tensors if t.dtype == "float32"), key=lambda t: t.data.size)
    old = weights.data.tobytes()
    assert data.count(old) == 1
    values = np.frombuffer(old, np.float32).copy()
    values[np.abs(values).argmax()] += 4.0
    target.write_bytes(data.replace(old, values.tobytes()))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Where a weight changed, and what the chain made of it."""

    at: int
    judged: tuple[JudgedArtifact, ...]


@pytest.fixture(scope="module", params=[0, 3])
def fault(
    request: pytest.FixtureRequest, built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fault]:
    config = load_config(built.project / "phoneproof.toml")
    with open_workshop(built.project / ".phoneproof", lambda event: None) as workshop:
        wanted = prepare(config, workshop, lambda event: None)
        baseline = start_baseline(wanted, workshop)
        hub = make_hub(wanted, workshop, 0)
        chain = ArtifactChain(request=wanted, workshop=workshop, hub=hub, baseline=baseline)
        faulty = Faulty(chain=chain, wanted=wanted.artifacts)
        object.__setattr__(faulty, "at", request.param)
        object.__setattr__(faulty, "folder", tmp_path_factory.mktemp("faulty"))
        futures = faulty.start()
        yield Fault(at=request.param, judged=tuple(futures[name].result() for name in IDS))


def test_a_corrupted_weight_is_blamed_on_its_link(fault: Fault) -> None:
    chain = chain_report(fault.judged)
    assert chain is not None
    assert chain.broken == EDGES[fault.at]
    assert [link.kept for link in chain.links] == [place != fault.at for place in range(4)]
    failed = [one.verdict == "fail" for one in fault.judged]
    assert failed == [place >= fault.at for place in range(4)]
    for place, one in enumerate(fault.judged):
        if place < fault.at:
            assert one.divergence is None
            continue
        assert one.divergence is not None
        words = EDGES[fault.at].replace("-", " -> ")
        assert f"the link {words} broke the chain" in one.divergence.explanation
        inherited = "was already wrong" in one.divergence.explanation
        assert inherited == (place > fault.at)
