"""What the user must know before shipping what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from phoneproof.capture.backends.torch_files.checkpoint import read_checkpoint
from phoneproof.capture.backends.torch_files.records import text_keys
from phoneproof.capture.backends.ultralytics.description import Description
from phoneproof.capture.backends.ultralytics.evidence import labels_of
from phoneproof.capture.backends.ultralytics.recorded import as_text, training_state
from phoneproof.capture.backends.ultralytics.transforms import normalisations
from phoneproof.core.capture import Hazard
from phoneproof.core.errors import PhoneproofError


def hazards_of(description: Description) -> tuple[Hazard, ...]:
    """What the user must know before shipping."""
    return tuple(_hazards(description))


def _hazards(description: Description) -> Iterator[Hazard]:
    license_ = as_text(description.fields.get("license"), is_path=False)
    if "agpl" in license_.lower():
        yield Hazard(
            name="agpl_license",
            found=f"the checkpoint's licence is {license_}",
            next_step="an app that ships this model must follow it, or needs a commercial licence",
        )
    labels = labels_of(description)
    names = description.model.record.attribute("names")
    count = len(names) if isinstance(names, dict | list | tuple) else 0
    if count != len(labels) or None in labels:
        yield Hazard(
            name="labels_mismatch",
            found=f"{count} names for {len(labels)} classes",
            next_step="write the labels into [contract] in index order",
        )
    yield from _transform_hazards(description)
    yield from _better_beside(description)


def _transform_hazards(description: Description) -> Iterator[Hazard]:
    """The preset feeds 0..1; classifiers of other versions normalised with mean and std."""
    for mean, std in normalisations(description):
        if (mean, std) != ("0/0/0", "1/1/1"):
            yield Hazard(
                name="own_normalisation",
                found=f"the checkpoint's transforms normalise: mean {mean}, std {std}",
                next_step="write this mean and std into [contract]",
            )


def _better_beside(description: Description) -> Iterator[Hazard]:
    """Training writes best.pt (highest fitness) beside last.pt (last epoch)."""
    path = description.checkpoint.path
    best = path.with_name("best.pt")
    if path.name != "last.pt" or not best.is_file():
        return
    own = training_state(description.fields) or "nothing recorded"
    yield Hazard(
        name="not_the_best",
        found=f"last.pt ({own}) has best.pt ({_state_of(best)}) beside it",
        next_step="give best.pt, unless the last epoch is what you want",
    )


def _state_of(path: Path) -> str:
    try:
        root = read_checkpoint(path).root
    except PhoneproofError as error:
        return f"not readable: {error.failed}"
    fields = text_keys(root) if isinstance(root, dict) else {}
    return training_state(fields) or "nothing recorded"
