"""Canonical outputs: the same meaning for every file that carries one contract.

A file may hold its head in pieces, transposed, quantised, or with half of the decode still to do;
what leaves here no longer depends on that, so artifacts can be compared and decoded alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from phoneproof.core.binding import Binding, Box, DType, GridAnchors, OutputBinding, Quant, Role
from phoneproof.core.contract import Contract, Size
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.decode.anchors import to_xyxy
from phoneproof.decode.distances import expected_distances
from phoneproof.decode.final import counted, one_hot
from phoneproof.decode.levels import (
    check_anchors,
    check_levels,
    check_width,
    grids_of,
    one_level,
    role_levels,
    role_parts,
)
from phoneproof.decode.results import Float
from phoneproof.decode.values import Outputs, role_array

_DECODED_ROLES: frozenset[Role] = frozenset(
    {"boxes", "dfl", "scores", "objectness", "classes", "count", "raw"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Heads:
    """A detector's canonical output for one image.

    boxes: float32 [A, 4], xyxy in pixels of the input tensor. scores: float32 [A, C], after the
    activation and multiplied by the objectness where there is one; C is indexed by the
    contract's labels, null ones included.
    final: the rows are detections that the file itself chose. Each has one score, in the column
    of its class; rows past the file's count and rows of a negative class are zero. Their order
    is the file's, and says nothing between two files.
    """

    boxes: Float
    scores: Float
    final: bool = False


def canonical_heads(
    outputs: Outputs, contract: Contract, binding: Binding, *, index: int = 0
) -> Heads:
    """Boxes and scores of image `index` of the batch.

    Raises:
        InvalidInput: tensors, binding and contract do not fit each other.
        Unsupported: a role that this version does not decode.
    """
    _check_roles(binding)
    if any(output.role == "classes" for output in binding.outputs):
        return _final_heads(outputs, contract, binding, index)
    boxes, levels = _boxes(outputs, binding, index)
    scores = role_levels(outputs, binding, "scores", index)
    check_levels("scores", scores, levels)
    product = np.concatenate(scores)
    if any(output.role == "objectness" for output in binding.outputs):
        objectness = role_levels(outputs, binding, "objectness", index)
        check_levels("objectness", objectness, levels)
        check_width("objectness", objectness[0], 1)
        product = product * np.concatenate(objectness)
    _check_labels(product.shape[1], contract)
    return Heads(boxes=boxes, scores=product)


def _final_heads(outputs: Outputs, contract: Contract, binding: Binding, index: int) -> Heads:
    boxes, _ = _boxes(outputs, binding, index)
    columns: list[Float] = []
    for role in ("scores", "classes"):
        column = one_level(outputs, binding, role, index)
        check_anchors(role, len(column), len(boxes))
        check_width(role, column, 1)
        columns.append(column[:, 0])
    most = len(boxes)
    if any(output.role == "count" for output in binding.outputs):
        most = counted(one_level(outputs, binding, "count", index), most)
    offset = next(o.class_offset for o in binding.outputs if o.role == "classes")
    scores = one_hot(columns[0][:most], columns[1][:most], offset, contract)
    past = np.zeros((len(boxes) - most, scores.shape[1]), np.float32)
    scores = np.concatenate([scores, past])
    there = (scores != 0).any(axis=1, keepdims=True)
    return Heads(boxes=np.where(there, boxes, np.float32(0)), scores=scores, final=True)


def canonical_probabilities(
    outputs: Outputs, contract: Contract, binding: Binding, *, index: int = 0
) -> Float:
    """Class probabilities float32 [C] of image `index`, indexed by the contract's labels.

    Raises:
        InvalidInput: tensors, binding and contract do not fit each other.
        Unsupported: a role that this version does not decode.
    """
    _check_roles(binding)
    rows = np.concatenate(role_levels(outputs, binding, "scores", index))
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

    detect: ``boxes`` [A, 4] and ``scores`` [A, C]; of final heads ``boxes`` [R, 4], ``scores``
    [R] and ``classes`` [R] of the rows that are there, to be matched, not compared row by row.
    classify: ``probabilities`` [C]. raw: each
    tensor under its name (``name[a:b]`` where the binding slices it), axes anchor, y, x, value.
    """
    if contract.task == "detect":
        return heads_as_roles(canonical_heads(outputs, contract, binding, index=index))
    if contract.task == "classify":
        return {"probabilities": canonical_probabilities(outputs, contract, binding, index=index)}
    return {raw_name(o): role_array(outputs, o, index) for o in binding.outputs}


def heads_as_roles(heads: Heads) -> dict[str, Float]:
    """The same arrays, by role (see `canonical_roles`)."""
    if not heads.final:
        return {"boxes": heads.boxes, "scores": heads.scores}
    rows = np.flatnonzero((heads.scores != 0).any(axis=1))
    classes = (heads.scores[rows] != 0).argmax(axis=1)
    return {
        "boxes": heads.boxes[rows],
        "scores": heads.scores[rows, classes],
        "classes": classes.astype(np.float32),
    }


def input_size(binding: Binding) -> Size:
    """Height and width of the input tensor, in pixels."""
    shape = binding.image.shape
    if len(shape) != 4:
        raise InvalidInput("the image input must have four axes", found=f"shape {list(shape)}")
    if binding.image.layout == "NCHW":
        return shape[2], shape[3]
    return shape[1], shape[2]


def class_maps(
    contract: Contract, binding: Binding, source: Iterable[TensorSpec] = ()
) -> frozenset[str]:
    """The canonical outputs that are whole numbers, as an argmax makes them: class numbers.

    Of task raw alone: elsewhere roles say what outputs mean. An integer tensor that is quantised
    stands for real numbers.

    Args:
        source: the outputs of the model that a hub was captured from: a hub's are all float32.
    """
    if contract.task != "raw":
        return frozenset()
    whole = {one.name for one in source if _is_whole(one.dtype, one.quant)}
    return frozenset(
        raw_name(one)
        for one in binding.outputs
        if one.tensor in whole or _is_whole(one.dtype, one.quant)
    )


def _is_whole(dtype: DType, quant: Quant | None) -> bool:
    return dtype in ("int32", "int64") and quant is None


def raw_name(output: OutputBinding) -> str:
    """How an output of task raw is called among the canonical ones."""
    if output.slice is None:
        return output.tensor
    return f"{output.tensor}[{output.slice[0]}:{output.slice[1]}]"


def _boxes(outputs: Outputs, binding: Binding, index: int) -> tuple[Float, list[Float]]:
    """Boxes in pixels, float32 [A, 4], and the values of each level that they came from."""
    is_dfl = any(output.role == "dfl" for output in binding.outputs)
    role: Role = "dfl" if is_dfl else "boxes"
    levels = role_levels(outputs, binding, role, index)
    values = np.concatenate(levels)
    parts = role_parts(binding, role)
    described = {output.box for output in parts}
    if len(described) != 1:
        raise InvalidInput("the levels of a head must share one box format")
    box = described.pop()
    if box is None:
        raise InvalidInput(
            "the binding does not say what its boxes mean",
            next_step="give the output with role boxes a `box` (format and units)",
        )
    if is_dfl:
        _check_dfl(binding, box)
        values = expected_distances(values)
    check_width("boxes", values, 4)
    size = input_size(binding)
    cells = grids_of(binding, parts, size)
    return to_xyxy(values, box, binding.anchors, size, cells), levels


def _check_dfl(binding: Binding, box: Box) -> None:
    if box.format != "ltrb" or not isinstance(binding.anchors, GridAnchors):
        raise InvalidInput(
            "a distribution over bins gives distances from the cells of a grid",
            found=f"format {box.format!r}",
            next_step="give the output with role dfl a box of format ltrb, and grid anchors",
        )


def _check_roles(binding: Binding) -> None:
    roles = {output.role for output in binding.outputs}
    unknown = sorted(roles - _DECODED_ROLES)
    if unknown:
        raise Unsupported(
            "the binding has outputs that this version does not decode",
            found=f"roles {', '.join(unknown)}",
            next_step="use boxes or dfl, scores, objectness, classes and count, or task raw",
        )
    if {"boxes", "dfl"} <= roles or ("count" in roles and "classes" not in roles):
        raise InvalidInput(
            "the roles of the binding do not go together",
            found=f"roles {', '.join(sorted(roles))}",
            next_step="give boxes or dfl, not both; count belongs to final detections (classes)",
        )


def _check_labels(classes: int, contract: Contract) -> None:
    if contract.labels and classes != len(contract.labels):
        raise InvalidInput(
            "the model has another number of classes than the contract has labels",
            found=f"{classes} classes, {len(contract.labels)} labels",
            next_step="correct the labels (null for background) or the slice of the scores",
        )
