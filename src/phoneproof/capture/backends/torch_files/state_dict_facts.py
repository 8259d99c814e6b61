"""What is said of a file of bare weights: whether it is one, what it holds, what to type."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from phoneproof.capture.backends.torch_files.checkpoint import mentions, read_checkpoint
from phoneproof.capture.backends.torch_files.legacy import is_legacy
from phoneproof.capture.backends.torch_files.records import Record, printable, shown, text_keys
from phoneproof.capture.backends.torch_files.state_dict import (
    StateDict,
    find_state_dict,
    holds_module,
)
from phoneproof.capture.backends.torch_files.torch_file import TorchFile, read_torch_file
from phoneproof.core.capture import Finding
from phoneproof.core.errors import InvalidInput, PhoneproofError, Unsupported

_CHECKPOINT_SUFFIXES: Final = (".pt", ".pth")
"""Damaged files of these names are left to the Ultralytics reader's messages."""

_SHOWN_KEYS: Final = 3

_FAMILIES: Final = (
    ("layer1.0.conv1.weight", "a ResNet (He et al. 2016)"),
    ("features.0.0.weight", "a MobileNet or EfficientNet of torchvision"),
    ("features.0.weight", "a VGG or AlexNet of torchvision"),
    ("patch_embed.proj.weight", "a vision transformer of timm"),
    ("conv_proj.weight", "a vision transformer of torchvision"),
    ("stem.0.weight", "a ConvNeXt or similar"),
    ("base_net.0.0.weight", "an SSD or UltraFace"),
    ("prelu1.weight", "an MTCNN network"),
)
"""A name among the weights -> what is usually called so."""


def recognises_state_dict(path: Path) -> bool:
    """Whether a torch file is to be read as bare weights.

    Whole pickled modules in archives are left to other readers; legacy files, and pickles that
    are hostile or hold no model at all, are answered here.
    """
    if not path.is_file():
        return False
    if is_legacy(path):
        return True
    try:
        # Most files of weights are told by the bytes: a pickled module writes the names of its
        # attributes as they are.
        if not mentions(path, b"_modules"):
            return True
        root = read_checkpoint(path).root
    except PhoneproofError:
        return path.suffix.lower() not in _CHECKPOINT_SUFFIXES
    return not holds_module(root)


def read_state_dict(path: Path) -> tuple[TorchFile, StateDict]:
    """The file and the weights in it.

    Raises:
        InvalidInput: truncated, hostile, or without weights.
        Unsupported: a whole pickled module, an unknown version of the format.
    """
    file = read_torch_file(path)
    if holds_module(file.root):
        raise Unsupported(
            f"{path.name} holds a whole pickled module, not weights alone",
            found=_described(file.root),
            next_step="save its weights where its code is: torch.save(model.state_dict(), "
            f'"{printable(path.stem)}_weights.pth"); then name a factory',
        )
    state = find_state_dict(file.root)
    if state is None:
        raise InvalidInput(
            f"{path.name} holds no weights of a network",
            found=_described(file.root),
            next_step="save them with torch.save(model.state_dict(), FILE)",
        )
    file.check_storages(ref.storage for ref in state.tensors.values())
    return file, state


def needs_factory(path: Path, state: StateDict) -> Unsupported:
    """Weights alone do not say how they are connected: what to write and to type."""
    first = ", ".join(
        f"{printable(name)} {list(ref.shape)}"
        for name, ref in islice(state.tensors.items(), _SHOWN_KEYS)
    )
    family = _family(state)
    return Unsupported(
        f"{path.name} holds bare weights: the network they belong to is not in the file",
        found=f"{len(state.tensors)} tensors"
        + (f" under {state.place!r}" if state.place else "")
        + f": {first}, ..."
        + (f"; probably {family}" if family else ""),
        next_step="write a function that builds the network, in my_models.py beside "
        'phoneproof.toml, and name it: factory = "my_models:build" in [model], or '
        f"phoneproof init {path.name} --images FOLDER --factory my_models:build",
    )


def facts_findings(state: StateDict, removed: str) -> tuple[Finding, ...]:
    """Which of the file's tensors were taken, and what was left."""
    where = f"under {state.place!r}" if state.place else "at the top"
    kind = "moving average (EMA) of the weights, preferred over the raw ones"
    found = [
        Finding(
            key="evidence.weights",
            value=f"{len(state.tensors)} tensors {where}",
            reason=f"read: the {kind}" if state.averaged else "read: named so in the file",
        )
    ]
    if removed:
        reason = "implied: a wrapper's prefix; the network's names fit without it"
        found.append(Finding(key="evidence.prefix", value=removed, reason=reason))
    if state.others:
        reason = "read: further networks in the file, not used"
        found.append(
            Finding(key="evidence.other_weights", value=", ".join(state.others), reason=reason)
        )
    if state.extra:
        value = ", ".join(state.extra[:_SHOWN_KEYS])
        reason = "read: entries among the weights that are no tensors, not used"
        found.append(Finding(key="evidence.other_entries", value=value, reason=reason))
    if state.training_bytes:
        reason = "read: the optimizer's state, which only goes on training; not used"
        value = f"{state.training_bytes} bytes"
        found.append(Finding(key="evidence.optimizer_state", value=value, reason=reason))
    return tuple(found)


def _family(state: StateDict) -> str:
    names = tuple(state.tensors)
    for ending, family in _FAMILIES:
        if any(name == ending or name.endswith(f".{ending}") for name in names):
            return family
    return ""


def _described(root: object) -> str:
    if not isinstance(root, dict):
        return shown(root)
    keys = ", ".join(printable(key) for key in islice(text_keys(root), 6))
    kinds = sorted({v.type.dotted for v in root.values() if isinstance(v, Record)})
    return f"a dict with {keys or 'nothing'}" + (f"; {', '.join(kinds[:4])}" if kinds else "")
