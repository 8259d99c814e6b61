"""How a graph falls into pieces when a delegate takes some of its operators."""

from __future__ import annotations

from collections.abc import Sequence

from phoneproof.formats.tflite import TfliteGraph


def partitions(graph: TfliteGraph, taken: Sequence[bool]) -> list[tuple[bool, tuple[int, ...]]]:
    """The pieces in the order they run: (whether the delegate has it, operator indices).

    As the interpreter does it (tflite/graph_info.cc, greedy): the first operator whose inputs are
    there decides whose piece it is, and every operator of the same side that can run by then
    joins, whatever its place in the file; then the next piece.
    """
    ready = set(range(len(graph.tensors)))
    for op in graph.ops:
        ready.difference_update(op.outputs)
    waiting = list(range(len(graph.ops)))
    pieces: list[tuple[bool, tuple[int, ...]]] = []
    while waiting:
        piece, side = _next_piece(graph, taken, waiting, ready)
        if not piece:  # a cycle: no valid file has one
            break
        pieces.append((side, tuple(piece)))
        done = set(piece)
        waiting = [index for index in waiting if index not in done]
    return pieces


def _next_piece(
    graph: TfliteGraph, taken: Sequence[bool], waiting: list[int], ready: set[int]
) -> tuple[list[int], bool]:
    piece: list[int] = []
    side: bool | None = None
    left = waiting
    while True:
        rest: list[int] = []
        for index in left:
            op = graph.ops[index]
            runnable = all(i == -1 or i in ready for i in op.inputs)
            if runnable and side is None:
                side = taken[index]
            if runnable and taken[index] == side:
                piece.append(index)
                ready.update(op.outputs)
            else:
                rest.append(index)
        if len(rest) == len(left):
            return piece, bool(side)
        left = rest
