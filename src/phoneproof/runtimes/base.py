"""The runtime Protocols and the table of runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from phoneproof.core.registry import Entry, Registry
from phoneproof.core.tensors import TensorSpec

Tensor = NDArray[Any]
Tensors = Mapping[str, Tensor]
Float = NDArray[np.float32]


class Session(Protocol):
    """An opened model file. Not thread-safe; open one per thread."""

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Input tensors as the file names them, in the file's order."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Output tensors as the file names them, in the file's order."""
        ...

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once. Names, shapes and dtypes must be those of `inputs`.

        Returns:
            output name -> an array the caller owns (never a view of runtime memory).

        Raises:
            InvalidInput: a missing or extra tensor, a wrong shape or dtype.
        """
        ...


class TracingSession(Session, Protocol):
    """A session that also shows intermediate tensors, for locating a divergence."""

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        """Every intermediate float tensor, (name, value), in execution order."""
        ...


class Runtime(Protocol):
    """One library that runs one format."""

    name: str
    version: str
    device: str

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a model file (threads 0: all cores).

        Raises:
            InvalidInput: the file is not a model of this format.
        """
        ...

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open so that intermediate tensors can be read (slower, more memory)."""
        ...


RUNTIMES: Registry[Runtime] = Registry(
    "runtime",
    {
        "hub": Entry(
            target="phoneproof.runtimes.backends.hub:HubRuntime",
            summary="torch.export program on PyTorch",
            extra="torch",
        ),
        "onnx": Entry(
            target="phoneproof.runtimes.backends.onnxruntime:OnnxRuntime",
            summary="ONNX Runtime, CPU",
            extra="verify",
        ),
        "tflite": Entry(
            target="phoneproof.runtimes.backends.litert:LiteRtRuntime",
            summary="LiteRT interpreter with XNNPACK",
            extra="verify",
        ),
        "coreml": Entry(
            target="phoneproof.runtimes.backends.coreml:CoreMlRuntime",
            summary="Core ML on a Mac; elsewhere a reference interpreter on PyTorch",
            extra="ios",
        ),
        "saved_model": Entry(
            target="phoneproof.runtimes.backends.saved_model:SavedModelRuntime",
            summary="TensorFlow, CPU, the named signature",
            extra="tensorflow",
        ),
        "coreai": Entry(
            target="phoneproof.runtimes.backends.coreai:CoreAiRuntime",
            summary="Apple's Core AI runtime on Linux (coreai-core, beta)",
            extra="coreai",
        ),
    },
)
"""Keyed by the artifact format they run."""
