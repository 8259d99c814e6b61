"""A live `torch.nn.Module`: captured in the process that holds it, because it may exist nowhere
else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch.export import ExportedProgram

from phoneproof.capture.heads import Leaf, ModelFacts, OutputFacts, recognise_head
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.tensors import check_tensors


class LiveModule:
    """Inspects, runs and exports a module. The module is left in the mode it was in.

    Args:
        module: takes one float32 tensor [N, C, H, W].
        size: [height, width]. channels: C. batch: N.

    Raises:
        Unsupported: the module returns something else than float32 tensors.
        ConversionFailed: torch.export refuses the module; its reason is in the message.
    """

    def __init__(self, module: torch.nn.Module, *, size: Size, channels: int, batch: int) -> None:
        self._module = module
        self._image = TensorSpec(name="image", shape=(batch, channels, *size), dtype="float32")
        self._results = self._call(torch.zeros(self._image.shape))
        self.program = self._export()
        self.sha256 = self._hash()

    def inspection(self) -> Inspection:
        """What one run on zeros shows."""
        height, width = self._image.shape[2:]
        facts = tuple(
            OutputFacts(spec=spec, leaves=(Leaf(op=op),))
            for spec, op in zip(self.outputs, _last_operators(self.program), strict=True)
        )
        guess = recognise_head(ModelFacts(outputs=facts, size=(height, width)))
        return Inspection(
            format="module",
            sha256=self.sha256,
            bytes=sum(t.numel() * t.element_size() for t in self._module.state_dict().values()),
            inputs=(self._image,),
            outputs=self.outputs,
            layout="NCHW",
            channels=self._image.shape[1],
            size=(height, width),
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            evidence=Evidence(framework="PyTorch", family=type(self._module).__name__),
            findings=guess.findings,
        )

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The image."""
        return (self._image,)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Named output, output_1, ... in the order the module returns them."""
        names = ["output", *(f"output_{k}" for k in range(1, len(self._results)))]
        return tuple(
            TensorSpec(name=name, shape=tuple(value.shape), dtype="float32")
            for name, value in zip(names, self._results, strict=True)
        )

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """One forward pass, as a Session."""
        check_tensors(self.inputs, tensors)
        values = self._call(torch.from_numpy(np.array(tensors[self._image.name])))
        return {
            spec.name: value.numpy().copy()
            for spec, value in zip(self.outputs, values, strict=True)
        }

    def _export(self) -> ExportedProgram:
        was_training = self._module.training
        try:
            self._module.eval()
            return torch.export.export(self._module, (torch.zeros(self._image.shape),))
        except Exception as error:  # torch.export raises many kinds
            raise ConversionFailed(
                f"torch.export cannot capture {type(self._module).__name__}",
                found=str(error).strip().splitlines()[0],
                next_step="remove data-dependent Python control flow from forward()",
            ) from error
        finally:
            self._module.train(was_training)

    def _call(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        was_training = self._module.training
        try:
            with torch.inference_mode():
                result = self._module.eval()(image)
        finally:
            self._module.train(was_training)
        values: Sequence[object] = result if isinstance(result, (tuple, list)) else (result,)
        tensors = tuple(value for value in values if isinstance(value, torch.Tensor))
        if len(tensors) != len(values) or any(t.dtype != torch.float32 for t in tensors):
            raise Unsupported(
                f"{type(self._module).__name__} does not return float32 tensors",
                found=", ".join(type(value).__name__ for value in values),
                next_step="wrap it in a module that returns the tensors the app needs",
            )
        return tensors

    def _hash(self) -> str:
        """Of the weights, the code's structure and what it says on zeros."""
        digest = hashlib.sha256(repr(self._module).encode())
        for name, value in sorted(self._module.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        for result in self._results:
            digest.update(result.numpy().tobytes())
        return digest.hexdigest()


_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "log_softmax": "LogSoftmax"}
"""torch's names of what turns logits into probabilities, as head recognition knows them."""


def _last_operators(program: ExportedProgram) -> tuple[str, ...]:
    """What computes each output; "Gemm" stands for anything that leaves logits."""
    nodes = {node.name: node for node in program.graph.nodes}
    targets = (str(nodes[str(name)].target) for name in program.graph_signature.user_outputs)
    names = (target.removeprefix("aten.").partition(".")[0] for target in targets)
    return tuple(_OPERATORS.get(name.lstrip("_"), "Gemm") for name in names)
