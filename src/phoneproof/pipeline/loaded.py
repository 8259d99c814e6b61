"""Opening a model file that says what it is: its format, contract and binding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding, Format
from phoneproof.core.contract import Contract
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.runtimes.base import RUNTIMES, Runtime
from phoneproof.runtimes.embedded import read_embedded
from phoneproof.runtimes.predict import Predictor

FORMAT_OF_SUFFIX: dict[str, Format] = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    ".mlpackage": "coreml",
    ".aimodel": "coreai",
}


@dataclass(frozen=True, kw_only=True)
class LoadedArtifact:
    """A model file with the contract and binding it carries."""

    path: Path
    sha256: str
    contract: Contract
    binding: Binding

    @property
    def runtime(self) -> Runtime:
        """The runtime of its format."""
        return RUNTIMES.load(self.binding.format)

    def predictor(self, contract: Contract | None = None) -> Predictor:
        """Open it; under another contract of the same meaning where one is given."""
        return Predictor(self.runtime.open(self.path), contract or self.contract, self.binding)


def load_artifact(path: Path) -> LoadedArtifact:
    """Read what a model file that a build made carries.

    Raises:
        InvalidInput: no such file, or one without contract and binding.
        Unsupported: another kind of file.
    """
    if not path.exists():
        raise InvalidInput(f"no such file: {path}", next_step="name a model file of a bundle")
    format_ = FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if format_ is None:
        raise Unsupported(
            f"{path.name} is not a model file that can be run here",
            found=f"suffix {path.suffix!r}",
            next_step=f"name a file of a bundle: {', '.join(FORMAT_OF_SUFFIX)}",
        )
    embedded = read_embedded(path, format_)
    return LoadedArtifact(
        path=path,
        sha256=tree_sha256(path),
        contract=embedded.contract,
        binding=embedded.binding,
    )


def read_file(path: Path) -> bytes:
    """A small file's bytes.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read", found=error.strerror or str(error)) from error
