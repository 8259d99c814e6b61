"""The colour of a verdict in the terminal."""

from __future__ import annotations

from typing import Final

from phoneproof.core.check import Verdict

STYLE: Final[dict[Verdict, str]] = {"pass": "green", "undecided": "yellow", "fail": "red"}
