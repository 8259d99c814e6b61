"""The step that reads a finished file back: what it holds, and what phones make of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.core.binding import Format
from phoneproof.core.events import Progress
from phoneproof.core.json_format import parse, pretty_bytes
from phoneproof.core.optimization import PhoneCost, ReadBack

FACTS = "facts.json"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds, and which of its operators each delegate takes (TFLite alone)."""

    read_back: ReadBack | None
    phone: tuple[PhoneCost, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FactsStep:
    """A file -> ``facts.json``."""

    label: str
    format: Format
    path: Path
    sha256: str

    tools = ("ai-edge-litert", "onnx", "coremltools", "coreai-core", "numpy")

    @property
    def name(self) -> str:
        """Named by what is read."""
        return f"read back {self.label}"

    def identity(self) -> object:
        """The file."""
        return self.format, self.sha256

    def run(self, output: Path, progress: Progress) -> None:
        """Write ``facts.json``."""
        from phoneproof.formats.delegates.cost import phone_cost
        from phoneproof.formats.read_back import read_back
        from phoneproof.formats.tflite import read_tflite

        del progress
        phone = phone_cost(read_tflite(self.path)) if self.format == "tflite" else ()
        facts = Facts(read_back=read_back(self.path, self.format), phone=phone)
        (output / FACTS).write_bytes(pretty_bytes(facts))


def facts_of(folder: Path) -> Facts:
    """What a FactsStep left in `folder`."""
    return parse((folder / FACTS).read_bytes(), Facts, what="facts of a file")
