"""Checkpoints for tests: changed copies of a real one, and new ones from a layer table.

A changed copy differs from the real file in exactly one thing.
"""

from __future__ import annotations

import copy
import struct
import sys
import types
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from phoneproof.capture.backends.ultralytics.architecture.layers import ClassifyLayer, DetectLayer
from phoneproof.capture.backends.ultralytics.architecture.parse import parse_architecture
from phoneproof.capture.backends.ultralytics.blocks.network import Network
from tests.integration.ultralytics_tables import Table, weight

Edit = Callable[[bytes], bytes]


def changed(
    source: Path, target: Path, edit: Edit | None = None, storages: Mapping[str, Edit] | None = None
) -> Path:
    """Copy a checkpoint; `edit` changes its pickle, `storages` its weights by storage key."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, "w") as after:
        for info in before.infolist():
            data = before.read(info)
            key = info.filename.partition("/data/")[2]
            if edit is not None and info.filename.endswith("/data.pkl"):
                data = _differs(data, edit(data))
            elif storages and key in storages:
                data = _differs(data, storages[key](data))
            after.writestr(info.filename, data)
    return target


def text_replaced(old: str, new: str) -> Edit:
    """Replace a pickled text (protocol 2: opcode X, four length bytes, UTF-8)."""
    return lambda data: data.replace(pickled(old), pickled(new))


def float_replaced(old: float, new: float) -> Edit:
    """Replace a pickled float (opcode G, big-endian double)."""
    return lambda data: data.replace(b"G" + struct.pack(">d", old), b"G" + struct.pack(">d", new))


def class_replaced(old: str, new: str) -> Edit:
    """Replace a pickled class, each given as "module name"."""
    return lambda data: data.replace(_global(old), _global(new))


def pickled(text: str) -> bytes:
    """A text as protocol 2 writes it, without its memo number."""
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _global(text: str) -> bytes:
    module, _, name = text.partition(" ")
    return f"c{module}\n{name}\n".encode()


def _differs(before: bytes, after: bytes) -> bytes:
    assert before != after, "the edit changed nothing"
    return after


def made(path: Path, table: Table, **fields: object) -> Path:
    """A new checkpoint of our own network for `table`, with the weights that belong to names.

    It is pickled as the original's classes would be: a model class of ``ultralytics.nn.tasks``
    around torch modules. An end-to-end head gets its second set of branches.
    """
    architecture = parse_architecture(table)
    network = Network(architecture, (64, 64))
    head = network.model[-1]
    _fill(network)
    if not isinstance(architecture.head, ClassifyLayer):
        head.stride = torch.tensor(architecture.head.strides, dtype=torch.float32)
    if isinstance(architecture.head, DetectLayer) and architecture.head.end_to_end:
        for name in ("cv2", "cv3"):
            head.add_module(name, copy.deepcopy(head.get_submodule(f"one2one_{name}")))
    task = "Classification" if isinstance(architecture.head, ClassifyLayer) else "Detection"
    with _class_named("ultralytics.nn.tasks", f"{task}Model") as kind:
        model = kind()
        model.model = network.model
        names = {index: f"class {index}" for index in range(architecture.classes)}
        for attribute, value in {"yaml": table, "names": names}.items():
            object.__setattr__(model, attribute, value)
        torch.save({"model": model.eval(), "ema": None, "epoch": -1, **fields}, path)
    return path


def _fill(network: nn.Module) -> None:
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith("dfl.conv.weight"):
            tensor.copy_(torch.arange(tensor.numel(), dtype=torch.float32).reshape(tensor.shape))
        else:
            tensor.copy_(torch.from_numpy(weight(name, tuple(tensor.shape))))


@contextmanager
def _class_named(module: str, name: str) -> Iterator[type[nn.Module]]:
    """A module class that pickles under a foreign name, which exists only here."""
    parts = module.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    assert not any(each in sys.modules for each in names)
    kind = type(name, (nn.Module,), {"__module__": module})
    try:
        sys.modules.update({each: types.ModuleType(each) for each in names})
        setattr(sys.modules[module], name, kind)
        yield kind
    finally:
        for each in names:
            sys.modules.pop(each, None)
