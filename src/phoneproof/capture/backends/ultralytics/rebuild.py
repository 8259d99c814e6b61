"""Architecture and weights -> a torch module. The only place here that needs torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from phoneproof.capture.backends.torch_files.records import (
    Record,
    StorageRef,
    TensorRef,
    number,
    printable,
    shown,
)
from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    Architecture,
    ClassifyLayer,
)
from phoneproof.capture.backends.ultralytics.blocks.attention import Attention, PsaBlock
from phoneproof.capture.backends.ultralytics.blocks.cross_stage import Bottleneck, C2f, Cib
from phoneproof.capture.backends.ultralytics.blocks.network import Network
from phoneproof.capture.backends.ultralytics.blocks.pooling import Sppf
from phoneproof.capture.backends.ultralytics.description import ACTIVATIONS, Description
from phoneproof.core.errors import ConfigError, InvalidInput

MAX_BOXES = 1 << 22
"""YOLOv5 gives 25 200 boxes at 640 x 640 and 1.6 million at 5120 x 5120."""

_SETTINGS: Mapping[type[nn.Module], tuple[str, ...]] = {
    nn.Conv2d: ("kernel_size", "stride", "padding", "dilation", "groups"),
    nn.MaxPool2d: ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    nn.Upsample: ("scale_factor", "mode"),
    nn.AdaptiveAvgPool2d: ("output_size",),
    nn.BatchNorm2d: ("affine", "track_running_stats"),
}
"""What a module computes beside its weights: must be what the checkpoint recorded."""

_OWN_SETTINGS: Mapping[type[nn.Module], tuple[str, ...]] = {
    Bottleneck: ("add",),
    Cib: ("add",),
    PsaBlock: ("add",),
    Attention: ("num_heads", "key_dim", "head_dim", "scale"),
    C2f: ("c",),
    Sppf: ("n", "add"),
}
"""The same of the families' blocks, where the version that wrote the file recorded it."""


def rebuild(description: Description, size: tuple[int, int]) -> Network:
    """The network with its weights, float32, in eval mode, for images of `size` [height, width].

    Raises:
        InvalidInput: weights missing, unexpected or of another shape; settings that contradict
            the description.
        ConfigError: a size that the head's strides do not divide, or that gives millions of boxes.
    """
    checkpoint, tensors = description.checkpoint, description.weights
    architecture = description.architecture
    _check_size(architecture, size)
    _check_boxes(architecture, size)
    with torch.device("meta"):  # an absurd architecture costs nothing before it is compared
        network = Network(architecture, size)
    _check_tensors(checkpoint.path.name, network.state_dict(), tensors)
    _apply_settings(network, description.model.modules)
    storages = checkpoint.read_storages(ref.storage for ref in tensors.values())
    weights = {name: _tensor(storages, ref) for name, ref in tensors.items()}
    network.load_state_dict(weights, strict=True, assign=True)
    return network.eval().requires_grad_(requires_grad=False)


def _tensor(storages: Mapping[StorageRef, bytes], ref: TensorRef) -> Tensor:
    """One tensor as the file's storage says; floating point as float32."""
    dtype: torch.dtype = getattr(torch, ref.storage.dtype)
    flat = torch.frombuffer(bytearray(storages[ref.storage]), dtype=dtype)
    view = flat.as_strided(ref.shape, ref.stride, ref.offset)
    return view.to(torch.float32, copy=True) if dtype.is_floating_point else view.clone()


def _check_size(architecture: Architecture, size: tuple[int, int]) -> None:
    step = architecture.step
    if any(side < 1 or side % step for side in size):
        raise ConfigError(
            f"the image size must be a multiple of {step}",
            found=f"{size[0]} x {size[1]}",
            next_step=f"choose sides such as {max(1, round(size[0] / step)) * step}",
        )


def _check_boxes(architecture: Architecture, size: tuple[int, int]) -> None:
    """A table without strides would have a box a pixel, and grids of gigabytes."""
    head = architecture.head
    if isinstance(head, ClassifyLayer):
        return
    each = head.anchors if isinstance(head, AnchorDetectLayer) else 1
    boxes = each * sum((size[0] // stride) * (size[1] // stride) for stride in head.strides)
    if boxes > MAX_BOXES:
        raise ConfigError(
            "the head would give more boxes than can be decoded",
            found=f"{boxes} at {size[0]} x {size[1]}; at most {MAX_BOXES}",
            next_step="choose a smaller size",
        )


def _check_tensors(
    file_name: str, expected: Mapping[str, Tensor], found: Mapping[str, TensorRef]
) -> None:
    missing, unexpected = expected.keys() - found.keys(), found.keys() - expected.keys()
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    other = [n for n in expected if n in found and found[n].shape != shapes[n]]
    faults = (
        _listed("missing", missing),
        _listed("unexpected", unexpected),
        _listed("of another shape", (f"{n} {found[n].shape} not {shapes[n]}" for n in other)),
    )
    if any(faults):
        raise InvalidInput(
            f"{file_name}: the weights do not fit the architecture the file describes",
            found="; ".join(fault for fault in faults if fault),
            next_step="the description or the weights were changed after training; "
            "export the model to ONNX where it was trained",
        )


def _listed(what: str, names: Iterable[str]) -> str:
    ordered = sorted(printable(name) for name in names)
    more = f" and {len(ordered) - 8} more" if len(ordered) > 8 else ""
    return f"{what}: {', '.join(ordered[:8])}{more}" if ordered else ""


def _apply_settings(network: Network, records: Mapping[str, Record]) -> None:
    """Take normalisation constants and activations from the file, compare everything else.

    Both differ between versions and tasks (classifiers were trained with eps 1e-5).
    """
    for name, module in list(network.named_modules()):
        record = records.get(name)
        if record is None:
            raise InvalidInput(f"the checkpoint holds no module {name}")
        if isinstance(module, nn.BatchNorm2d):
            module.eps = _epsilon(name, record)
        for setting in _SETTINGS.get(type(module), ()):
            _check_setting(name, setting, getattr(module, setting), record.attribute(setting))
        for setting in _OWN_SETTINGS.get(type(module), ()):
            if setting in record.attributes:
                ours = getattr(module, setting)
                _check_setting(name, setting, ours, record.attribute(setting))
        if name.rpartition(".")[2] == "act":
            _replace(network, name, _activation(name, record))


def _epsilon(name: str, record: Record) -> float:
    value = number(record.attribute("eps"))
    if value is None or not 0 < value < 1:
        raise InvalidInput(f"{name}: eps is not a small number", found=shown(value))
    return value


def _check_setting(name: str, setting: str, ours: object, theirs: object) -> None:
    flat = ours[0] if isinstance(ours, tuple) and len(set(ours)) == 1 else ours
    plain = isinstance(theirs, bool | int | float | str | tuple)
    if not plain or theirs not in (ours, flat):
        raise InvalidInput(
            f"{name}: the module is not what the architecture describes",
            found=f"{setting} {shown(theirs)} instead of {shown(ours)}",
            next_step="export the model to ONNX where it was trained",
        )


def _activation(name: str, record: Record) -> nn.Module:
    kind = record.type
    if kind.module.startswith("torch.nn.") and kind.name in ACTIVATIONS:
        made: nn.Module = getattr(nn, kind.name)()
        return made
    raise InvalidInput(f"{name} is not an activation that is rebuilt", found=kind.dotted)


def _replace(network: Network, name: str, module: nn.Module) -> None:
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, module)
