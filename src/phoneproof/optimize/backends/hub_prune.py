"""hub -> hub with fewer channels: weighed by what they do to the outputs, taught by the original.

The weight of a group of channels is the mean square of what taking it out would change at the
last layers, to first order: the gradient at a factor of one on the group, as in Molchanov et al.
2019 (arXiv 1906.10771), of the outputs themselves along random directions instead of a loss, since
there are no labels. Groups go in the order of weight for what they save.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.errors import OptimizationFailed
from phoneproof.core.events import Progress
from phoneproof.core.json_format import canonical_bytes
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.optimize.backends.channel_choice import Choice, Mask, cost_of
from phoneproof.optimize.backends.channel_groups import Numbers
from phoneproof.optimize.backends.channel_ops import BATCH_NORMS, BINARY, CAT
from phoneproof.optimize.backends.deterministic import deterministic
from phoneproof.optimize.backends.hub_channels import Channels
from phoneproof.optimize.backends.hub_cut import CutProgram, gated, require_same, without
from phoneproof.optimize.backends.hub_graph import (
    exported,
    graph_of,
    output_nodes,
    shape_of,
)
from phoneproof.optimize.backends.hub_layers import last_layers
from phoneproof.optimize.backends.pruned_student import Lesson, Pictures, Taught, teach
from phoneproof.optimize.backends.recovered import recovered
from phoneproof.optimize.base import PruneRequest, Recovery
from phoneproof.optimize.input_bounds import input_bounds
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from phoneproof.runtimes.backends.hub import load_hub, save_hub

_SEED: Final = 7
_WEIGHED: Final = 32
"""Images that channels are weighed on: layers differ by orders of magnitude."""
_DIRECTIONS: Final = 4
"""Random directions of the outputs for each image."""
_PROVED: Final = 2
"""Images that the smaller program is proved on before it learns."""
_MOST_BYTES: Final = 1 << 30
"""Of all pictures together: memory stays bounded, whatever the folder holds."""
_MOST_PICTURES: Final = 32
_WORKING_BYTES: Final = 1 << 30
"""Of all tensors of the pictures that are worked on at once."""
_MOST_FEATURES: Final = 6
_MISSED: Final = 0.03
"""How far from the target a share may be: a group is taken whole."""


class HubPrune:
    """Fewer channels, for every format that is made from the hub."""

    def prune(
        self, request: PruneRequest, progress: Progress, recovery: Recovery | None = None
    ) -> WrittenModel:
        """Write the smaller hub, contract and binding inside.

        Raises:
            InvalidInput: not a hub file, or an image that cannot be read.
            OptimizationFailed: a share outside 0..1, nothing that may go, a target that cannot be
                reached, no image, or weights from `recovery` that are not finite.
            ConfigError: what `recovery` raised, or it returned another network.
        """
        recipe = request.recipe
        if not 0 < recipe.share <= 1:
            raise OptimizationFailed(
                "a target is the share that is left, above 0 and at most 1",
                found=f"{recipe.of} = {recipe.share:g}",
            )
        program, tensors = load_hub(request.hub)
        pictures = read_pictures(request)
        with deterministic(), _one_thread():
            surgery = Surgery.of(graph_of(program))
            stays = surgery.chosen(request, pictures.tensors)
            cut = surgery.proved(stays, pictures.tensors[:_PROVED])
            # Statistics are constants in what the user's code gets: they are taken anew before.
            seconds = recipe.seconds if recovery is None else 0.0
            learns = recipe.seconds > 0 or recovery is not None
            taught = surgery.taught(cut, stays, pictures, seconds, progress) if learns else None
        if recovery is not None:
            recovered(cut.module, recovery, recipe.seconds)
        shape = tensors.inputs[0].shape
        result = exported(cut.module, output_nodes(cut.module), shape)
        binding = msgspec.structs.replace(request.binding, artifact=None)
        documents = embedding(Embedded(contract=request.contract, binding=binding))
        save_hub(result, request.output, tensors.inputs, tensors.outputs, documents)
        return WrittenModel(
            binding=binding,
            options=_options(request, surgery, stays, taught, recovery, len(pictures.tensors)),
            tools=(("torch", str(torch.__version__)),),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Surgery:
    """One program, its channels, and what its outputs are judged by.

    targets: the last layers with weights, or the outputs where there are none.
    """

    channels: Channels
    groups: Numbers
    targets: tuple[Node, ...]

    @classmethod
    def of(cls, module: GraphModule) -> Surgery:
        """Look at a program."""
        channels = Channels.of(module)
        outputs = output_nodes(module)
        return cls(
            channels=channels,
            groups=channels.groups(),
            targets=last_layers(module, outputs) or outputs,
        )

    @property
    def batch(self) -> int:
        """How many pictures may be worked on at once, by what all tensors of the program take."""
        values = (shape_of(node) for node in self.channels.module.graph.nodes)
        numbers = sum(int(np.prod(shape)) for shape in values if shape)
        return max(1, min(_MOST_PICTURES, _WORKING_BYTES // (4 * numbers)))

    def chosen(self, request: PruneRequest, images: Tensor) -> Mask:
        """What stays: bool [count].

        Raises:
            OptimizationFailed: the target cannot be reached.
        """
        recipe = request.recipe
        everything = np.ones(self.channels.count, bool)
        if recipe.share == 1:
            return everything
        weigh = partial(self._weights, self._gated(), images[:_WEIGHED])
        choice = Choice(
            channels=self.channels,
            groups=self.groups,
            measure=recipe.of,
            target=recipe.share,
            importance=weigh,
        )
        stays = choice.run()
        full = cost_of(self.channels, everything, recipe.of)
        left = cost_of(self.channels, stays, recipe.of) / max(full, 1)
        if left > recipe.share + _MISSED:
            raise OptimizationFailed(
                f"the model cannot be pruned to {recipe.share:.0%} of its {recipe.of}",
                found=f"{left:.0%} are left when every layer is at its floor or has to stay",
                next_step="ask for a larger share",
            )
        return stays

    def proved(self, stays: Mask, images: Tensor) -> CutProgram:
        """The smaller program, the same function as the original with those channels at zero.

        Raises:
            OptimizationFailed: it is not.
        """
        try:
            cut = without(self.channels, stays)
            gates = torch.from_numpy(stays.astype(np.float32))
            held = self._gated()
            require_same(
                lambda image: tuple(held(image, gates)),
                lambda image: tuple(cut.module(image)),
                images,
            )
        except (RuntimeError, IndexError, TypeError) as error:
            raise OptimizationFailed(
                "the program does not run without the channels",
                found=str(error).splitlines()[0],
                next_step="leave this model unpruned",
            ) from error
        return cut

    def taught(
        self,
        cut: CutProgram,
        stays: Mask,
        pictures: Pictures,
        seconds: float,
        progress: Progress,
    ) -> Taught:
        """Let the smaller program learn from the original, in place.

        seconds: 0 only takes the statistics of batch normalisation anew.
        """
        features = self._features()
        _let_learn(cut.module, {str(one.constant.target) for one in self.channels.cuts})
        values = (*self.targets, *features)
        lesson = Lesson(
            teacher=_returning(self.channels.module, values),
            student=_returning(cut.module, tuple(cut.nodes[one] for one in values)),
            outputs=len(self.targets),
            kept=tuple(self._kept(one, stays) for one in features),
            batch=self.batch,
        )
        return teach(lesson, pictures, seconds, progress)  # the weights are those of `cut`

    def _kept(self, node: Node, stays: Mask) -> tuple[int, Tensor]:
        labels = self.channels.labels[node]
        return labels.axis, torch.from_numpy(np.flatnonzero(stays[labels.numbers]))

    def _features(self) -> tuple[Node, ...]:
        """Where branches meet, a few of them spread over the depth; the last one included."""
        module = self.channels.module
        meeting = [
            node
            for node in module.graph.nodes
            if (node.target in BINARY or node.target is CAT)
            and node in self.channels.labels
            and len([one for one in node.all_input_nodes if one in self.channels.labels]) > 1
        ]
        if not meeting:
            meeting = [layer.node for layer in self.channels.layers]
        meeting = [one for one in meeting if one not in self.targets]
        step = max(1, -(-len(meeting) // _MOST_FEATURES))
        return tuple(meeting[::-1][::step])

    def _gated(self) -> GraphModule:
        return gated(self.channels, self.groups)

    def _weights(self, held: GraphModule, images: Tensor, stays: Mask) -> NDArray[np.float64]:
        """Mean square change of the targets when a group goes, to first order: [count]."""
        nodes = {node.name: node for node in held.graph.nodes}
        probe = _returning(held, tuple(nodes[one.name] for one in self.targets))
        random = torch.Generator().manual_seed(_SEED)
        total = np.zeros(self.channels.count)
        for lot in torch.split(images, self.batch):
            gates = torch.from_numpy(np.tile(stays.astype(np.float32), (len(lot), 1)))
            gates.requires_grad_(True)
            values = torch.vmap(probe)(lot, gates)
            for turn in range(_DIRECTIONS):
                along = sum(
                    (value * torch.randn(value.shape, generator=random)).sum()
                    / (value.detach().square().mean().sqrt() + 1e-12)
                    for value in values
                )
                again = turn < _DIRECTIONS - 1
                (slopes,) = torch.autograd.grad(cast(Tensor, along), gates, retain_graph=again)
                total += (slopes.double().numpy() ** 2).sum(0)
        if not np.isfinite(total).all():
            raise OptimizationFailed("the network gives numbers that are not finite")
        return total


def read_pictures(request: PruneRequest) -> Pictures:
    """The request's images as input tensors, as many as memory may hold.

    Raises:
        InvalidInput: an image that cannot be read. OptimizationFailed: no image.
    """
    spec = request.contract.image
    preprocessor = Preprocessor(spec, request.binding.image)
    found: list[Tensor] = []
    for path in request.images:
        tensor = preprocessor.prepare(read_image(path, spec)).tensor
        found.append(torch.from_numpy(np.array(tensor, np.float32)))
        if len(found) * found[0].nbytes >= _MOST_BYTES:
            break
    if not found:
        raise OptimizationFailed(
            "there is no image to learn from",
            found="no calibration image",
            next_step="name a folder of images under calibration in [data]",
        )
    in_file = request.binding.image.normalise_in_file
    low, high = (0.0, 255.0) if in_file else input_bounds(request.contract)
    layout = request.binding.image.layout
    return Pictures(tensors=torch.stack(found), layout=layout, low=low, high=high)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in the same order on any machine; and threads that wait for each other cost more."""
    former = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(former)


def _returning(module: GraphModule, nodes: tuple[Node, ...]) -> GraphModule:
    """The same weights, other values returned."""
    graph = torch.fx.Graph()
    copies: dict[Node, Node] = {}
    for node in module.graph.nodes:
        if node.op != "output":
            copies[node] = graph.node_copy(node, lambda old: copies[old])
    graph.output(tuple(copies[one] for one in nodes))
    graph.eliminate_dead_code()
    return GraphModule(module, graph)


def _let_learn(module: GraphModule, names: set[str]) -> None:
    """Weights and biases of the layers become parameters; statistics and tables do not."""
    for node in module.graph.nodes:
        if node.op == "call_function" and node.target in BATCH_NORMS:
            names = names - {str(cast(Node, one).target) for one in node.args[3:5]}
    for name in sorted(names):
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)
        value = cast(Tensor, getattr(owner, last))
        delattr(owner, last)
        owner.register_parameter(last, nn.Parameter(value, requires_grad=False))


def _options(
    request: PruneRequest,
    surgery: Surgery,
    stays: Mask,
    taught: Taught | None,
    recovery: Recovery | None,
    images: int,
) -> tuple[tuple[str, str], ...]:
    everything = np.ones_like(stays)
    shares = {
        f"{of}_left": round(
            cost_of(surgery.channels, stays, of) / cost_of(surgery.channels, everything, of), 4
        )
        for of in ("macs", "size")
    }
    learned: dict[str, object] = (
        {"loss_before": taught.before, "loss_after": taught.after, "steps": taught.steps}
        if taught
        else {}
    )
    if recovery is not None:
        learned = {"finetune": recovery.name}
    found: dict[str, object] = {
        "images": images,
        "recipe": request.recipe,
        **shares,
        **learned,
    }
    return tuple((name, canonical_bytes(found[name]).decode()) for name in sorted(found))
