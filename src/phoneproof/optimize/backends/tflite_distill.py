"""Ranges, weights and biases of a TFLite file, learned so that rounding them loses least."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from phoneproof.core.events import Progress, silent
from phoneproof.core.recipe import Static
from phoneproof.formats.tflite import TfliteGraph
from phoneproof.formats.tflite_layers import layer_name
from phoneproof.optimize.backends.deterministic import deterministic
from phoneproof.optimize.backends.fake_quant import FakeQuant
from phoneproof.optimize.backends.learned_grids import LearnedGrids
from phoneproof.optimize.backends.learned_targets import as_the_app_reads, border, cut
from phoneproof.optimize.backends.learning import Learner
from phoneproof.optimize.backends.repaired_file import (
    pictures,
    read_float32,
    start_bounds,
    text,
    written,
)
from phoneproof.optimize.backends.tflite_bias import MOST_IMAGES, corrections, corrigible
from phoneproof.optimize.backends.tflite_plan import Plan, plan_ops
from phoneproof.optimize.backends.tflite_ranges import statistics
from phoneproof.optimize.base import RepairedModel, RepairRequest
from phoneproof.runtimes.backends.tflite_torch.module import TfliteModule

_MOST_IMAGES = 64


class TfliteDistill:
    """Distillation of the float network into its rounded self, on unlabelled images."""

    def repair(self, request: RepairRequest, progress: Progress) -> RepairedModel:
        """Write the file whose weights lie on the integer grid, and the learned ranges.

        Raises:
            InvalidInput: not a float32 TFLite file; ranges of another file; an unreadable image.
            OptimizationFailed: the recipe does not fit the file, fewer than two images, or a
                constant or result that is not finite (named).
        """
        graph = read_float32(request)
        bounds = start_bounds(request, graph)
        targets = as_the_app_reads(border(graph, request.recipe), request.binding)
        part = cut(graph, targets)
        plan = plan_ops(part, _within(part, request.recipe))
        network = TfliteModule(part)
        known = frozenset({graph.tensors[graph.inputs[0]].name})
        numbers = statistics(part, plan, bounds, ())
        grids = LearnedGrids(network, plan, numbers, known)
        images = pictures(request, _MOST_IMAGES)
        with deterministic():
            learner = Learner(network, grids, targets, images)
            moved = _corrected_biases(network, plan, grids.start, images)
            corrected = _start_from(learner, grids, moved)
            how = learner.run(request.seconds, progress)
        return written(
            request,
            dict(grids.constants()),
            (
                ("algorithm", text("distillation")),
                ("bias_correction", text(corrected)),
                ("loss", text((how.before, how.after))),
                ("recipe", text(request.recipe)),
                ("steps", text((how.steps, how.planned))),
                ("targets", text([target.tensor for target in targets])),
            ),
            learned={**bounds, **dict(grids.bounds())},
            libraries=("torch",),
        )


def _corrected_biases(
    network: TfliteModule, plan: Plan, rounding: FakeQuant, images: list[NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Bias -> what it has to gain, by channel."""
    biases = corrigible(network.graph, plan, network)
    found = corrections(network, rounding, biases, images[:MOST_IMAGES], silent)
    return {biases[layer]: gain for layer, gain in found.items()}


def _start_from(
    learner: Learner, grids: LearnedGrids, moved: dict[str, NDArray[np.float32]]
) -> bool:
    """Bias correction reaches in seconds what gradients need minutes for; undone where the
    held-out images are worse off."""
    before = learner.judged()
    grids.move_biases(moved)
    if learner.judged() < before:
        return True
    grids.move_biases({name: -gain for name, gain in moved.items()})
    return False


def _within(part: TfliteGraph, recipe: Static) -> Static:
    """The recipe without the layers that lie behind what is learned."""
    names = {layer_name(part, op) for op in part.ops}
    return msgspec.structs.replace(
        recipe,
        float_layers=tuple(name for name in recipe.float_layers if name in names),
        int16_layers=tuple(name for name in recipe.int16_layers if name in names),
    )
