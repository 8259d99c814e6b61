"""Networks by their own runtime, which says what it is: neither Core ML nor a MIL program."""

from __future__ import annotations

from pathlib import Path

import torch

from phoneproof.formats.coreml.file import read_coreml
from phoneproof.runtimes.backends.coreml_network.session import NetworkSession, open_network
from phoneproof.runtimes.base import Session, TracingSession


class CoreMlNetworkRuntime:
    """The layers of a ``.mlmodel`` interpreted by PyTorch on the CPU, on every machine."""

    name = "neural network reference interpreter"
    version = f"torch {torch.__version__}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a ``.mlmodel``. `threads` other than 0 is process-wide.

        Raises:
            InvalidInput: damaged, or without its weights.
            Unsupported: a layer or a kind of model that is not interpreted.
        """
        if threads:
            torch.set_num_threads(threads)
        return self.open_network(path)

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open so that every blob can be read."""
        return self.open_network(path)

    def open_network(self, path: Path) -> NetworkSession:
        """The session with what it knows beyond a session's Protocol."""
        return open_network(read_coreml(path))
