"""A live `torch.nn.Module`: captured in the process that holds it, because it may exist nowhere
else."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import numpy as np
import torch
from torch.export import ExportedProgram

from phoneproof.capture.heads import Leaf, ModelFacts, OutputFacts, recognise_head
from phoneproof.core.capture import Evidence, Inspection
from phoneproof.core.contract import Size
from phoneproof.core.errors import ConversionFailed, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Tensor, Tensors
from phoneproof.runtimes.tensors import check_tensors

_PROBE_SEED: Final = 0


class LiveModule:
    """Inspects, runs and exports a module. Every submodule is left in the mode it was in.

    Args:
        module: takes one float32 tensor [N, C, H, W].
        size: [height, width]. channels: C. batch: N.

    Raises:
        Unsupported: the module returns something else than float32 tensors.
        ConversionFailed: the module does not run on such an image, or torch.export refuses it;
            the reason is in the message.
    """

    def __init__(self, module: torch.nn.Module, *, size: Size, channels: int, batch: int) -> None:
        self._module = module
        # Parts of a run come from several threads, and evaluation mode is a state of the module.
        self._lock = threading.Lock()
        self._image = TensorSpec(name="image", shape=(batch, channels, *size), dtype="float32")
        self._results = self._call(_probe(self._image.shape))
        self.program = self._export()
        self.sha256 = self._hash()

    def inspection(self) -> Inspection:
        """What the exported program and one run on noise show."""
        height, width = self._image.shape[2:]
        facts = tuple(
            OutputFacts(spec=spec, leaves=(Leaf(op=op),))
            for spec, op in zip(self.outputs, last_operators(self.program), strict=True)
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
        try:
            with _evaluating(self._module):
                return torch.export.export(self._module, (torch.zeros(self._image.shape),))
        except Exception as error:  # torch.export raises many kinds
            raise ConversionFailed(
                f"torch.export cannot capture {type(self._module).__name__}",
                found=first_line(error),
                next_step="remove data-dependent Python control flow from forward()",
            ) from error

    def _call(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if devices := self._other_devices():
            raise self._not_runnable(f"weights on {', '.join(devices)}")
        try:
            with self._lock, _evaluating(self._module), torch.inference_mode():
                result = self._module(image)
        except RuntimeError as error:  # shapes, devices and dtypes that do not fit
            raise self._not_runnable(first_line(error)) from error
        values: Sequence[object] = result if isinstance(result, (tuple, list)) else (result,)
        tensors = tuple(value for value in values if isinstance(value, torch.Tensor))
        if len(tensors) != len(values) or any(t.dtype != torch.float32 for t in tensors):
            raise Unsupported(
                f"{type(self._module).__name__} does not return float32 tensors",
                found=", ".join(type(value).__name__ for value in values),
                next_step="wrap it in a module that returns the tensors the app needs",
            )
        return tensors

    def _other_devices(self) -> list[str]:
        tensors = (*self._module.parameters(), *self._module.buffers())
        return sorted({tensor.device.type for tensor in tensors} - {"cpu"})

    def _not_runnable(self, found: str) -> ConversionFailed:
        devices = self._other_devices()
        shape = list(self._image.shape)
        fitting = "give the size and channels (image=) that forward() takes, and float32 weights"
        return ConversionFailed(
            f"{type(self._module).__name__} does not run on a float32 image {shape} on the CPU",
            found=found,
            next_step=f"its tensors are on {', '.join(devices)}: move it with module.cpu()"
            if devices
            else fitting,
        )

    def _hash(self) -> str:
        """Of all that decides what the module computes, and what it says on noise.

        The graph's code holds the operators and their numbers; state_dict the parameters and
        persistent buffers; constants the other buffers and bare tensors.
        """
        digest = hashlib.sha256(repr(self._module).encode())
        for name, part in self.program.graph_module.named_modules():
            if isinstance(part, torch.fx.GraphModule):  # bodies of cond, no_grad, ... are nested
                digest.update(f"{name}\n{part.code}".encode())
        _add_tensors(digest, self.program.state_dict)
        _add_tensors(digest, self.program.constants)
        for result in self._results:
            digest.update(result.contiguous().numpy().tobytes())
        return digest.hexdigest()


def _add_tensors(digest: hashlib._Hash, values: Mapping[str, object]) -> None:
    for name, value in sorted(values.items()):
        if isinstance(value, torch.Tensor):
            digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            digest.update(flat.view(torch.uint8).numpy().tobytes())  # numpy has no bfloat16


def _probe(shape: tuple[int, ...]) -> torch.Tensor:
    """Noise of both signs: on zeros, functions that differ only elsewhere look the same."""
    generator = torch.Generator().manual_seed(_PROBE_SEED)
    return torch.randn(shape, generator=generator)


@contextmanager
def _evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards each submodule's own mode: a frozen one stays frozen."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, was_training in modes:
            part.training = was_training


_OPERATORS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "log_softmax": "LogSoftmax"}
"""torch's names of what turns logits into probabilities, as head recognition knows them."""


def last_operators(program: ExportedProgram) -> tuple[str, ...]:
    """What computes each output; "Gemm" stands for anything that leaves logits."""
    nodes = {node.name: node for node in program.graph.nodes}
    targets = (str(nodes[str(name)].target) for name in program.graph_signature.user_outputs)
    names = (target.removeprefix("aten.").partition(".")[0] for target in targets)
    return tuple(_OPERATORS.get(name.lstrip("_"), "Gemm") for name in names)
