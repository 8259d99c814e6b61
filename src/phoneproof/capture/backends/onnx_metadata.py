"""What an exporter wrote into an ONNX file's metadata, parsed as literals and never evaluated."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from onnx import ModelProto

from phoneproof.core.capture import Finding

_MAX_TEXT = 1 << 20
"""Names of ten thousand classes take a fifth of this; longer text is not parsed."""
_TRAINING = ("imgsz", "stride", "task", "batch", "version", "date", "channels")


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxMetadata:
    """labels: class names by index. task: of an Ultralytics export, "" for anything else."""

    labels: tuple[str | None, ...] = ()
    task: str = ""
    license: str = ""
    training: tuple[tuple[str, str], ...] = ()
    findings: tuple[Finding, ...] = ()


def read_metadata(model: ModelProto) -> OnnxMetadata:
    """Labels, task and training settings of `metadata_props`; unreadable ones become findings."""
    texts = {prop.key: prop.value for prop in model.metadata_props}
    labels = _labels(texts.get("names", ""))
    ultralytics = "names" in texts and {"task", "stride", "imgsz"} & set(texts) != set()
    findings = []
    if labels:
        findings.append(
            Finding(
                key="contract.labels",
                value=f"{len(labels)} names",
                reason="written into the file's metadata (names) by the exporter",
            )
        )
    elif texts.get("names"):
        findings.append(
            Finding(
                key="contract.labels",
                value="unreadable",
                reason="the metadata holds names that are no list or mapping of texts",
            )
        )
    training = tuple((key, texts[key][:200]) for key in _TRAINING if key in texts)
    return OnnxMetadata(
        labels=labels,
        task=texts.get("task", "") if ultralytics else "",
        license=texts.get("license", "")[:200],
        training=training,
        findings=tuple(findings),
    )


def _labels(text: str) -> tuple[str | None, ...]:
    if not text or len(text) > _MAX_TEXT:
        return ()
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return ()
    if isinstance(value, (list, tuple)):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        return ()
    if not all(isinstance(k, int) and isinstance(v, str) for k, v in value.items()):
        return ()
    if min(value) < 0 or max(value) > _MAX_TEXT:
        return ()
    return tuple(value.get(index) for index in range(max(value) + 1))
