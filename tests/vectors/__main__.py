"""``python -m tests.vectors``: write the files of ``mobile/vectors``."""

from __future__ import annotations

from tests.vectors.files import write

if __name__ == "__main__":
    write()
