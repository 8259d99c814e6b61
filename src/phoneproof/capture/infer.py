"""Contract inference: everything that can be found out about a model, each with its reason.

A reason begins with how sure it is: ``read:`` (written in the file or chosen by the user),
``implied:`` (follows from what was read), ``measured:`` (the alternative that explains the labels)
or ``assumed:`` (likely; the user has to check it).
"""

from __future__ import annotations

import msgspec

from phoneproof.capture.guess_input import InputGuess, guess_input, guess_size
from phoneproof.capture.guess_labels import guess_labels
from phoneproof.capture.heads import suppressing, unfit_for
from phoneproof.capture.hub import HUB_INPUT
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.capture import Finding, Head, Inspection
from phoneproof.core.contract import Contract, Decode, GeometryOp, Nms, Size, Task

CERTAINTIES = ("read:", "implied:", "measured:", "assumed:")


class Inference(msgspec.Struct, frozen=True, kw_only=True):
    """A contract and why it is so. preset: "" where no preset stands for its image input."""

    contract: Contract
    preset: str
    findings: tuple[Finding, ...]

    def reason(self, key: str) -> str:
        """Why the value at a dotted place is what it is; empty where nothing was said."""
        return next((f.reason for f in self.findings if f.key == key), "")


def infer_contract(
    inspection: Inspection,
    *,
    name: str,
    labels_found: tuple[str, ...] = (),
    preset: str | None = None,
    task: Task | None = None,
    pictures_size: Size | None = None,
) -> Inference:
    """The likeliest contract of a model.

    Args:
        name: of the contract. labels_found: the data set's class names in its order.
        preset: overrides the geometry and values. task: overrides what the outputs suggest;
            "detect" where the data set has boxes.
        pictures_size: that all pictures share, where they are small; for files that leave it open.

    Raises:
        Unsupported: a detector whose outputs fit no known head, or an image input of neither 1
            nor 3 channels.
        ConfigError: an unknown preset.
    """
    settled, task_finding = _task(inspection, task)
    classes = _classes(head_for(inspection, settled), inspection, labels_found)
    size, size_certainty, size_reason = guess_size(
        inspection, detect=settled == "detect", pictures=pictures_size
    )
    guess = guess_input(inspection, task=settled, classes=classes, size=size, preset=preset)
    labels, labels_finding = guess_labels(inspection, labels_found, classes)
    usual = inspection.decode or guess.decode or Decode(nms=Nms())
    decode = usual if settled == "detect" else None
    inputs = (guess.image,)
    contract = Contract(name=name, task=settled, inputs=inputs, labels=labels, decode=decode)
    size_text = f"{size[0]} x {size[1]}"
    findings = [
        task_finding,
        _stated_or(inspection, "contract.size", size_text, f"{size_certainty}: {size_reason}"),
        *_input_findings(guess, inspection),
        labels_finding,
        *_decode_findings(decode, guess, inspection),
    ]
    own = {finding.key for finding in findings}
    kept = [_stated(f) for f in inspection.findings if f.key not in own]
    return Inference(contract=contract, preset=guess.preset, findings=(*findings, *kept))


def head_for(inspection: Inspection, task: Task) -> Head:
    """The head that carries a task.

    Raises:
        Unsupported: the outputs fit no known head of this task; names tensors and shapes.
    """
    if inspection.head is not None and inspection.task == task:
        return inspection.head
    if task != "raw":
        raise unfit_for(task, inspection)
    return Head(
        outputs=tuple(
            OutputBinding(tensor=spec.name, role="raw", shape=spec.shape, dtype=spec.dtype)
            for spec in inspection.outputs
        )
    )


def classes_of(head: Head) -> int | None:
    """How many classes the scores of a head have; null where they do not tell.

    Raw outputs have none, and detections carry the number of their class.
    """
    if any(output.role == "classes" for output in head.outputs):
        return None
    for output in head.outputs:
        if output.role == "scores":
            if output.slice is not None:
                return output.slice[1] - output.slice[0]
            return output.shape[output.axes.index("class") + 1]
    return None


def _classes(head: Head, inspection: Inspection, labels_found: tuple[str, ...]) -> int | None:
    """Classes of the scores; where detections carry class numbers, as many as there are names."""
    if any(output.role == "classes" for output in head.outputs):
        return len(inspection.labels) or len(labels_found) or None
    return classes_of(head)


def hub_binding(inspection: Inspection, contract: Contract, *, size: Size, batch: int) -> Binding:
    """The binding of the hub program: float32, the source's layout, outputs as the source's.

    Output shapes hold the batch; other axes that the file leaves open stay -1 until the program
    is measured (`capture.hub.with_shapes`).

    Raises:
        Unsupported: the outputs fit no known head of the contract's task, or NMS inside the file
            gives as many rows as there are objects.
    """
    head = head_for(inspection, contract.task)
    if head.nms_in_file and all(output.role == "raw" for output in head.outputs):
        raise suppressing(inspection)
    channels, (height, width) = contract.image.channel_count, size
    nhwc = inspection.layout == "NHWC"
    image = InputBinding(
        for_=contract.image.name,
        tensor=HUB_INPUT,
        shape=(batch, height, width, channels) if nhwc else (batch, channels, height, width),
        layout=inspection.layout,
    )
    return Binding(
        contract=contract.sha256,
        format="hub",
        batch=batch,
        inputs=(image,),
        outputs=tuple(_with_batch(output, batch) for output in head.outputs),
        anchors=head.anchors,
        nms_in_file=head.nms_in_file,
    )


def _with_batch(output: OutputBinding, batch: int) -> OutputBinding:
    return msgspec.structs.replace(output, shape=(batch, *output.shape[1:]), dtype="float32")


def _task(inspection: Inspection, wanted: Task | None) -> tuple[Task, Finding]:
    key = "contract.task"
    if wanted is not None and wanted != inspection.task:
        head_for(inspection, wanted)  # refuses a task that the outputs cannot serve
        return wanted, Finding(key=key, value=wanted, reason="read: chosen by you")
    if inspection.task is None:
        reason = "assumed: the outputs fit no known head, so the bare tensors are compared"
        return "raw", Finding(key=key, value="raw", reason=reason)
    plain = "read: stated by the model file"
    return inspection.task, _stated_or(inspection, key, inspection.task, plain)


def _stated_or(inspection: Inspection, key: str, value: str, reason: str) -> Finding:
    """The source's own finding about a value, or the given one where it said nothing."""
    stated = [f for f in inspection.findings if f.key == key]
    return _stated(stated[0]) if stated else Finding(key=key, value=value, reason=reason)


def _input_findings(guess: InputGuess, inspection: Inspection) -> list[Finding]:
    image, why = guess.image, f"{guess.certainty}: {guess.reason}"
    if guess.certainty == "implied":
        stated = _stated_or(inspection, "contract.preset", "", why)
        if guess.preset and stated.value == guess.preset:
            why = f"implied:{stated.reason.partition(':')[2]}"
    values = [
        ("contract.preset", guess.preset or "none"),
        ("contract.channels", image.channels),
        ("contract.geometry", " then ".join(_op_text(op) for op in image.geometry)),
        ("contract.scale", f"{image.scale:.6g}"),
        ("contract.mean", _numbers(image.mean)),
        ("contract.std", _numbers(image.std)),
    ]
    if image.gray is not None:
        values.append(("contract.gray", image.gray))
    return [Finding(key=key, value=value, reason=why) for key, value in values]


def _decode_findings(
    decode: Decode | None, guess: InputGuess, inspection: Inspection
) -> list[Finding]:
    if decode is None:
        return []
    nms = "none" if decode.nms is None else f"IoU {decode.nms.iou:g}"
    is_known = guess.preset != "" or guess.certainty == "implied"
    reason = "the defaults of the family's own predictor" if is_known else "common defaults"
    why = f"assumed: {reason}; set them to what your app uses"
    if inspection.decode is not None:
        why = "read: the options of the post-processing in the model file"
    return [
        Finding(key="contract.decode.confidence", value=f"{decode.confidence:g}", reason=why),
        Finding(key="contract.decode.nms", value=nms, reason=why),
    ]


def _stated(finding: Finding) -> Finding:
    """A source's own finding: read from the file, unless it says otherwise."""
    if finding.reason.startswith(CERTAINTIES):
        return finding
    return msgspec.structs.replace(finding, reason=f"read: {finding.reason}")


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _op_text(op: GeometryOp) -> str:
    words = [str(op.__struct_config__.tag)]
    for name in ("to", "fraction", "aspect", "size", "anchor", "filter"):
        value = getattr(op, name, None)
        if value is not None:
            words.append(f"{value[0]} x {value[1]}" if name == "size" else str(value))
    return " ".join(words)
