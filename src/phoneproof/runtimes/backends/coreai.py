"""Core AI models on Apple's own runtime for Linux (coreai-core).

Its calls are coroutines: each session has a private event loop that runs them to their end.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from coreai.authoring import AIModelAsset
from coreai.runtime import AIModel, CompileIdentifiers, IntermediateLogger, NDArray

from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreai import require_core_ai
from phoneproof.runtimes.backends.tensorflow_quiet import silent_stderr
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.tensors import check_tensors, dtype_of

FUNCTION: Final = "main"
_MOST_OPERATIONS: Final = 1 << 16
"""The runtime numbers the operations it compiles; it is asked for all that a model could have."""


class CoreAiRuntime:
    """Apple's runtime on the CPU. It is the real thing, but not a phone's compute units."""

    name = "Apple Core AI runtime on Linux"
    version = f"coreai-core {version('coreai-core')}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open an ``.aimodel`` folder; the library offers no say in the number of threads.

        Raises:
            InvalidInput: not a Core AI model, truncated or damaged.
            Unsupported: no function `main`, or inputs of a type or shape that is not handled.
        """
        return _CoreAiSession(path)

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open so that what every compiled operation gives can be read."""
        return _CoreAiTracingSession(path)


def load_asset(path: Path) -> AIModelAsset:
    """A checked model as Apple's library sees it.

    Raises:
        InvalidInput: not a Core AI model, truncated or damaged.
    """
    require_core_ai(path)
    with faults_of_file(f"Core AI cannot open {path.name}", RuntimeError, ValueError):
        return AIModelAsset.load(path)


def tensors(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of a model, in the file's order.

    Raises:
        InvalidInput: not a Core AI model, truncated or damaged.
    """
    session = CoreAiRuntime().open(path)
    return session.inputs, session.outputs


class _CoreAiSession:
    def __init__(self, path: Path) -> None:
        asset = load_asset(path)
        self._loop = asyncio.new_event_loop()
        weakref.finalize(self, self._loop.close)
        try:
            with silent_stderr():  # the library says what it loads
                self._function = self._loop.run_until_complete(self._opened(asset))
        except KeyError as error:
            raise Unsupported(
                f"{path.name} has no function {FUNCTION!r}", found=first_line(error)
            ) from error
        except (RuntimeError, ValueError, OSError) as error:
            raise InvalidInput(
                f"Core AI cannot open {path.name}", found=first_line(error)
            ) from error
        self._inputs, self._outputs = _specs(self._function.desc)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        check_tensors(self._inputs, tensors)
        with faults_of_file("Core AI cannot run the model", RuntimeError, ValueError):
            return self._loop.run_until_complete(self._called(tensors))

    async def _called(self, tensors: Tensors) -> dict[str, Tensor]:
        # Copies, both ways: the arrays of the library share their memory with NumPy's.
        fed = {name: NDArray(np.array(value, order="C")) for name, value in tensors.items()}
        # Native code keeps every dictionary of results that it has ever given (coreai-core
        # 1.0.0b3), and the public call hides it behind another one: emptied, it weighs nothing.
        kept = await self._function._function(
            inputs={name: array._tensor for name, array in fed.items()}, state={}
        )
        results = {
            spec.name: np.array(NDArray._wrap(kept[spec.name]).numpy()) for spec in self._outputs
        }
        kept.clear()
        return results

    async def _opened(self, asset: AIModelAsset) -> Any:
        # What leaving the block removes is a folder that the function no longer needs.
        async with asset.executable() as model:
            function = self._load(model)
        await self._loop.shutdown_default_executor()
        return function

    def _load(self, model: AIModel) -> Any:
        return model.load_function(FUNCTION)


class _CoreAiTracingSession(_CoreAiSession):
    def __init__(self, path: Path) -> None:
        self._seen: list[tuple[str, Tensor]] = []
        self._is_constant = False
        super().__init__(path)

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        self._seen.clear()
        return super().run(tensors)

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        self.run(tensors)
        yield from self._seen

    def _load(self, model: AIModel) -> Any:
        # A bound method would tie the session to itself through native code, which no collector
        # sees into: it would never be freed.
        this = weakref.ref(self)

        def keep(values: list[Any], kind: str, ids: CompileIdentifiers) -> None:
            session = this()
            if session is not None:
                session._keep(values, kind, ids)

        wanted = [CompileIdentifiers(number) for number in range(_MOST_OPERATIONS)]
        return model.load_function(FUNCTION, intermediate_logger=IntermediateLogger(wanted, keep))

    def _keep(self, values: list[Any], kind: str, ids: CompileIdentifiers) -> None:
        """Of each operation first its inputs are told, then its outputs; constants have none."""
        if kind == "input":
            self._is_constant = not values
            return
        if self._is_constant:
            return
        for value in values:
            if value is not None and value.dtype == "float32":
                self._seen.append((f"op_{ids.id}", np.array(np.from_dlpack(value.to_dlpack()))))


def _specs(function: Any) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    inputs = tuple(_spec(name, function.input_descriptor(name)) for name in function.input_names)
    outputs = tuple(_spec(name, function.output_descriptor(name)) for name in function.output_names)
    return inputs, outputs


def _spec(name: str, told: Any) -> TensorSpec:
    shape = tuple(-1 if size is None else int(size) for size in told.shape)
    return TensorSpec(name=name, shape=shape, dtype=dtype_of(told.dtype, name))
