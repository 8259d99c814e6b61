"""Guards that keep the unit tests what they are."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

# TensorFlow's copy of LLVM and Triton's crash the process when TensorFlow's is loaded first, and
# torch loads Triton's whenever it exports. Tests of both share a process, in random order.
if importlib.util.find_spec("triton") is not None:
    importlib.import_module("triton._C.libtriton")

HEAVY = ("torch", "tensorflow", "onnxruntime", "ai_edge_litert", "litert_torch")
_UNIT = Path(__file__).parent / "unit"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Write golden files instead of comparing."
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written instead of compared."""
    return bool(request.config.getoption("--update-golden"))


class _HeavyGuard:
    """Refuses heavy imports while unit modules are collected and run."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in HEAVY and name.partition(".")[0] not in sys.modules:
            raise AssertionError(f"a unit test imports {name}")


@pytest.fixture(autouse=True)
def _unit_tests_are_light(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if _UNIT not in request.path.parents:
        return
    monkeypatch.setattr(sys, "meta_path", [_HeavyGuard(), *sys.meta_path])

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a unit test starts a process")

    monkeypatch.setattr(subprocess, "Popen", refuse)
