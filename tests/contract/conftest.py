"""Model files that the contract suites share, each made once in a run."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from phoneproof.convert.base import CONVERTERS
from tests.contract import tiny


@pytest.fixture(scope="session")
def hub_nchw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny network as a hub file with an NCHW input."""
    return tiny.write_hub(tmp_path_factory.mktemp("hub") / "nchw.pt2", "NCHW")


@pytest.fixture(scope="session")
def model_files(tmp_path_factory: pytest.TempPathFactory, hub_nchw: Path) -> dict[str, Path]:
    """Artifact format -> the tiny network in it, NCHW."""
    folder = tmp_path_factory.mktemp("models")
    files = {"hub": hub_nchw}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # third-party imports, once in the process
        for edge in CONVERTERS:
            source, _, format_ = edge.partition("-")
            if source == "hub":
                files[format_] = folder / f"tiny.{format_}"
                wanted = tiny.request(hub_nchw, "NCHW", "NCHW", files[format_])
                CONVERTERS.load(edge).convert(wanted)
    return files
