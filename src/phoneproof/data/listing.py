"""Finding the image that a labels file speaks of among the images of the folder."""

from __future__ import annotations

from pathlib import PurePosixPath

from phoneproof.data.files import ImageFile


class NameIndex:
    """Images by their path, and by their bare name where only one image has it.

    A path in a labels file is only ever compared with the images found: it opens nothing, so
    "../../secret" leads nowhere.
    """

    def __init__(self, files: tuple[ImageFile, ...]) -> None:
        self._paths = {file.name for file in files}
        self._bare: dict[str, str | None] = {}
        for file in files:
            bare = PurePosixPath(file.name).name
            self._bare[bare] = None if bare in self._bare else file.name

    def find(self, stated: str) -> str | None:
        """The image's name inside the data set, or null where it is missing or ambiguous."""
        path = PurePosixPath(stated.replace("\\", "/"))
        if path.as_posix() in self._paths:
            return path.as_posix()
        return self._bare.get(path.name)
