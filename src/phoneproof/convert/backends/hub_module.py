"""The hub program as a torch module whose image input has the layout that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch.fx.graph import CodeGen

from phoneproof.convert.artifact import permutation, wanted_tensors
from phoneproof.convert.backends.eager_ops import to_eager_ops
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.binding import Layout
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.backends.hub import load_hub

_PERMUTE = torch.ops.aten.permute.default


@dataclass(frozen=True, kw_only=True, slots=True)
class HubModule:
    """module takes `example` (zeros of the wanted shape) and returns the tensors of `outputs`."""

    module: torch.fx.GraphModule
    example: torch.Tensor
    inputs: tuple[TensorSpec]
    outputs: tuple[TensorSpec, ...]


def load_module(request: ConvertRequest) -> HubModule:
    """Load the hub of a request and give its input the wanted layout.

    Raises:
        InvalidInput: not a hub file, or the binding is of another one.
    """
    program, tensors = load_hub(request.source)
    inputs, outputs = wanted_tensors(request, tensors.inputs, tensors.outputs)
    exported = program.module(check_guards=False)
    # A plain GraphModule: the exported one checks the shape of the old layout in a hook.
    module = torch.fx.GraphModule(exported, exported.graph)
    _flatten(module)
    change_layout(module, request.binding.image.layout, request.layout)
    to_eager_ops(module)
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    example = torch.zeros(inputs[0].shape, dtype=getattr(torch, inputs[0].dtype))
    return HubModule(module=module, example=example, inputs=inputs, outputs=outputs)


def _flatten(module: torch.fx.GraphModule) -> None:
    """Take one tensor, return a tuple, whatever containers the program was exported with.

    The TorchScript exporter counts a list of outputs as one.
    """
    graph = module.graph
    graph.set_codegen(CodeGen())
    output = next(node for node in graph.nodes if node.op == "output")
    (results,) = output.args
    output.args = (tuple(results) if isinstance(results, (list, tuple)) else (results,),)
    module.recompile()


def change_layout(module: torch.fx.GraphModule, source: Layout, target: Layout) -> None:
    """Let the image input have the layout `target`, in place.

    A permute of the program itself that undoes the new one is taken out together with it: an
    NHWC program that starts by going to NCHW becomes an NCHW program without any permute.
    """
    if source == target:
        return
    graph = module.graph
    image = next(node for node in graph.nodes if node.op == "placeholder")
    users = list(image.users)
    undone = [node for node in users if _axes(node) == permutation(source, target)]
    others = [node for node in users if node not in undone]
    if others:
        with graph.inserting_after(image):
            axes = list(permutation(target, source))
            permute = graph.call_function(_PERMUTE, (image, axes))
        for node in others:
            node.replace_input_with(image, permute)
    for node in undone:
        node.replace_all_uses_with(image)
        graph.erase_node(node)
    graph.lint()
    module.recompile()


def _axes(node: torch.fx.Node) -> tuple[int, ...] | None:
    if node.target is not _PERMUTE:
        return None
    return tuple(axis % 4 for axis in cast(list[int], node.args[1]))
