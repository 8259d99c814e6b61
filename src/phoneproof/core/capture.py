"""What capture learns of a source, as data: shared by every stage and by the report."""

from __future__ import annotations

from typing import Literal

import msgspec

from phoneproof.core.binding import Anchors, Binding, Layout, OutputBinding
from phoneproof.core.contract import Contract, Decode, Task
from phoneproof.core.tensors import TensorSpec

SourceFormat = Literal[
    "ultralytics",
    "state_dict",
    "torch_export",
    "torchscript",
    "onnx",
    "keras_h5",
    "keras",
    "saved_model",
    "frozen_graph",
    "tflite",
    "module",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something found out about the source, with the reason to believe it.

    key: a dotted place in the contract or evidence ("contract.scale", "head.scores").
    """

    key: str
    value: str
    reason: str


class Hazard(msgspec.Struct, frozen=True, kw_only=True):
    """Something that breaks models on phones; `next_step` says what to do about it."""

    name: str
    found: str
    next_step: str
    severity: Literal["note", "warning", "refusal"] = "warning"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What came with the source file.

    independent: whether the baseline comes from the source's own runtime rather than from our
    re-implementation of it. training, metrics: as recorded in the file, (name, text/value).
    """

    framework: str
    family: str = ""
    independent: bool = True
    license: str = ""
    training: tuple[tuple[str, str], ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """What the outputs are before any artifact exists: the part of a binding the source decides."""

    outputs: tuple[OutputBinding, ...]
    anchors: Anchors | None = None
    nms_in_file: bool = False


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Everything read from a source without running it.

    layout: of the image input. size: [height, width], null where the file leaves it open.
    preset: the geometry and values preset the family implies ("" where nothing implies one).
    labels: class names found in the file, in index order.
    quantised: whether the source computes with integers. Its hub is the dequantised float
    program, which is held to a quantised step's limits against the source's own outputs.
    decode: what the file's own post-processing does behind the outputs, null without.
    """

    format: SourceFormat
    sha256: str
    bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    layout: Layout
    channels: int = 3
    size: tuple[int, int] | None
    task: Task | None
    head: Head | None
    preset: str = ""
    labels: tuple[str | None, ...] = ()
    quantised: bool = False
    decode: Decode | None = None
    evidence: Evidence
    findings: tuple[Finding, ...] = ()
    hazards: tuple[Hazard, ...] = ()


class Capture(msgspec.Struct, frozen=True, kw_only=True):
    """A trained model frozen with its evidence. Lies as ``capture.json`` beside ``hub.pt2``.

    binding: of the hub program. source_name: the file's name, without its folder.
    """

    source_name: str
    source_format: SourceFormat
    source_sha256: str
    importer: str
    hub_sha256: str
    contract: Contract
    binding: Binding
    evidence: Evidence
    hazards: tuple[Hazard, ...] = ()
