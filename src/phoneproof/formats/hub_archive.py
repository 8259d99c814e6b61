"""Hub programs as archives: what an artifact carries beside its program, read without torch."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Final

from phoneproof.core.errors import InvalidInput
from phoneproof.formats.metadata import BINDING_KEY, CONTRACT_KEY
from phoneproof.formats.model_file import require_model_file

_MOST_BYTES: Final = 16 << 20
"""Of one document: contracts and bindings are kilobytes, an archive may claim anything."""


def read_metadata(path: Path) -> dict[str, bytes]:
    """Contract and binding of a hub artifact, by their keys; empty where it carries none.

    Raises:
        InvalidInput: not an archive, or damaged.
    """
    require_model_file(path, "hub program")
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                key: archive.read(info)
                for info in archive.infolist()
                for key in (CONTRACT_KEY, BINDING_KEY)
                if info.filename.endswith(f"/extra/{key}.json") and info.file_size <= _MOST_BYTES
            }
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise InvalidInput(f"{path.name} is not a hub program", found=str(error)) from error
