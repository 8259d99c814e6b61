"""The error tree: messages, exit codes, and which extra brings a missing library."""

from __future__ import annotations

import pickle
import re
import tomllib
from pathlib import Path

import pytest

from phoneproof.core import errors
from phoneproof.core.errors import MissingExtra, PhoneproofError, Unsupported, nearest

ROOT = Path(__file__).resolve().parents[2]


def test_a_message_says_what_failed_what_was_found_and_what_to_do() -> None:
    error = Unsupported("no such operator", found="Einsum", next_step="rewrite it")
    assert str(error) == "no such operator\n  found: Einsum\n  next:  rewrite it"
    assert str(Unsupported("no such operator")) == "no such operator"


def test_errors_cross_processes() -> None:
    error = pickle.loads(pickle.dumps(Unsupported("a", found="b", next_step="c")))
    assert (type(error), str(error)) == (Unsupported, "a\n  found: b\n  next:  c")


def test_each_kind_has_its_own_exit_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, PhoneproofError)
        and kind is not PhoneproofError
    ]
    codes = sorted(kind.exit_code for kind in kinds)
    assert codes == list(range(2, 11))


@pytest.mark.parametrize("library", sorted(errors._EXTRA_OF))
def test_the_named_extra_brings_the_library(library: str) -> None:
    missing = MissingExtra.from_import(ModuleNotFoundError(name=f"{library}.part"))
    assert missing is not None
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    names = {re.split(r"[<>=\[]", line)[0] for line in extras[errors._EXTRA_OF[library]]}
    wheels = {library.replace("_", "-"), f"{library}-cpu", f"{library}-core"}
    assert wheels & {n.replace("_", "-") for n in names}
    assert errors._EXTRA_OF[library] in missing.next_step


def test_other_imports_are_bugs() -> None:
    assert MissingExtra.from_import(ModuleNotFoundError(name="phoneproof.nothing")) is None


def test_the_nearest_name() -> None:
    assert nearest("biuld", ["build", "verify"]) == "build"
    assert nearest("xyz", ["build", "verify"]) == ""
