"""Canonical outputs: the same meaning for every file that carries one contract.

A file may hold its head in pieces, transposed, quantised, or with half of the decode still to do;
what leaves here no longer depends on that, so artifacts can be compared and decoded alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phoneproof.core.binding import Binding, OutputBinding, Role
from phoneproof.core.contract import Contract, Size
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.decode.anchors import to_xyxy
from phoneproof.decode.results import Float
from phoneproof.decode.values import Outputs, role_array, role_rows

_DECODED_ROLES: frozenset[Role] = frozenset({"boxes", "scores", "objectness", "raw"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """A detector's canonical output for one image.

    boxes: float32 [A, 4], xyxy in pixels of the input tensor. scores: float32 [A, C], after the
    activation and multiplied by the objectness where there is one; C is indexed by the
    contract's labels, null ones included.
    """

    boxes: Float
    scores: Float


def canonical_heads(
    outputs: Outputs, contract: Contract, binding: Binding, *, index: int = 0
) -> Heads:
    """Boxes and scores of image `index` of the batch.

    Raises:
        InvalidInput: tensors, binding and contract do not fit each other.
        Unsupported: a role or an anchor kind that this version does not decode.
    """
    _check_roles(binding)
    boxes = _boxes(outputs, binding, index)
    scores = _rows(outputs, binding, "scores", index)
    if any(output.role == "objectness" for output in binding.outputs):
        objectness = _rows(outputs, binding, "objectness", index)
        _check_anchors("objectness", objectness, len(scores))
        if objectness.shape[1] != 1:
            raise _wrong_width("objectness", objectness.shape[1], 1)
        scores = scores * objectness
    _check_anchors("scores", scores, len(boxes))
    _check_labels(scores.shape[1], contract)
    return Heads(boxes=boxes, scores=scores)


def canonical_probabilities(
    outputs: Outputs, contract: Contract, binding: Binding, *, index: int = 0
) -> Float:
    """Class probabilities float32 [C] of image `index`, indexed by the contract's labels.

    Raises:
        InvalidInput: tensors, binding and contract do not fit each other.
        Unsupported: a role that this version does not decode.
    """
    _check_roles(binding)
    rows = _rows(outputs, binding, "scores", index)
    if len(rows) != 1:
        raise InvalidInput(
            "a classifier's scores must be one row of classes",
            found=f"{len(rows)} rows of {rows.shape[1]} values",
            next_step="pool the spatial positions inside the model, or use task raw",
        )
    _check_labels(rows.shape[1], contract)
    return np.ascontiguousarray(rows[0])


def canonical_roles(
    outputs: Outputs, contract: Contract, binding: Binding, *, index: int = 0
) -> dict[str, Float]:
    """What artifacts of one contract are compared by, for image `index`, all float32.

    detect: ``boxes`` [A, 4] and ``scores`` [A, C]. classify: ``probabilities`` [C]. raw: each
    tensor under its name (``name[a:b]`` where the binding slices it), axes anchor, y, x, value.
    """
    if contract.task == "detect":
        return heads_as_roles(canonical_heads(outputs, contract, binding, index=index))
    if contract.task == "classify":
        return {"probabilities": canonical_probabilities(outputs, contract, binding, index=index)}
    return {_raw_name(o): role_array(outputs, o, index) for o in binding.outputs}


def heads_as_roles(heads: Heads) -> dict[str, Float]:
    """The same arrays, by role."""
    return {"boxes": heads.boxes, "scores": heads.scores}


def input_size(binding: Binding) -> Size:
    """Height and width of the input tensor, in pixels."""
    shape = binding.image.shape
    if len(shape) != 4:
        raise InvalidInput("the image input must have four axes", found=f"shape {list(shape)}")
    if binding.image.layout == "NCHW":
        return shape[2], shape[3]
    return shape[1], shape[2]


def _raw_name(output: OutputBinding) -> str:
    if output.slice is None:
        return output.tensor
    return f"{output.tensor}[{output.slice[0]}:{output.slice[1]}]"


def _boxes(outputs: Outputs, binding: Binding, index: int) -> Float:
    values = _rows(outputs, binding, "boxes", index)
    if values.shape[1] != 4:
        raise _wrong_width("boxes", values.shape[1], 4)
    described = {output.box for output in binding.outputs if output.role == "boxes"}
    if len(described) != 1:
        raise InvalidInput("the levels of a head must share one box format")
    box = described.pop()
    if box is None:
        raise InvalidInput(
            "the binding does not say what its boxes mean",
            next_step="give the output with role boxes a `box` (format and units)",
        )
    return to_xyxy(values, box, binding.anchors, input_size(binding))


def _rows(outputs: Outputs, binding: Binding, role: Role, index: int) -> Float:
    """One role over all its levels, in the order of the strides: float32 [A, values]."""
    parts = [output for output in binding.outputs if output.role == role]
    if len(parts) == 1:
        return role_rows(outputs, parts[0], index)
    levels = [-1 if part.level is None else part.level for part in parts]
    if sorted(levels) != list(range(len(parts))) or not parts:
        raise InvalidInput(
            f"the binding must carry {role} in one tensor or in levels 0, 1, 2 ...",
            found=f"{len(parts)} outputs, levels {[part.level for part in parts]}",
        )
    ordered = sorted(parts, key=lambda part: part.level or 0)
    rows = [role_rows(outputs, part, index) for part in ordered]
    if len({part.shape[1] for part in rows}) != 1:
        raise InvalidInput(f"the levels of {role} have different numbers of values")
    return np.concatenate(rows)


def _check_roles(binding: Binding) -> None:
    unknown = sorted({output.role for output in binding.outputs} - _DECODED_ROLES)
    if unknown:
        raise Unsupported(
            "the binding has outputs that this version does not decode",
            found=f"roles {', '.join(unknown)}",
            next_step="use boxes, scores and objectness, or task raw",
        )


def _check_anchors(role: Role, rows: Float, anchors: int) -> None:
    if len(rows) != anchors:
        raise InvalidInput(
            f"{role} have another number of anchors than the rest of the head",
            found=f"{len(rows)} instead of {anchors}",
            next_step="check the axes of the binding's outputs (swapped outputs?)",
        )


def _check_labels(classes: int, contract: Contract) -> None:
    if contract.labels and classes != len(contract.labels):
        raise InvalidInput(
            "the model has another number of classes than the contract has labels",
            found=f"{classes} classes, {len(contract.labels)} labels",
            next_step="correct the labels (null for background) or the slice of the scores",
        )


def _wrong_width(role: Role, found: int, expected: int) -> InvalidInput:
    return InvalidInput(
        f"{role} must have {expected} value(s) an anchor",
        found=f"{found}",
        next_step="check the axes and the slice of the binding's output",
    )
