"""ktlint and detekt over every Kotlin source of the library, its tests and the generated app."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.assets import ROOT
from tests.integration.maven_runs import TIMEOUT, maven, run_alone

pytestmark = pytest.mark.timeout(TIMEOUT)

UNTIDY = "package ai.phoneproof\ninternal val  untidy=1\n"
"""Compiles, and is formatted as nobody writes."""

CARELESS = """package ai.phoneproof.app

internal fun careless(work: () -> Unit) {
    try {
        work()
    } catch (error: IllegalStateException) {
    }
}
"""
"""Well formatted, and swallows an error."""


def _linted(command: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Maven's lint of ``folder/android``."""
    return run_alone(command, folder / "android", "-f", "testing/lint", "verify")


def test_sources_are_tidy_and_planted_faults_are_found(tmp_path: Path) -> None:
    command = maven()
    ignored = shutil.ignore_patterns("target")
    shutil.copytree(ROOT / "mobile" / "android", tmp_path / "android", ignore=ignored)
    clean = _linted(command, tmp_path)
    assert clean.returncode == 0, clean.stdout[-6000:]
    kotlin = tmp_path / "android"
    (kotlin / "core/src/main/kotlin/ai/phoneproof/Untidy.kt").write_text(UNTIDY)
    (kotlin / "app/src/main/kotlin/ai/phoneproof/app/Careless.kt").write_text(CARELESS)
    spoiled = _linted(command, tmp_path)
    assert spoiled.returncode != 0
    assert _finding(spoiled.stdout, "Untidy.kt", "(standard:")
    assert _finding(spoiled.stdout, "Careless.kt", "[EmptyCatchBlock]")
    assert not _finding(spoiled.stdout, "Careless.kt", "(standard:")


def _finding(said: str, file: str, rule: str) -> bool:
    return any(file in line and rule in line for line in said.splitlines())
