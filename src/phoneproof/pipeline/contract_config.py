"""``[contract]`` and what the source says, together: the contract of the build."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from phoneproof.capture.guess_labels import guess_labels
from phoneproof.capture.infer import classes_of, head_for
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract, Decode, ImageInput, Nms, Size, Task
from phoneproof.core.errors import nearest
from phoneproof.core.presets import PRESETS, preset_decode, preset_input
from phoneproof.pipeline.config_faults import Fault, faults_error
from phoneproof.pipeline.config_types import Config, ContractConfig, DecodeConfig, Side
from phoneproof.pipeline.head_config import described_head

GAP: Final = "-"
"""The line of a labels_file that stands for background or a gap in the ids."""

MAX_LABELS_BYTES: Final = 16 << 20
_FILE: Final = "[contract]"
_BOTH: Final = "[contract] with [head]"
_OWN_FIELDS: Final = ("preset", "task", "size", "labels", "labels_file", "decode")


def build_contract(config: Config, inspection: Inspection) -> Contract:
    """The contract: what ``[contract]`` says, then its preset, then what the source says.

    A head described in ``[head]`` stands for the recognised one.

    Raises:
        ConfigError: values that do not fit each other or the source, all in one error.
        Unsupported: outputs that fit no known head of the task.
    """
    section = config.contract
    inspection, head_faults = described_head(config, inspection)
    faults = [*head_faults]
    task = _task(section, inspection, faults)
    size = _size(section, inspection, faults)
    image = _image(section, size, inspection, faults) if size is not None else None
    labels = () if head_faults else _labels(section, inspection, task, faults)
    decode = None if head_faults else _decode(section, inspection, task, faults)
    if faults or image is None:
        raise faults_error(tuple(faults), _FILE if config.head is None else _BOTH)
    return Contract(
        name=config.model.name,
        version=config.model.version,
        task=task,
        inputs=(image,),
        labels=labels,
        decode=decode,
    )


def _task(section: ContractConfig, inspection: Inspection, faults: list[Fault]) -> Task:
    task = section.task or inspection.task
    if task is None:
        what = "missing, and the model file does not say: classify, detect or raw"
        faults.append(Fault(place="contract.task", what=what))
        return "raw"
    return task


def _size(section: ContractConfig, inspection: Inspection, faults: list[Fault]) -> Size | None:
    stated = section.size
    if stated is None:
        if inspection.size is None:
            what = "missing, and the model file leaves it open: [height, width]"
            faults.append(Fault(place="contract.size", what=what))
        return inspection.size
    size = both_sides(stated)
    if min(size) < 1 or max(size) > 16384:
        faults.append(Fault(place="contract.size", what="each side must be in 1..16384"))
        return None
    return size


def both_sides(side: Side) -> Size:
    """[height, width] of a side given once or twice."""
    return (side, side) if isinstance(side, int) else side


def _image(
    section: ContractConfig, size: Size, inspection: Inspection, faults: list[Fault]
) -> ImageInput | None:
    given = {
        field: value
        for field in section.__struct_fields__
        if field not in _OWN_FIELDS and (value := getattr(section, field)) is not None
    }
    preset = section.preset
    if preset is None and not {"geometry", "scale", "mean", "std"} <= given.keys():
        preset = inspection.preset or None
    if preset is None:
        missing = [f for f in ("geometry", "scale", "mean", "std") if f not in given]
        what = f"missing; without a preset give also {', '.join(missing)}"
        if missing:
            faults.append(Fault(place="contract.preset", what=what))
            return None
        base: dict[str, object] = {"size": size}
    elif preset not in PRESETS:
        near = nearest(preset, PRESETS)
        hint = f"did you mean {near!r}?" if near else f"known: {', '.join(PRESETS)}"
        faults.append(Fault(place="contract.preset", what=f"{preset!r} is not known; {hint}"))
        return None
    else:
        base = msgspec.structs.asdict(preset_input(preset, size))
    return _checked_image({**base, **given}, inspection, faults)


def _checked_image(
    fields: dict[str, object], inspection: Inspection, faults: list[Fault]
) -> ImageInput | None:
    try:
        image = msgspec.convert(fields, ImageInput)
    except (msgspec.ValidationError, ValueError) as error:
        faults.append(Fault(place="contract", what=str(error)))
        return None
    if image.channel_count != inspection.channels:
        what = f"{image.channels} makes {image.channel_count} channels, the model takes"
        faults.append(Fault(place="contract.channels", what=f"{what} {inspection.channels}"))
    return image


def _labels(
    section: ContractConfig, inspection: Inspection, task: Task, faults: list[Fault]
) -> tuple[str | None, ...]:
    if task == "raw":
        return ()
    stated: tuple[str | None, ...] | None = None
    place = "contract.labels"
    if section.labels is not None:
        stated = tuple(label or None for label in section.labels)
    elif section.labels_file is not None:
        place = "contract.labels_file"
        stated = _labels_file(section.labels_file, faults)
    classes = classes_of(head_for(inspection, task))
    if stated is None:
        return guess_labels(inspection, (), classes)[0]
    if classes is not None and len(stated) != classes:
        what = f"{len(stated)} labels, but the model has {classes} scores"
        faults.append(Fault(place=place, what=f'{what} ("" stands for background or a gap)'))
    return stated


def _labels_file(path: Path, faults: list[Fault]) -> tuple[str | None, ...]:
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            raise ValueError("too large to be a list of labels")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        faults.append(Fault(place="contract.labels_file", what=f"cannot be read: {error}"))
        return ()
    while lines and not lines[-1].strip():
        lines.pop()
    stripped = (line.strip() for line in lines)
    return tuple(None if label in (GAP, "") else label for label in stripped)


def _decode(
    section: ContractConfig, inspection: Inspection, task: Task, faults: list[Fault]
) -> Decode | None:
    if task != "detect":
        if section.decode is not None:
            what = f"only a detect contract has decode, this one is {task}"
            faults.append(Fault(place="contract.decode", what=what))
        return None
    preset = section.preset or inspection.preset
    base = (preset_decode(preset) if preset in PRESETS else None) or Decode(nms=Nms())
    stated = section.decode or DecodeConfig()
    if stated.nms is True:
        what = "true means nothing here; give a table, or false for none"
        faults.append(Fault(place="contract.decode.nms", what=what))
    try:
        return Decode(
            confidence=base.confidence if stated.confidence is None else stated.confidence,
            multi_label=base.multi_label if stated.multi_label is None else stated.multi_label,
            nms=_nms(stated.nms, base.nms),
        )
    except ValueError as error:
        faults.append(Fault(place="contract.decode", what=str(error)))
        return None


def _nms(stated: Nms | bool | None, base: Nms | None) -> Nms | None:
    if isinstance(stated, Nms):
        return stated
    return None if stated is False else base
