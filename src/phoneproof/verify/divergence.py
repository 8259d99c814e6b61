"""The first layer of an artifact that no longer computes what the hub computes.

The two graphs share no names: a converter renames, transposes and fuses. So tensors are found
again by their values. A hub tensor without a counterpart is either gone, because it was fused
into its consumer, or wrong. What is fused has a consumer that is found again; what is wrong
spoils everything behind it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from phoneproof.runtimes.base import Tensors, TracingSession
from phoneproof.verify.tensor_matching import Matching, Traced, match_traces, relative_error

FLOAT32_LAYER_TOLERANCE: Final = 1e-3
"""Relative to a tensor's largest magnitude. Rounding adds up to about 1e-5 in a deep network, a
fault that fails a float32 check moves its own layer by more than this."""

Edges = Mapping[str, Sequence[str]]
"""Tensor name -> names of the traced tensors it is computed from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Divergence:
    """Where the artifact leaves the hub.

    layer: the hub's name. artifact_tensor: the counterpart, null where none is left that could
    be it. relative_error: largest difference relative to the hub tensor's largest magnitude
    (infinite without a counterpart). last_good: the layer before, or "the input".
    """

    layer: str
    artifact_tensor: str | None
    relative_error: float
    last_good: str
    explanation: str


@runtime_checkable
class GraphSession(Protocol):
    """A tracing session that also knows how its tensors depend on each other."""

    def edges(self) -> Edges:
        """Tensor name -> names of the traced tensors it is computed from."""
        ...


def first_divergence(
    *,
    hub: TracingSession,
    artifact: TracingSession,
    hub_inputs: Tensors,
    artifact_inputs: Tensors,
    edges: Edges | None = None,
    tolerance: float = FLOAT32_LAYER_TOLERANCE,
) -> Divergence | None:
    """Run both on one image, layer by layer, and find the first that differs.

    Args:
        hub_inputs, artifact_inputs: the same image as each of them takes it.
        edges: how the hub's tensors depend on each other. Without it (and where `hub` is no
            GraphSession) the order of execution stands in for it, which is exact for a chain
            and names a neighbour at worst where branches run interleaved.
        tolerance: largest difference of a good layer, relative to its largest magnitude; 1e-2
            suits float16.

    Returns:
        None where every layer and every output agrees.
    """
    if edges is None and isinstance(hub, GraphSession):
        edges = hub.edges()
    matching = match_traces(hub.trace(hub_inputs), artifact.trace(artifact_inputs), tolerance)
    first = _first_wrong(matching, edges)
    if first is not None:
        return _describe(matching, first, edges)
    return _wrong_output(hub.run(hub_inputs), artifact.run(artifact_inputs), matching, tolerance)


def _first_wrong(matching: Matching, edges: Edges | None) -> int | None:
    """Position of the first hub tensor that is wrong rather than fused away."""
    if edges is not None:
        return _without_found_consumer(matching, edges)
    for position in matching.missing:
        if matching.rivals(position):
            return position
    behind = [position for position in matching.missing if position > matching.last_found]
    return behind[0] if behind else None


def _without_found_consumer(matching: Matching, edges: Edges) -> int | None:
    """The first missing tensor nothing behind which is found again."""
    alive = {matching.hub[position].name for position in matching.found}
    # Backwards in execution order: whatever feeds a found tensor was computed rightly.
    for traced in reversed(matching.hub):
        if traced.name in alive:
            alive.update(edges.get(traced.name, ()))
    for position in matching.missing:
        if matching.hub[position].name not in alive:
            return position
    return None


def _describe(matching: Matching, position: int, edges: Edges | None) -> Divergence:
    layer = matching.hub[position]
    before = _last_good(matching, position, edges)
    candidates = matching.rivals(position) or matching.left_over(position)
    if not candidates:
        return Divergence(
            layer=layer.name,
            artifact_tensor=None,
            relative_error=math.inf,
            last_good=before,
            explanation=f"{layer.name} {list(layer.value.shape)} has no counterpart of its size "
            "in the artifact, and nothing behind it is found again; "
            f"everything up to {before} agrees",
        )
    # The artifact's first wrong tensor. It may stand for several of ours: a convolution with its
    # batch norm in it equals our batch norm, so it is compared with each of the group.
    counterpart = candidates[0]
    group = _missing_from(matching, position)
    errors = {one.name: relative_error(one.value, counterpart.value) for one in group}
    nearest = min(errors, key=errors.__getitem__)
    return Divergence(
        layer=layer.name,
        artifact_tensor=counterpart.name,
        relative_error=errors[nearest],
        last_good=before,
        explanation=f"{layer.name} is wrong in the artifact: {counterpart.name} differs from "
        f"{nearest} by {errors[nearest]:.3g} of its largest magnitude; "
        f"everything up to {before} agrees",
    )


def _missing_from(matching: Matching, position: int) -> tuple[Traced, ...]:
    """The hub tensor and those right behind it that are missing too and have its size."""
    size = matching.hub[position].value.size
    group: list[Traced] = []
    for at in range(position, len(matching.hub)):
        if at in matching.found or matching.hub[at].value.size != size:
            break
        group.append(matching.hub[at])
    return tuple(group)


def _last_good(matching: Matching, position: int, edges: Edges | None) -> str:
    """The nearest found tensor before `position`: an ancestor where edges are known."""
    found = [p for p in matching.found if p < position]
    if edges is not None:
        ancestors = _ancestors(matching.hub[position].name, edges)
        found = [p for p in found if matching.hub[p].name in ancestors]
    return matching.hub[found[-1]].name if found else "the input"


def _ancestors(name: str, edges: Edges) -> set[str]:
    seen: set[str] = set()
    waiting = list(edges.get(name, ()))
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(edges.get(one, ()))
    return seen


def _wrong_output(
    hub: Tensors, artifact: Tensors, matching: Matching, tolerance: float
) -> Divergence | None:
    """All layers agree: see whether the outputs are those layers, in that order.

    Outputs are paired by name where the names are the same, else by position.
    """
    by_name = set(hub) == set(artifact)
    names = list(artifact)
    for index, (name, value) in enumerate(hub.items()):
        other = name if by_name else names[index] if index < len(names) else None
        error = math.inf if other is None else relative_error(value, artifact[other])
        if error <= tolerance:
            continue
        real = [n for n in names if relative_error(value, artifact[n]) <= tolerance]
        return Divergence(
            layer=name,
            artifact_tensor=other,
            relative_error=error,
            last_good=matching.hub[matching.last_found].name if matching.found else "the input",
            explanation=f"every layer agrees, but output {name} is not the artifact's {other}"
            + (f": its values are in {real[0]}, the outputs changed places" if real else ""),
        )
    return None
