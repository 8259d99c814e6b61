"""The shape of the code: who may import whom, and that every table entry exists."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from phoneproof.capture.base import SOURCES
from phoneproof.convert.base import CONVERTERS
from phoneproof.core.registry import Registry
from phoneproof.optimize.base import OPTIMIZERS
from phoneproof.runtimes.base import RUNTIMES

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "torch", "tensorflow", "onnx", "onnxruntime", "cv2", "PIL", "litert_torch")


def test_import_contracts_hold() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("registry", [SOURCES, CONVERTERS, OPTIMIZERS, RUNTIMES])
def test_registry_targets_resolve(registry: Registry[object]) -> None:
    for name in registry:
        assert registry.load(name) is not None


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["build", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\n"
        "from phoneproof.cli.main import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as stop:\n"
        "    assert not stop.code, stop.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_registry_addresses_are_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    hosts = (
        "pypi" + ".org",
        "pythonhosted" + ".org",
        "registry.npmjs" + ".org",
        "repo1" + ".maven",
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file():
            text = path.read_text(errors="replace")
            assert not any(host in text for host in hosts), name
