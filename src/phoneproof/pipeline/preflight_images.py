"""Loading ``[data] production``."""

from __future__ import annotations

from pathlib import Path

from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import InvalidInput
from phoneproof.core.events import Event, Listener


def load_production(folder: Path | None, listener: Listener) -> ImageSet | None:
    """The unlabelled production pictures, null where none are named.

    Labels beside them are not looked at.

    Raises:
        InvalidInput: no such folder, no picture in it, or none that can be read.
    """
    if folder is None:
        return None
    from phoneproof.data.load import load_images

    listener(Event(step="images of production", state="started"))
    try:
        found = load_images(folder, contract_labels=(), task="raw", class_index=lambda index: index)
    except InvalidInput as error:
        raise InvalidInput(
            f"[data] production: {error.failed}",
            found=error.found,
            next_step="name a folder with pictures as the app will see them, or leave it out",
        ) from error
    left_out = f", {len(found.skipped)} left out" if found.skipped else ""
    message = f"{len(found.items)} images{left_out}"
    listener(Event(step="images of production", state="finished", message=message))
    return found
