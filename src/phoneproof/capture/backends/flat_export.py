"""Anything that runs on torch tensors -> a hub program: one flat graph of ATen operators.

torch.export refuses modules that decide in Python, and TorchScript altogether. With one static
shape every decision is made while the operators are recorded, so what is left is a straight line.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Final, cast

import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from phoneproof.core.errors import ConversionFailed, first_line

_PROBE_SEED: Final = 0

Call = Callable[[torch.Tensor], object]


def plain_convolution(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    *_flags: bool,
) -> torch.Tensor:
    """Drops the four cuDNN flags of a traced convolution; export knows only the plain one."""
    return cast(
        torch.Tensor,
        torch.ops.aten.convolution.default(
            x, weight, bias, stride, padding, dilation, transposed, output_padding, groups
        ),
    )


DECOMPOSITIONS: Final = {torch.ops.aten._convolution.default: plain_convolution}


def probe(shape: tuple[int, ...]) -> torch.Tensor:
    """Noise in 0..1, the same in every run."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(_PROBE_SEED))


def flat_program(call: Call, shape: tuple[int, ...], *, what: str) -> ExportedProgram:
    """Record a function of one float32 tensor of a static shape.

    Args:
        what: names it in messages.

    Raises:
        ConversionFailed: it cannot be recorded, or torch.export refuses the record.
    """
    image = probe(shape)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of what a static shape makes harmless
            graph = make_fx(call, tracing_mode="real", decomposition_table=DECOMPOSITIONS)(image)
            _name_constants(graph)
            graph.graph.eliminate_dead_code()
            graph.recompile()
            return torch.export.export(graph, (image,), strict=False)
    except Exception as error:  # torch raises many unrelated classes here
        raise ConversionFailed(
            f"{what} could not be exported by PyTorch",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="another export of the model may do: ONNX, or torch.export",
        ) from error


def _name_constants(graph: GraphModule) -> None:
    """``weight_0``, ``weight_1``, ... in the order of use: make_fx's own names begin with "_"."""
    renamed: dict[str, str] = {}
    for node in [n for n in graph.graph.nodes if n.op == "get_attr"]:
        old = str(node.target)
        if old not in renamed:
            renamed[old] = f"weight_{len(renamed)}"
            value = getattr(graph, old).detach()
            delattr(graph, old)
            graph.register_buffer(renamed[old], value)
        node.target = renamed[old]
