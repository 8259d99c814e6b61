"""The optimizer Protocols and their tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding
from phoneproof.core.contract import Contract
from phoneproof.core.events import Progress
from phoneproof.core.recipe import Float16, Prune, Recipe, Sparse, Split, Static
from phoneproof.core.registry import Entry, Registry

if TYPE_CHECKING:
    import torch


class OptimizeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The artifact to change (a file the optimizer may not touch), how, and where to write.

    ranges: ``ranges.json`` of that very file, where the recipe needs ranges.
    """

    artifact: Path
    contract: Contract
    binding: Binding
    recipe: Recipe
    output: Path
    ranges: Path | None = None


class Optimizer(Protocol):
    """Artifact -> candidate. Proposes, never judges."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write one candidate.

        Raises:
            OptimizationFailed: the library broke, or the recipe does not fit the file.
        """
        ...


class RepairRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A float32 artifact whose weights shall survive rounding better.

    recipe: how it will be quantized. ranges: ``ranges.json`` of the artifact. images: calibration
    images, unlabelled. seconds: the time that may be spent. output: a folder that is there.
    """

    artifact: Path
    contract: Contract
    binding: Binding
    recipe: Static
    ranges: Path
    images: tuple[Path, ...]
    seconds: float
    output: Path


class RepairedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A float32 file of the same function (or nearly) that quantizes better.

    file: its name in the output folder. ranges: name of its ``ranges.json`` there; null where it
    has to be calibrated again. options: sorted (name, JSON text).
    """

    model: WrittenModel
    file: str
    ranges: str | None = None


class Repairer(Protocol):
    """float32 artifact -> float32 artifact, changed before rounding. Proposes, never judges."""

    def repair(self, request: RepairRequest, progress: Progress) -> RepairedModel:
        """Write the changed file.

        Raises:
            OptimizationFailed: nothing here that it could change, or a value that is not finite.
        """
        ...


class Recovery(Protocol):
    """The user's own training of a pruned network."""

    @property
    def name(self) -> str:
        """``module:function``, for messages."""
        ...

    def __call__(self, network: torch.nn.Module, seconds: float) -> object:
        """The network, trained for about so long; whatever else comes back is refused."""
        ...


class PruneRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A hub program that shall lose channels.

    images: unlabelled, to weigh the channels by and to learn from. output: the file to write.
    """

    hub: Path
    contract: Contract
    binding: Binding
    recipe: Prune
    images: tuple[Path, ...]
    output: Path


class Pruner(Protocol):
    """hub -> hub with fewer channels, the same inputs and outputs. Proposes, never judges."""

    def prune(
        self, request: PruneRequest, progress: Progress, recovery: Recovery | None = None
    ) -> WrittenModel:
        """Write the smaller hub.

        Args:
            recovery: trains the network instead of learning from the original.

        Raises:
            InvalidInput: not a hub file, or an image that cannot be read.
            OptimizationFailed: nothing that may go, or a target that cannot be reached.
            ConfigError: what `recovery` raised, or it returned another network.
        """
        ...


OPTIMIZERS: Registry[Optimizer] = Registry(
    "optimizer",
    {
        "hub-float16": Entry(
            target="phoneproof.optimize.backends.hub_float16:HubFloat16",
            summary="hub -> hub of float16 arithmetic, for converters that take it as it stands",
            extra="torch",
        ),
        "coreml-float16": Entry(
            target="phoneproof.optimize.backends.coreml_float16:CoreMlFloat16",
            summary="Core ML float32 -> float16 arithmetic with float32 islands",
            extra="ios",
        ),
        "coreml-quantized": Entry(
            target="phoneproof.optimize.backends.coreml_quantized:CoreMlQuantized",
            summary="Core ML -> int8 and int4 weights, palettes, int8 activations",
            extra="ios",
        ),
        "coreml-sparse": Entry(
            target="phoneproof.optimize.backends.coreml_sparse:CoreMlSparse",
            summary="Core ML, the smallest weights set to zero",
            extra="ios",
        ),
        "hub-quantized": Entry(
            target="phoneproof.optimize.backends.hub_quantized:HubQuantized",
            summary="hub -> hub with int8, int4 or palette weights, for Core AI",
            extra="torch",
        ),
        "hub-sparse": Entry(
            target="phoneproof.optimize.backends.hub_sparse:HubSparse",
            summary="hub -> hub, the smallest weights set to zero, for Core AI",
            extra="torch",
        ),
        "hub-split": Entry(
            target="phoneproof.optimize.backends.hub_split:HubSplit",
            summary="hub -> hub, the head in outputs with ranges of their own",
            extra="torch",
        ),
        "onnx-float16": Entry(
            target="phoneproof.optimize.backends.onnx_float16:OnnxFloat16",
            summary="ONNX float32 -> float16 weights",
            extra="verify",
        ),
        "onnx-quantized": Entry(
            target="phoneproof.optimize.backends.onnx_quantized:OnnxQuantized",
            summary="ONNX float32 -> int8 and int16 (QDQ), dynamic and weight-only integers",
            extra="verify",
        ),
        "onnx-sparse": Entry(
            target="phoneproof.optimize.backends.onnx_sparse:OnnxSparse",
            summary="ONNX float32, the smallest weights set to zero",
            extra="verify",
        ),
        "tflite-float16": Entry(
            target="phoneproof.optimize.backends.tflite_float16:TfliteFloat16",
            summary="TFLite float32 -> float16 weights",
            extra="android",
        ),
        "tflite-quantized": Entry(
            target="phoneproof.optimize.backends.tflite_quantized:TfliteQuantized",
            summary="TFLite float32 -> int8 and int16, dynamic and weight-only integers",
            extra="android",
        ),
        "tflite-sparse": Entry(
            target="phoneproof.optimize.backends.tflite_sparse:TfliteSparse",
            summary="TFLite float32, the smallest weights set to zero",
            extra="android",
        ),
    },
)
"""Keyed by format and kind of recipe (`optimizer_for`)."""

REPAIRERS: Registry[Repairer] = Registry(
    "repairer",
    {
        "tflite-equalise": Entry(
            target="phoneproof.optimize.backends.tflite_equalise:TfliteEqualise",
            summary="channels of like size, the same float function",
            extra="android",
        ),
        "tflite-bias": Entry(
            target="phoneproof.optimize.backends.tflite_bias:TfliteBias",
            summary="biases moved by the mean that rounding shifts",
            extra="android",
        ),
        "tflite-distill": Entry(
            target="phoneproof.optimize.backends.tflite_distill:TfliteDistill",
            summary="ranges, weights and biases learned from the float network",
            extra="android",
        ),
    },
)


PRUNERS: Registry[Pruner] = Registry(
    "pruner",
    {
        "hub-prune": Entry(
            target="phoneproof.optimize.backends.hub_prune:HubPrune",
            summary="hub -> hub with fewer channels, taught by the original",
            extra="torch",
        ),
    },
)


def optimizer_for(format_: str, recipe: Recipe) -> str:
    """The name of the optimizer that follows a recipe: ``tflite-float16``, ``onnx-quantized``."""
    if isinstance(recipe, Split):
        return f"{format_}-split"
    if isinstance(recipe, Sparse):
        return f"{format_}-sparse"
    kind = "float16" if isinstance(recipe, Float16) else "quantized"
    return f"{format_}-{kind}"
