"""Third-party ``.mlmodel`` files: they carry no contract, so they are read under another file's.

Such a file takes an image and normalises it by itself, so of the contract only what happens to the
picture before (geometry, channel order) is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.core.artifact import tree_sha256
from phoneproof.core.binding import Binding, InputBinding, OutputBinding
from phoneproof.core.contract import Channels, Contract
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.pipeline.foreign_scores import Scores, scores_of
from phoneproof.pipeline.loaded import LoadedArtifact, load_artifact
from phoneproof.runtimes.base import Runtime, Session, TracingSession
from phoneproof.runtimes.renamed import Renamed, RenamedSession

if TYPE_CHECKING:
    from phoneproof.runtimes.backends.coreml_network.session import NetworkSession

FOREIGN_SUFFIX: Final = ".mlmodel"
_CHANNELS: Final[dict[str, Channels]] = {
    "RGB": "rgb",
    "BGR": "bgr",
    "GRAYSCALE": "gray",
    "GRAYSCALE_FLOAT16": "gray",
}
_TO_NHWC: Final = (0, 2, 3, 1)


def is_foreign(path: Path) -> bool:
    """Whether a file is of a kind that third parties write and builds do not."""
    return path.suffix.lower() == FOREIGN_SUFFIX


def load_both(
    baseline: Path, candidate: Path, contract: Contract | None
) -> tuple[LoadedArtifact, LoadedArtifact]:
    """Two files to compare; what a foreign one lacks is taken from the other.

    Raises:
        InvalidInput: two foreign files without a contract; or as `load_artifact`, `load_foreign`.
    """
    if not is_foreign(baseline) and not is_foreign(candidate):
        return load_artifact(baseline), load_artifact(candidate)
    if is_foreign(baseline) and is_foreign(candidate):
        if contract is None:
            raise InvalidInput(
                "neither file carries a contract",
                found=f"{baseline.name} and {candidate.name} are third-party files",
                next_step="give --contract contract.json",
            )
        first = load_foreign(baseline, contract)
        return first, load_foreign(candidate, contract, first.binding)
    known = load_artifact(candidate if is_foreign(baseline) else baseline)
    shared = contract or known.contract
    if is_foreign(baseline):
        return load_foreign(baseline, shared, known.binding), known
    return known, load_foreign(candidate, shared, known.binding)


@dataclass(frozen=True, kw_only=True)
class ForeignArtifact(LoadedArtifact):
    """renamed: its outputs under the names of the file it is compared with. note: what was
    concluded of its scores that it does not say itself; empty where there is nothing."""

    renamed: tuple[Renamed, ...]
    note: str = ""

    @property
    def runtime(self) -> Runtime:
        """The interpreter of its layers, under those names."""
        return _ForeignRuntime(self.renamed)


def load_foreign(path: Path, contract: Contract, like: Binding | None = None) -> ForeignArtifact:
    """Read a ``.mlmodel`` as a file of `contract`.

    Args:
        like: the binding of the file it shall be compared with: raw outputs get its names, and
            scores that may be anything its activation.

    Raises:
        InvalidInput: no such file, damaged, or of other sizes, channels or outputs.
        Unsupported: a layer or a kind of model that is not interpreted, or a detector, whose
            boxes nothing describes.
    """
    from phoneproof.runtimes.backends.coreml_network.precision import network_precision
    from phoneproof.runtimes.backends.coreml_network.runtime import CoreMlNetworkRuntime

    if not path.exists():
        raise InvalidInput(f"no such file: {path}", next_step="name a .mlmodel file")
    session = CoreMlNetworkRuntime().open_network(path)
    renamed = _renamed(session, contract, like, path.name)
    scores = None
    if contract.task == "classify":
        scores = scores_of(session.computers(renamed[0].name), like)
    binding = Binding(
        contract=contract.sha256,
        format="coreml",
        precision=network_precision(session.message),
        inputs=(_image(session, contract, path.name),),
        outputs=_outputs(session, like, renamed, scores),
    )
    return ForeignArtifact(
        path=path,
        sha256=tree_sha256(path),
        contract=contract,
        binding=binding,
        renamed=renamed,
        note="" if scores is None else scores.note,
    )


class _ForeignRuntime:
    """`CoreMlNetworkRuntime` whose sessions name their outputs as another file does."""

    def __init__(self, renamed: tuple[Renamed, ...]) -> None:
        from phoneproof.runtimes.backends.coreml_network.runtime import CoreMlNetworkRuntime

        self._runtime = CoreMlNetworkRuntime()
        self._renamed = renamed
        self.name = self._runtime.name
        self.version = self._runtime.version
        self.device = self._runtime.device

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """As `CoreMlNetworkRuntime.open`."""
        return RenamedSession(self._runtime.open(path, threads=threads), self._renamed)

    def open_for_trace(self, path: Path) -> TracingSession:
        """As `CoreMlNetworkRuntime.open_for_trace`, with the file's own names."""
        return self._runtime.open_for_trace(path)


def _image(session: NetworkSession, contract: Contract, name: str) -> InputBinding:
    from phoneproof.formats.coreml.description import ImageFeature

    feature = session.features[0]
    if len(session.features) != 1 or not isinstance(feature, ImageFeature):
        raise Unsupported(
            f"{name} does not take one image",
            found=", ".join(f"{spec.name} {list(spec.shape)}" for spec in session.inputs),
            next_step="only networks of one image input are compared",
        )
    if _CHANNELS[feature.colour] != contract.image.channels:
        raise InvalidInput(
            f"{name} takes its image in another order than the contract gives it",
            found=f"{feature.colour}; the contract says {contract.image.channels}",
            next_step="give --contract with the channels of the file",
        )
    return InputBinding(
        for_=contract.image.name,
        tensor=feature.name,
        shape=feature.shape,
        layout="NCHW",
        normalise_in_file=True,
    )


def _outputs(
    session: NetworkSession,
    like: Binding | None,
    renamed: tuple[Renamed, ...],
    scores: Scores | None,
) -> tuple[OutputBinding, ...]:
    shown = RenamedSession(session, renamed).outputs
    if scores is not None:
        return (
            OutputBinding(
                tensor=shown[0].name,
                role="scores",
                shape=shown[0].shape,
                axes=("class",) if len(shown[0].shape) == 2 else ("class", "y", "x"),
                activation=scores.activation,
            ),
        )
    if like is None:
        return tuple(
            OutputBinding(tensor=spec.name, role="raw", shape=spec.shape) for spec in shown
        )
    shapes = {spec.name: spec.shape for spec in shown}
    return tuple(
        msgspec.structs.replace(output, shape=shapes[output.tensor], dtype="float32", quant=None)
        for output in like.outputs
    )


def _renamed(
    session: NetworkSession, contract: Contract, like: Binding | None, name: str
) -> tuple[Renamed, ...]:
    if contract.task == "detect":
        raise Unsupported(
            f"nothing describes what the boxes of {name} mean",
            found="a detector of a third party",
            next_step="compare its outputs as they are: give --contract with task raw",
        )
    if contract.task == "classify":
        return (_scores(session.outputs, contract, name),)
    if like is None:
        return tuple(Renamed(name=spec.name, shown=spec.name) for spec in session.outputs)
    wanted = {output.tensor: output.shape for output in like.outputs}
    if len(wanted) != len(session.outputs):
        raise InvalidInput(
            f"{name} and the file it is compared with have other outputs",
            found=f"{len(session.outputs)} and {len(wanted)}",
        )
    return tuple(
        _paired(spec, tensor, shape, name)
        for spec, (tensor, shape) in zip(session.outputs, wanted.items(), strict=True)
    )


def _scores(outputs: tuple[TensorSpec, ...], contract: Contract, name: str) -> Renamed:
    rows = [
        spec for spec in outputs if len(spec.shape) in (2, 4) and spec.shape[2:] in ((), (1, 1))
    ]
    fitting = [spec for spec in rows if spec.shape[1] == len(contract.labels)] or rows
    if len(fitting) != 1:
        raise InvalidInput(
            f"{name} does not give one row of classes",
            found=", ".join(f"{spec.name} {list(spec.shape)}" for spec in outputs),
            next_step="compare its outputs as they are: give --contract with task raw",
        )
    return Renamed(name=fitting[0].name, shown=fitting[0].name)


def _paired(spec: TensorSpec, tensor: str, shape: tuple[int, ...], name: str) -> Renamed:
    if spec.shape == shape:
        return Renamed(name=spec.name, shown=tensor)
    if len(spec.shape) == len(_TO_NHWC) and tuple(spec.shape[a] for a in _TO_NHWC) == shape:
        return Renamed(name=spec.name, shown=tensor, axes=_TO_NHWC)
    raise InvalidInput(
        f"{name} and the file it is compared with have other outputs",
        found=f"{spec.name} {list(spec.shape)} and {tensor} {list(shape)}",
    )
