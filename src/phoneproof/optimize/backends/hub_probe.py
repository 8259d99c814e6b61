"""Values that show whether two heads are the same: for the tail of a program, and for all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.errors import OptimizationFailed
from phoneproof.decode.heads import Heads, canonical_heads
from phoneproof.decode.results import Float
from phoneproof.optimize.backends.head_proof import Difference, Probe, proved
from phoneproof.optimize.backends.hub_graph import between, shape_of

_SEED: Final = 20
_REACH: Final = 2.0
"""Logits of the structured probe run from minus to plus this."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tail:
    """What a program does behind its last layers. names: of the outputs, in order."""

    module: GraphModule
    layers: Mapping[str, Node]
    names: tuple[str, ...]

    @classmethod
    def of(
        cls, module: GraphModule, layers: Mapping[str, Node], outputs: Mapping[str, Node]
    ) -> Tail:
        """Cut the tail out of a program.

        Raises:
            OptimizationFailed: the outputs need more than the layers.
        """
        tail = between(module, tuple(layers.values()), tuple(outputs.values()))
        return cls(module=tail, layers=layers, names=tuple(outputs))

    def resting(self, contract: Contract, binding: Binding) -> Float:
        """The boxes of the first image where every layer is 0: float32 [A, 4], xyxy in pixels."""
        values = [torch.zeros(shape_of(node)) for node in self.layers.values()]
        return self._heads(values, contract, binding)[0].boxes

    def probes(self, contract: Contract, binding: Binding) -> tuple[Probe, ...]:
        """Noise, and a ramp on which no two values of a layer are equal."""
        generator = torch.Generator().manual_seed(_SEED)
        shapes = [shape_of(node) for node in self.layers.values()]
        noise = [torch.randn(shape, generator=generator) for shape in shapes]
        return tuple(
            Probe(
                tensors={
                    name: value.numpy() for name, value in zip(self.layers, values, strict=True)
                },
                expected=self._heads(values, contract, binding),
            )
            for values in (noise, [_ramp(shape) for shape in shapes])
        )

    def _heads(
        self, values: Sequence[torch.Tensor], contract: Contract, binding: Binding
    ) -> tuple[Heads, ...]:
        with torch.inference_mode():
            results = self.module(*values)
        outputs = _arrays(self.names, results)
        return _all_heads(outputs, contract, binding)


def require_equal(
    programs: tuple[ExportedProgram, ExportedProgram],
    names: tuple[Sequence[str], Sequence[str]],
    bindings: tuple[Binding, Binding],
    contract: Contract,
) -> Difference:
    """Run the program before and after on pictures: noise, and shapes on a gradient.

    Args:
        programs, names, bindings: before and after; names of all outputs, in order.

    Returns:
        The largest difference.

    Raises:
        OptimizationFailed: boxes or scores are not equal.
    """
    before, after = (program.module(check_guards=False) for program in programs)
    probes = []
    for picture in _pictures(contract.image, bindings[0]):
        with torch.inference_mode():
            old, new = before(picture), after(picture)
        expected = _all_heads(_arrays(names[0], old), contract, bindings[0])
        probes.append(Probe(tensors=_arrays(names[1], new), expected=expected))
    worst = proved(bindings[1], contract, tuple(probes))
    if worst is None:
        raise OptimizationFailed(
            "the program with the split head gives other boxes or scores",
            next_step="leave the head as it is: keep the layers behind it float",
        )
    return worst


def _all_heads(
    outputs: Mapping[str, NDArray[np.float32]], contract: Contract, binding: Binding
) -> tuple[Heads, ...]:
    return tuple(
        canonical_heads(outputs, contract, binding, index=index) for index in range(binding.batch)
    )


def _arrays(
    names: Sequence[str], results: torch.Tensor | Sequence[torch.Tensor]
) -> dict[str, NDArray[np.float32]]:
    tensors = (results,) if isinstance(results, torch.Tensor) else results
    return {name: value.numpy().copy() for name, value in zip(names, tensors, strict=True)}


def _ramp(shape: tuple[int, ...]) -> torch.Tensor:
    count = int(np.prod(shape))
    # A step that shares no factor with the count: neighbours differ, and nothing repeats.
    places = (torch.arange(count) * 7919) % max(count, 1)
    return (places.float() / max(count - 1, 1) * 2 - 1).reshape(shape) * _REACH


def _pictures(image: ImageInput, binding: Binding) -> tuple[torch.Tensor, ...]:
    """Input tensors: every pixel at random, and rectangles on a gradient; 0..255 scaled."""
    nhwc = binding.image.layout == "NHWC"
    shape = binding.image.shape
    rows, columns = shape[1:3] if nhwc else shape[2:4]
    channels = shape[3] if nhwc else shape[1]
    noise = np.random.default_rng(_SEED).integers(0, 256, (shape[0], rows, columns, channels))
    scene = np.empty_like(noise)
    scene[:] = np.linspace(0, 255, columns).astype(np.int64)[:, None]
    scene[:, rows // 4 : rows // 2, columns // 4 : columns // 2] = 255
    scene[:, rows // 2 :, columns // 2 : 3 * columns // 4] = np.linspace(200, 0, channels)
    mean, std = np.array(image.mean), np.array(image.std)
    tensors = ((pixels * image.scale - mean) / std for pixels in (noise, scene))
    return tuple(
        torch.from_numpy(
            np.ascontiguousarray(tensor if nhwc else tensor.transpose(0, 3, 1, 2), dtype=np.float32)
        )
        for tensor in tensors
    )
