"""Output tensors to results in the pixels of the oriented original.

The rule of the threshold: a score counts when it is *greater than* the confidence, compared in
float32 (Ultralytics uses the same).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract, Decode, Nms
from phoneproof.core.errors import InvalidInput
from phoneproof.decode.heads import Heads, canonical_heads, canonical_probabilities
from phoneproof.decode.nms import best_first, highest, nms
from phoneproof.decode.results import (
    Classification,
    Detections,
    Float,
    Index,
    RawOutputs,
    Results,
)
from phoneproof.decode.values import Outputs, dequantize, image_tensor

ToOriginal = Callable[[Float], Float]
"""Boxes float32 [N, 4] in pixels of the input tensor -> pixels of the oriented original."""

METRIC_CONFIDENCE = 0.001
METRIC_NMS = Nms(iou=0.7, class_agnostic=False, pre_top_k=30000, max_detections=300)
"""The decode under which detectors publish their mAP (Ultralytics' validation settings)."""

FINAL_DETECTIONS = 300
"""Most detections kept of a model whose boxes are final: the default of `Nms.max_detections`."""


def decode(
    outputs: Outputs,
    contract: Contract,
    binding: Binding,
    *,
    to_original: ToOriginal,
    policy: Decode | None = None,
    index: int = 0,
) -> Results:
    """Results of image `index` of the batch.

    Args:
        outputs: output tensors by name, batch first, as the session gave them.
        contract: what they mean.
        binding: how this file carries it.
        to_original: takes boxes back to the original (`phoneproof.pixels.inverse`).
        policy: thresholds and NMS; None: the binding's override, else the contract's.
        index: which image of the batch.

    Raises:
        InvalidInput: tensors, binding and contract do not fit each other.
        Unsupported: a head that this version does not decode.
    """
    if contract.task == "classify":
        probabilities = canonical_probabilities(outputs, contract, binding, index=index)
        return Classification(probabilities=probabilities)
    if contract.task == "raw":
        return raw_outputs(outputs, binding, index=index)
    heads = canonical_heads(outputs, contract, binding, index=index)
    return decode_heads(heads, contract, binding, to_original=to_original, policy=policy)


def decode_heads(
    heads: Heads,
    contract: Contract,
    binding: Binding,
    *,
    to_original: ToOriginal,
    policy: Decode | None = None,
) -> Detections:
    """Detections from canonical heads.

    Multi-label: every class over the threshold is a candidate, otherwise an anchor's best class
    (the first of equals). Null labels are never candidates, nor is an anchor with a NaN score or
    a box that is not finite. Without NMS (none in the policy, or done in the file) boxes are
    final: threshold, order, and the best `max_detections`.
    """
    policy = policy or app_policy(contract, binding)
    if policy.nms is None or binding.nms_in_file:
        most = FINAL_DETECTIONS if policy.nms is None else policy.nms.max_detections
        found = _candidates(heads, contract, policy, most)
        kept = best_first(found.scores, most)
    else:
        found = _candidates(heads, contract, policy, policy.nms.pre_top_k)
        kept = nms(heads.boxes[found.anchors], found.scores, found.classes, policy.nms)
    return Detections(
        boxes=to_original(np.ascontiguousarray(heads.boxes[found.anchors[kept]])),
        scores=found.scores[kept],
        classes=found.classes[kept],
    )


def app_policy(contract: Contract, binding: Binding) -> Decode:
    """What the app does: the binding's override, else the contract's decode."""
    policy = binding.decode_override or contract.decode
    if policy is None:
        raise InvalidInput("the contract has no decode", next_step="give it a confidence and nms")
    return policy


def metric_policy(contract: Contract) -> Decode:
    """The decode of mAP: confidence .001, multi-label, class-aware NMS at .7, 300 kept.

    A contract without NMS keeps that: its boxes are final.
    """
    suppresses = contract.decode is not None and contract.decode.nms is not None
    return Decode(
        confidence=METRIC_CONFIDENCE, multi_label=True, nms=METRIC_NMS if suppresses else None
    )


def raw_outputs(outputs: Outputs, binding: Binding, *, index: int = 0) -> RawOutputs:
    """Every tensor of the binding as the model gave it for image `index`, as float32."""
    first = {output.tensor: output for output in reversed(binding.outputs)}
    return RawOutputs(
        tensors=tuple(
            (name, dequantize(image_tensor(outputs, first[name], index), first[name].quant))
            for name in binding.tensors
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidates:
    """Anchor, class and score of each candidate, ordered by anchor, then class; all [N]."""

    anchors: Index
    classes: Index
    scores: Float


def _candidates(heads: Heads, contract: Contract, policy: Decode, limit: int) -> _Candidates:
    """The `limit` best candidates (all, where there are fewer)."""
    scores, named = _named(heads.scores, contract)
    confidence = np.float32(policy.confidence)
    if not len(named):
        empty = np.empty(0, np.int64)
        return _Candidates(anchors=empty, classes=empty, scores=np.empty(0, np.float32))
    # Few anchors pass: the row maximum is the only pass over the whole head.
    anchors = np.flatnonzero(scores.max(axis=1) > confidence)
    anchors = anchors[np.isfinite(heads.boxes[anchors]).all(axis=1)]
    rows = np.ascontiguousarray(scores[anchors])
    if policy.multi_label:
        places = np.flatnonzero(rows > confidence)
    else:
        places = np.arange(len(rows)) * rows.shape[1] + rows.argmax(axis=1)
    values = rows.reshape(-1)[places]
    best = highest(values, limit)
    row, column = np.divmod(places[best], rows.shape[1])
    return _Candidates(anchors=anchors[row], classes=named[column], scores=values[best])


def _named(scores: Float, contract: Contract) -> tuple[Float, Index]:
    """The columns whose label is not null, and their label indices."""
    everything = np.arange(scores.shape[1])
    if None not in contract.labels:
        return scores, everything
    named = np.array([i for i in everything if contract.labels[i] is not None], np.int64)
    return scores[:, named], named
