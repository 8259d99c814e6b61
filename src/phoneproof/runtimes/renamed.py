"""A session under another file's names: two files of one network can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session, Tensor, Tensors


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """An output `name` as `shown`; axes: their order there, null for the same."""

    name: str
    shown: str
    axes: tuple[int, ...] | None = None


class RenamedSession:
    """`session` with its outputs as `outputs` say; those that are not named are left out."""

    def __init__(self, session: Session, outputs: tuple[Renamed, ...]) -> None:
        self._session = session
        self._renamed = outputs
        by_name = {spec.name: spec for spec in session.outputs}
        self._outputs = tuple(_spec(by_name[one.name], one) for one in outputs)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """The session's own."""
        return self._session.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """As they are shown."""
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        """Run once; errors as `Session.run`."""
        found = self._session.run(tensors)
        return {one.shown: _moved(found[one.name], one.axes) for one in self._renamed}


def _spec(spec: TensorSpec, renamed: Renamed) -> TensorSpec:
    shape = spec.shape
    if renamed.axes is not None:
        shape = tuple(shape[axis] for axis in renamed.axes)
    return msgspec.structs.replace(spec, name=renamed.shown, shape=shape)


def _moved(value: Tensor, axes: tuple[int, ...] | None) -> Tensor:
    return value if axes is None else np.ascontiguousarray(value.transpose(axes))
