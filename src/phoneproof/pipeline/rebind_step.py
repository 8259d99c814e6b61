"""The step that gives a file a binding with a decode of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Format
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.events import Progress
from phoneproof.pipeline.artifact_steps import Made


@dataclass(frozen=True, kw_only=True)
class RebindStep:
    """Artifact -> the same numbers, with `decode` as its binding's override.

    label: the artifact as people read it.
    """

    label: str
    format: Format
    artifact: Path
    artifact_sha256: str
    contract: Contract
    binding: Binding
    decode: Decode

    tools = ("ai-edge-litert", "onnx", "numpy")

    @property
    def name(self) -> str:
        """Named by the file and its threshold."""
        return f"threshold {self.decode.confidence:g} for {self.label}"

    def identity(self) -> object:
        """The artifact and everything written into it."""
        return self.format, self.artifact_sha256, self.contract, self.binding, self.decode

    def run(self, output: Path, progress: Progress) -> None:
        """Write the file and ``made.json``."""
        from phoneproof.formats.metadata import Embedded
        from phoneproof.formats.model_file import write_bytes
        from phoneproof.formats.rebind import rebound

        del progress
        binding = with_decode(self.binding, self.decode)
        file = f"model_candidate{self.artifact.suffix}"
        embedded = Embedded(contract=self.contract, binding=binding)
        write_bytes(output / file, rebound(self.artifact, self.format, embedded))
        options = (("decode_override.confidence", json.dumps(self.decode.confidence)),)
        Made(file=file, model=WrittenModel(binding=binding, options=options, tools=())).keep(output)


def with_decode(binding: Binding, decode: Decode) -> Binding:
    """The binding of a file yet to be written, with a decode of its own."""
    return msgspec.structs.replace(binding, artifact=None, decode_override=decode)
