"""What a library raises over a file, told as a fault of that file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from phoneproof.core.errors import InvalidInput, first_line


@contextmanager
def faults_of_file(failed: str, *raised: type[Exception]) -> Iterator[None]:
    """Map what a library raises in the block.

    Args:
        failed: what failed, as `InvalidInput` takes it.
        raised: the library's classes; others pass.

    Raises:
        InvalidInput: with the first line of what the library says.
    """
    try:
        yield
    except raised as error:
        raise InvalidInput(failed, found=first_line(error)) from error
