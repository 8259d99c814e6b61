"""hub -> hub: a head whose outputs mix unlike ranges becomes outputs with ranges of their own.

Boxes of 0..640 pixels and scores of 0..1 in one tensor share one scale once they are integers,
and the scores vanish in it. Behind the last layers with learned weights a detector only computes
with constants; that part goes, the layers themselves become the outputs, and the binding tells
the app's decode what is left to do. Nothing is believed that numbers do not show: the head as it
was and the head as it is described have to give equal boxes and scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import torch
from torch.fx import GraphModule, Node

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Layout
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput, OptimizationFailed
from phoneproof.core.json_format import canonical_bytes
from phoneproof.core.recipe import Recipe, Split
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.optimize.backends.head_families import HeadProposal, LastLayer, head_proposals
from phoneproof.optimize.backends.head_proof import Difference, proved
from phoneproof.optimize.backends.hub_divide import Divided, divide
from phoneproof.optimize.backends.hub_graph import exported, graph_of, output_nodes, shape_of
from phoneproof.optimize.backends.hub_join import split_joins
from phoneproof.optimize.backends.hub_layers import last_layers
from phoneproof.optimize.backends.hub_probe import Tail, require_equal
from phoneproof.optimize.base import OptimizeRequest
from phoneproof.runtimes.backends.hub import load_hub, save_hub


@dataclass(frozen=True, kw_only=True, slots=True)
class _Split:
    """How the head is split; not yet exported. family: what it was recognised as."""

    family: str
    divided: Divided
    binding: Binding


class HubSplit:
    """The head in pieces, for every format that is made from the hub."""

    def propose(self, request: OptimizeRequest) -> WrittenModel:
        """Write the hub with the split head, contract and binding inside.

        Raises:
            InvalidInput: not a hub file, or the binding is of another one.
            OptimizationFailed: nothing to split, or a head that is not understood; says what was
                found.
        """
        layout = _layout(request.recipe)
        _require_detector(request.contract, request.binding)
        program, tensors = load_hub(request.artifact)
        module = graph_of(program)
        names = tuple(spec.name for spec in tensors.outputs)
        outputs = _bound_outputs(
            request.binding, dict(zip(names, output_nodes(module), strict=True))
        )
        split = _split(module, outputs, request.contract, request.binding, layout)
        specs = tuple(
            TensorSpec(name=name, shape=shape_of(node), dtype="float32")
            for name, node in split.divided.nodes.items()
        )
        result = exported(module, tuple(split.divided.nodes.values()), tensors.inputs[0].shape)
        worst = require_equal(
            (program, result),
            (names, tuple(split.divided.nodes)),
            (request.binding, split.binding),
            request.contract,
        )
        documents = embedding(Embedded(contract=request.contract, binding=split.binding))
        save_hub(result, request.output, tensors.inputs, specs, documents)
        return _written(split, worst, layout)


def _written(split: _Split, worst: Difference, layout: Layout) -> WrittenModel:
    return WrittenModel(
        binding=split.binding,
        options=(
            ("box_pixels", f"{worst.box_pixels:.1e}"),
            ("family", canonical_bytes(split.family).decode()),
            ("layout", canonical_bytes(layout).decode()),
            ("outputs", canonical_bytes(split.binding.tensors).decode()),
            ("score", f"{worst.score:.1e}"),
        ),
        tools=(("torch", str(torch.__version__)),),
    )


def _layout(recipe: Recipe) -> Layout:
    if not isinstance(recipe, Split):
        raise OptimizationFailed("this optimizer splits heads alone", found=repr(recipe))
    return recipe.layout


def _require_detector(contract: Contract, binding: Binding) -> None:
    roles = {output.role for output in binding.outputs}
    if contract.task != "detect" or "scores" not in roles:
        raise OptimizationFailed(
            "only the head of a detector is split",
            found=f"task {contract.task}, outputs with roles {', '.join(sorted(roles))}",
        )
    if "classes" in roles or binding.nms_in_file:
        raise OptimizationFailed(
            "the file chooses its detections itself, from boxes and scores that it does not return",
            found=f"roles {', '.join(sorted(roles))}",
            next_step="export the model without its post-processing (NMS)",
        )


def _bound_outputs(binding: Binding, nodes: Mapping[str, Node]) -> dict[str, Node]:
    missing = [name for name in binding.tensors if name not in nodes]
    if missing:
        raise InvalidInput(
            "the binding names outputs that the hub program does not have",
            found=f"{', '.join(missing)}; it has {', '.join(nodes)}",
        )
    return {name: nodes[name] for name in binding.tensors}


def _split(
    module: GraphModule,
    outputs: dict[str, Node],
    contract: Contract,
    binding: Binding,
    layout: Layout,
) -> _Split:
    is_apart = len(binding.tensors) == len(binding.outputs)
    if is_apart and all({"y", "x"} <= set(output.axes) for output in binding.outputs):
        raise _nothing(binding)
    layers = {
        f"layer {place}": node
        for place, node in enumerate(last_layers(module, tuple(outputs.values())))
    }
    proposal = _proved(module, layers, outputs, contract, binding)
    if proposal is not None:
        divided = divide(module, layers, proposal.outputs, layout)
        return _Split(
            family=proposal.family,
            divided=divided,
            binding=msgspec.structs.replace(
                binding, artifact=None, outputs=divided.outputs, anchors=proposal.anchors
            ),
        )
    if is_apart:
        raise _nothing(binding)
    joined = split_joins(module, outputs, binding.outputs)
    if joined is None:
        raise _not_understood(layers, binding)
    return _Split(
        family="concatenated outputs",
        divided=joined,
        binding=msgspec.structs.replace(binding, artifact=None, outputs=joined.outputs),
    )


def _proved(
    module: GraphModule,
    layers: dict[str, Node],
    outputs: dict[str, Node],
    contract: Contract,
    binding: Binding,
) -> HeadProposal | None:
    """The first meaning of the layers that gives the boxes and scores of the outputs."""
    try:
        tail = Tail.of(module, layers, outputs)
    except OptimizationFailed:
        return None
    shapes = [LastLayer(name=name, shape=shape_of(node)) for name, node in layers.items()]
    probes = tail.probes(contract, binding)
    for proposal in head_proposals(shapes, binding, tail.resting(contract, binding)):
        described = msgspec.structs.replace(
            binding, outputs=proposal.outputs, anchors=proposal.anchors
        )
        if proved(described, contract, probes) is not None:
            return proposal
    return None


def _nothing(binding: Binding) -> OptimizationFailed:
    shown = "; ".join(f"{o.role} in {o.tensor!r} {list(o.shape)}" for o in binding.outputs)
    return OptimizationFailed(
        "nothing to split: every output has one role already, and its range to itself",
        found=shown,
    )


def _not_understood(layers: dict[str, Node], binding: Binding) -> OptimizationFailed:
    shown = ", ".join("x".join(map(str, shape_of(node))) for node in layers.values())
    shared = ", ".join(repr(name) for name in binding.tensors)
    return OptimizationFailed(
        "the head is not one that can be split",
        found=f"{shared} from last layers {shown or '(none with learned weights)'}; as "
        "distributions of distances, distances, centres and sides, or anchor shapes they give "
        "other boxes or scores, and no Concat joins boxes and scores",
        next_step="export the model without its decode, or keep the layers behind the last "
        "convolutions float",
    )
