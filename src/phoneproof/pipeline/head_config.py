"""``[head]`` and the source together: a head that the user described."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from phoneproof.core.binding import Anchors, Binding, InputBinding, OutputBinding
from phoneproof.core.capture import Finding, Head, Inspection
from phoneproof.core.contract import Contract, Decode, Size, Task
from phoneproof.core.errors import PhoneproofError, nearest
from phoneproof.core.presets import preset_input
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.config_faults import Fault, faults_error
from phoneproof.pipeline.config_types import Config
from phoneproof.pipeline.head_types import HeadConfig, HeadOutputConfig

_SHAPED: Final = "contract.task"
_MOST_VALUES: Final = 100_000_000
"""No output of a phone's model is larger; what a file declares may be."""


def with_described_head(config: Config, inspection: Inspection) -> Inspection:
    """The inspection with the head that the configuration describes, where it does.

    Raises:
        ConfigError: the description does not fit the model; every fault in one error.
    """
    described, faults = described_head(config, inspection)
    if faults:
        raise faults_error(faults, "[head]")
    return described


def described_head(config: Config, inspection: Inspection) -> tuple[Inspection, tuple[Fault, ...]]:
    """The same with its faults as values; on faults the inspection is the one given."""
    section = config.head
    if section is None:
        return inspection, ()
    specs = {spec.name: spec for spec in inspection.outputs}
    faults = [
        fault
        for place, output in enumerate(section.outputs)
        for fault in _output_faults(output, specs, f"head.outputs[{place}]")
    ]
    anchors = _anchors(section, faults)
    if faults:
        return inspection, tuple(faults)
    head = Head(
        outputs=tuple(_bound(output, specs[output.tensor]) for output in section.outputs),
        anchors=anchors,
        nms_in_file=section.nms_in_file or _is_final(section),
    )
    task = _task(section)
    size = _size(config, inspection)
    fault = None if task == "raw" or size is None else _dry_run(head, task, size)
    if fault is not None:
        return inspection, (fault,)
    return _replaced(inspection, head, task), ()


def _output_faults(
    output: HeadOutputConfig, specs: dict[str, TensorSpec], place: str
) -> list[Fault]:
    spec = specs.get(output.tensor)
    if spec is None:
        near = nearest(output.tensor, specs)
        hint = f"; did you mean {near!r}?" if near else ""
        what = f"the model has no output {output.tensor!r}{hint} known: {_shapes(specs)}"
        return [Fault(place=f"{place}.tensor", what=what.replace("? known", "? Known"))]
    if output.role == "raw" and not output.axes:
        return []
    rank = len(spec.shape) - 1
    if len(output.axes) != rank:
        what = (
            f"{len(output.axes)} axes, but {output.tensor!r} {list(spec.shape)} has {rank} after "
            "the batch"
        )
        return [Fault(place=f"{place}.axes", what=what)]
    return []


def _shapes(specs: dict[str, TensorSpec]) -> str:
    return ", ".join(f"{name!r} {list(spec.shape)}" for name, spec in specs.items())


def _anchors(section: HeadConfig, faults: list[Fault]) -> Anchors | None:
    if section.priors is None:
        return section.anchors
    if section.anchors is not None:
        faults.append(Fault(place="head.priors", what="anchors is given too; keep one"))
        return None
    from phoneproof.decode.priors_file import read_priors

    try:
        return read_priors(section.priors)
    except PhoneproofError as error:
        faults.append(Fault(place="head.priors", what=f"{error.failed}: {error.found}"))
        return None


def _bound(output: HeadOutputConfig, spec: TensorSpec) -> OutputBinding:
    batch = 1 if spec.shape[:1] == (-1,) else spec.shape[0] if spec.shape else 1
    return OutputBinding(
        tensor=output.tensor,
        role=output.role,
        shape=(batch, *spec.shape[1:]),
        axes=output.axes,
        level=output.level,
        slice=output.slice,
        packed=output.packed,
        class_offset=output.class_offset,
        activation=output.activation,
        box=output.box,
        dtype=spec.dtype,
    )


def _is_final(section: HeadConfig) -> bool:
    return any(output.role == "classes" for output in section.outputs)


def _task(section: HeadConfig) -> Task:
    roles = {output.role for output in section.outputs}
    if roles & {"boxes", "dfl"}:
        return "detect"
    return "classify" if roles == {"scores"} else "raw"


def _size(config: Config, inspection: Inspection) -> Size | None:
    stated = config.contract.size
    if stated is None:
        return inspection.size
    return (stated, stated) if isinstance(stated, int) else stated


def _dry_run(head: Head, task: Task, size: Size) -> Fault | None:
    """Decode a picture's worth of zeros: every number of the description meets the others."""
    if any(min(o.shape) < 0 or math.prod(o.shape) > _MOST_VALUES for o in head.outputs):
        return None  # an open axis is known only once the program has run
    import numpy as np

    from phoneproof.decode.heads import canonical_roles

    contract = Contract(
        name="dry",
        task=task,
        inputs=(preset_input("yolox", size),),
        decode=Decode() if task == "detect" else None,
    )
    image = InputBinding(tensor="image", shape=(1, 3, *size), layout="NCHW")
    binding = Binding(
        contract="",
        format="hub",
        inputs=(image,),
        outputs=head.outputs,
        anchors=head.anchors,
        nms_in_file=head.nms_in_file,
    )
    zeros = {output.tensor: np.zeros(output.shape, np.float32) for output in head.outputs}
    try:
        canonical_roles(zeros, contract, binding)
    except PhoneproofError as error:
        found = f" ({error.found})" if error.found else ""
        next_step = f"; {error.next_step}" if error.next_step else ""
        return Fault(place="head", what=f"{error.failed}{found}{next_step}")
    return None


def _replaced(inspection: Inspection, head: Head, task: Task) -> Inspection:
    """What recognition said of the head makes room for what the user says."""
    kept = [f for f in inspection.findings if not f.key.startswith("head.") and f.key != _SHAPED]
    roles = ", ".join(dict.fromkeys(output.role for output in head.outputs))
    stated = Finding(key="head.outputs", value=roles, reason="read: described in [head]")
    return msgspec.structs.replace(inspection, head=head, task=task, findings=(*kept, stated))
