"""hub -> hub that computes in float16, its inputs and outputs float32 as before.

For formats whose converters take the arithmetic as it stands in the hub: Core AI's has no option
for a precision. Phones' neural engines compute in float16 and nothing else.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
import torch
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import Argument

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import InvalidInput, OptimizationFailed, nearest
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Float16, Recipe
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.optimize.backends.hub_fold import constant, fold_batch_norms
from phoneproof.optimize.backends.hub_graph import exported, graph_of, output_nodes
from phoneproof.optimize.backends.hub_half import computations
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.optimize.islands import with_readers
from phoneproof.runtimes.backends.hub import load_hub, save_hub

_CAST: Final = torch.ops.aten._to_copy.default
_LARGEST: Final = torch.finfo(torch.float16).max


class HubFloat16:
    """Weights and arithmetic in float16; layers of the recipe's `float_layers` stay float32."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the hub. Layers are nodes, as ``trace`` names them (``path/node`` or ``node``).

        The option ``float32_layers`` lists those of the recipe and those that read them.

        Raises:
            InvalidInput: not a hub program of float32.
            OptimizationFailed: a weight that float16 has no number for, or a layer that is not
                there.
        """
        islands = _islands(request.recipe)
        program, tensors = load_hub(request.artifact)
        if request.binding.precision != "float32":
            raise InvalidInput(
                f"{request.artifact.name} cannot be cast to float16",
                found=f"it is {request.binding.precision}, not float32",
            )
        module = graph_of(program)
        fold_batch_norms(module)
        wide = _wide(module, islands)
        names = tuple(node.name for node in module.graph.nodes if node in wide)
        half = halved(module, wide)
        result = exported(half, output_nodes(half), tensors.inputs[0].shape)
        binding = msgspec.structs.replace(request.binding, artifact=None, precision="float16")
        documents = embedding(Embedded(contract=request.contract, binding=binding))
        save_hub(result, request.output, tensors.inputs, tensors.outputs, documents)
        return WrittenModel(
            binding=binding,
            options=(("float32_layers", canonical_bytes(names).decode()),),
            tools=(("torch", str(torch.__version__)),),
        )


def _islands(recipe: Recipe) -> tuple[str, ...]:
    if not isinstance(recipe, Float16):
        raise OptimizationFailed("this optimizer writes float16 alone", found=repr(recipe))
    return recipe.float_layers


def _wide(module: GraphModule, layers: tuple[str, ...]) -> frozenset[Node]:
    """The nodes of some layers, and those that would round what these make."""
    known = {node.name: node for node in module.graph.nodes if node.op == "call_function"}
    names = []
    for layer in layers:
        name = layer.rpartition("/")[2]
        if name not in known:
            near = nearest(name, known)
            raise OptimizationFailed(
                "the hub program has no such layer",
                found=layer,
                next_step=f"did you mean {near!r}?" if near else "",
            )
        names.append(name)
    return frozenset(known[name] for name in with_readers(computations(module), names))


def halved(module: GraphModule, islands: frozenset[Node]) -> GraphModule:
    """The module with every node but `islands` computing in float16; its borders are float32.

    Raises:
        OptimizationFailed: a weight beyond float16's largest number.
    """
    graph = Graph()
    copies = _Copies(module=module, graph=graph)
    for node in module.graph.nodes:
        if node.op == "output":
            continue
        is_wide = node in islands or (node.target is operator.getitem and node.args[0] in islands)
        copies.add(node, is_wide=is_wide)
    graph.output(tuple(copies.of(node, is_wide=True) for node in output_nodes(module)))
    return GraphModule(module, graph)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copies:
    """Nodes of the new graph, by the old ones; float tensors as float32, float16 or both."""

    module: GraphModule
    graph: Graph
    narrow: dict[Node, Node] = field(default_factory=dict)
    wide: dict[Node, Node] = field(default_factory=dict)

    def add(self, node: Node, *, is_wide: bool) -> None:
        """Copy a node, to compute in float32 (`is_wide`) or float16."""
        if node.op == "get_attr":
            return  # `of` copies weights as they are asked for
        copy = self.graph.node_copy(node, lambda old: self.of(old, is_wide=is_wide))
        if node.op == "call_function" and not is_wide:
            copy.args = cast(tuple[Argument, ...], _narrowed(copy.args))
            copy.kwargs = cast(dict[str, Argument], _narrowed(copy.kwargs))
        if not _is_float32(node):
            self.narrow[node] = self.wide[node] = copy
        elif is_wide or node.op == "placeholder":
            self.wide[node] = copy
        else:
            self.narrow[node] = copy

    def of(self, node: Node, *, is_wide: bool) -> Node:
        """The copy to read; it is cast where it exists as the other type alone."""
        wanted, other, dtype = (
            (self.wide, self.narrow, torch.float32)
            if is_wide
            else (self.narrow, self.wide, torch.float16)
        )
        if node not in wanted:
            wanted[node] = (
                self._weight(node, dtype)
                if node.op == "get_attr"
                else self.graph.call_function(_CAST, (other[node],), {"dtype": dtype})
            )
        return wanted[node]

    def _weight(self, node: Node, dtype: torch.dtype) -> Node:
        value = constant(self.module, node)
        if value is None or value.dtype != torch.float32 or dtype == torch.float32:
            return self.graph.node_copy(node)
        _require_range(node, value)
        name = f"{node.target}_half".replace(".", "_")
        self.module.register_buffer(name, value.half())
        return self.graph.get_attr(name)


def _is_float32(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _require_range(node: Node, value: torch.Tensor) -> None:
    largest = float(value.abs().max()) if value.numel() else 0.0
    if not largest <= _LARGEST:
        raise OptimizationFailed(
            "a weight does not fit float16",
            found=f"{node.target} reaches {largest:g}; float16 ends at {_LARGEST:g}",
            next_step="leave float16 out of the precisions of this target",
        )


def _narrowed(argument: object) -> object:
    """Arguments with float16 in place of every float32 that is asked for by name."""
    if argument is torch.float32:
        return torch.float16
    if isinstance(argument, (list, tuple)):
        return type(argument)(_narrowed(one) for one in argument)
    if isinstance(argument, dict):
        return {key: _narrowed(value) for key, value in argument.items()}
    return argument
