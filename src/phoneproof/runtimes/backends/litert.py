"""TFLite on the LiteRT interpreter with XNNPACK."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from phoneproof.core.binding import Quant
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.model_file import require_model_file
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.tensors import check_tensors, dtype_of, thread_count

Details = Mapping[str, Any]


class LiteRtRuntime:
    """The TensorFlow Lite interpreter of ai-edge-litert, XNNPACK on the CPU."""

    name = "litert"
    version = f"ai-edge-litert {version('ai-edge-litert')}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a TFLite file; InvalidInput where it is not one."""
        return _LiteRtSession(_interpreter(path, OpResolverType.AUTO, threads))

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open on the reference kernels with every tensor kept alive."""
        from phoneproof.formats.tflite import read_tflite

        graph = read_tflite(path)
        interpreter = _interpreter(path, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, 0)
        steps = tuple(index for op in graph.ops for index in op.outputs if index >= 0)
        return _LiteRtTracingSession(interpreter, steps)


def _interpreter(path: Path, resolver: OpResolverType, threads: int) -> Interpreter:
    require_model_file(path, "TFLite model")
    with (
        faults_of_file(f"LiteRT cannot open {path.name}", ValueError, RuntimeError),
        _without_greeting(last=resolver is OpResolverType.AUTO),
    ):
        interpreter = Interpreter(
            model_path=str(path),
            num_threads=thread_count(threads),
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=resolver is not OpResolverType.AUTO,
        )
        interpreter.allocate_tensors()
    return interpreter


_greeted = False
_greeting_lock = threading.Lock()


@contextmanager
def _without_greeting(*, last: bool) -> Iterator[None]:
    """Hide the line that the library prints to file descriptor 2, once in a process.

    It goes past Python's sys.stderr and past every log setting, into the user's live table.
    `last`: whether this opening makes the library say it, as one without a delegate does not.
    """
    global _greeted
    if _greeted:
        yield
        return
    with _greeting_lock:
        kept = os.dup(2)
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        try:
            yield
            _greeted = _greeted or last
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class _LiteRtSession:
    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        ins, outs = _signature_names(interpreter)
        self._ins = interpreter.get_input_details()
        self._outs = interpreter.get_output_details()
        self._inputs = tuple(_spec(details, ins) for details in self._ins)
        self._outputs = tuple(_spec(details, outs) for details in self._outs)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        self._invoke(tensors)
        # get_tensor copies; a view would die with the next run.
        return {
            spec.name: self._interpreter.get_tensor(details["index"])
            for spec, details in zip(self._outputs, self._outs, strict=True)
        }

    def _invoke(self, tensors: Tensors) -> None:
        check_tensors(self._inputs, tensors)
        with faults_of_file("LiteRT cannot run the model", ValueError, RuntimeError):
            for spec, details in zip(self._inputs, self._ins, strict=True):
                self._interpreter.set_tensor(details["index"], tensors[spec.name])
            self._interpreter.invoke()


class _LiteRtTracingSession(_LiteRtSession):
    def __init__(self, interpreter: Interpreter, steps: tuple[int, ...]) -> None:
        super().__init__(interpreter)
        details = interpreter.get_tensor_details()
        self._names = {entry["index"]: str(entry["name"]) for entry in details}
        self._steps = steps

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        self._invoke(tensors)
        for index in self._steps:
            value = self._interpreter.get_tensor(index)
            if value.dtype.kind == "f":
                yield self._names[index], value


def _signature_names(interpreter: Interpreter) -> tuple[dict[int, str], dict[int, str]]:
    """Tensor index -> the name the first signature gives it; empty without signatures."""
    keys = list(interpreter.get_signature_list())
    if not keys:
        return {}, {}
    runner = interpreter.get_signature_runner(keys[0])
    ins, outs = runner.get_input_details(), runner.get_output_details()
    return (
        {details["index"]: name for name, details in ins.items()},
        {details["index"]: name for name, details in outs.items()},
    )


def _spec(details: Details, names: Mapping[int, str]) -> TensorSpec:
    name = names.get(details["index"], details["name"])
    scale, zero_point = details["quantization"]
    shape = tuple(int(size) for size in details["shape_signature"])
    return TensorSpec(
        name=name,
        shape=shape,
        dtype=dtype_of(np.dtype(details["dtype"]).name, name),
        quant=Quant(scale=float(scale), zero_point=int(zero_point)) if scale else None,
    )
