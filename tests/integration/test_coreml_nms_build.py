"""``nms = true``: from a detector to a verified pipeline, as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from phoneproof.core.errors import Unsupported
from phoneproof.core.events import silence
from phoneproof.formats.coreml.file import read_coreml
from phoneproof.formats.model_file import write_bytes
from phoneproof.package.apple_kit import KIT
from phoneproof.package.bundle import read_bundle
from phoneproof.package.golden_check import read_golden
from phoneproof.pipeline.build import build
from phoneproof.pipeline.config import load_config
from phoneproof.pipeline.verify_bundle import verify_bundle
from tests.integration.apple_faults import altered
from tests.integration.command_line import phoneproof
from tests.integration.int8_project import Project, square_project

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


def configured(project: Project, ios: str = "") -> Path:
    path = project.configure()
    text = path.read_text()
    begin, end = text.index("[targets.android]"), text.index("[checks]")
    path.write_text(f"{text[:begin]}[targets.ios]\nnms = true\n{ios}\n{text[end:]}")
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Squares, as one float16 pipeline."""
    made = square_project(tmp_path_factory.mktemp("nms"), joined=True, confidence=0.55)
    configured(made)
    done = phoneproof("build", cwd=made.folder)
    assert done.code == 0, done.said
    return made


def test_the_file_is_a_pipeline_and_the_report_says_what_was_measured(project: Project) -> None:
    artifact = project.report()
    assert (artifact.id, artifact.path) == ("coreml-float16", "artifacts/model_float16.mlpackage")
    assert artifact.step.endswith(", add NMS to coreml-float16")
    assert dict(artifact.options)["nms"] == "iou 0.45, confidence 0.55"
    assert read_coreml(project.bundle / artifact.path).kind == "pipeline"
    names = [f"{one.name} {one.slice}".strip() for one in artifact.checks]
    assert len(names) == len(set(names))
    assert {"snr_db boxes", "snr_db scores", "box_agreement", "lost_share"} <= set(names)
    assert all("MIL reference interpreter" in one.runtime for one in artifact.checks if one.runtime)


def test_vectors_record_what_is_shown_and_the_kit_leaves_it_out(project: Project) -> None:
    cases = read_golden(project.bundle / "golden").cases
    recorded = [one for case in cases for one in case.expected.artifacts]
    assert recorded
    assert all(one.outputs == () and one.boxes is not None for one in recorded)
    assert not (project.bundle / KIT).exists()


def test_the_bundle_can_be_verified_run_and_compared(project: Project) -> None:
    verified = verify_bundle(project.bundle, images=project.evaluation, listener=silence)
    assert verified.accepted
    assert {one.name for one in verified.artifacts[0].checks} >= {"contract_match", "box_agreement"}
    (artifact,) = read_bundle(project.bundle).manifest.artifacts
    pictures = sorted(project.evaluation.iterdir())[:2]
    ran = phoneproof("run", project.bundle / artifact.path, *pictures, cwd=project.folder)
    assert ran.code == 0, ran.said
    assert "red" in ran.out
    package = project.bundle / artifact.path
    compared = phoneproof(
        "compare", package, package, "--images", project.evaluation, cwd=project.folder
    )
    assert compared.code == 0, compared.said
    assert "box_agreement" in compared.out


def test_a_pipeline_with_another_threshold_is_refused(project: Project, tmp_path: Path) -> None:
    def fault(path: Path) -> None:
        file = read_coreml(path)
        file.spec.pipeline.models[2].nonMaximumSuppression.confidenceThreshold = 0.9
        write_bytes(file.model, file.spec.SerializeToString(deterministic=True))

    copy = altered(project.bundle, tmp_path / "copy", fault)
    found = verify_bundle(copy, images=project.evaluation, listener=silence)
    assert not found.accepted
    failed = {one.name for one in found.artifacts[0].checks if one.verdict == "fail"}
    assert "box_agreement" in failed


def test_what_cannot_suppress_by_itself_is_refused_before_anything_is_built(
    project: Project, tmp_path: Path
) -> None:
    path = configured(project)
    text = path.read_text()
    other = path.with_name("multi.toml")
    other.write_text(text.replace("[contract.decode]", "[contract.decode]\nmulti_label = true"))
    with pytest.raises(Unsupported, match="pipeline with NMS") as caught:
        build(load_config(other), workspace=tmp_path)
    assert "multi_label" in caught.value.found
    assert not list(tmp_path.rglob("made.json"))


@pytest.mark.parametrize(
    ("ios", "word"),
    [('formats = ["coreai"]', "only Core ML files"), ("prune = { size = 0.5 }", "pruned files")],
)
def test_nms_against_other_settings_is_refused(project: Project, ios: str, word: str) -> None:
    configured(project, ios)
    done = phoneproof("build", cwd=project.folder)
    assert done.code == 2
    assert word in done.said
