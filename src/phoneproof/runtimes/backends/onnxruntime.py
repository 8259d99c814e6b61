"""ONNX on ONNX Runtime, CPU only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime as ort

from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.model_file import require_model_file
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.tensors import check_tensors, dtype_of, thread_count

_NUMPY_NAMES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
_QUIET = 4  # ort severity "fatal": errors come as exceptions, warnings are not for our users


class OnnxRuntime:
    """ONNX Runtime's CPU provider, sequential and deterministic."""

    name = "onnxruntime"
    version = f"onnxruntime {ort.__version__}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open an ONNX file; InvalidInput where it is not one."""
        require_model_file(path, "ONNX model")
        return _OnnxSession(_session(str(path), path, _options(threads)))

    def open_content(self, content: bytes, path: Path, *, threads: int = 0) -> Session:
        """Open a model made in memory from the file at `path`, which messages name."""
        return _OnnxSession(_session(content, path, _options(threads)))

    def open_for_trace(self, path: Path) -> TracingSession:
        """Open with every intermediate tensor as a further graph output, in memory only."""
        from phoneproof.formats.onnx_file import with_all_outputs

        require_model_file(path, "ONNX model")
        content, own, steps = with_all_outputs(path)
        options = _options(0)
        # Fusions would only be undone again: every tensor is an output here.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        return _OnnxTracingSession(_session(content, path, options), own, steps)


def read_metadata(path: Path) -> dict[str, bytes]:
    """metadata_props of an ONNX file, read without the onnx package.

    Raises:
        InvalidInput: not an ONNX model.
    """
    require_model_file(path, "ONNX model")
    options = _options(1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    entries = _session(str(path), path, options).get_modelmeta().custom_metadata_map
    return {key: value.encode() for key, value in entries.items()}


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = thread_count(threads)
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _QUIET
    return options


def _session(model: str | bytes, path: Path, options: ort.SessionOptions) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ort raises a dozen unrelated classes
        if found := _too_new(str(error)):
            raise Unsupported(
                f"ONNX Runtime {ort.__version__} does not run {path.name}",
                found=found,
                next_step="export the model with an older opset (17 is read everywhere)",
            ) from error
        raise InvalidInput(
            f"ONNX Runtime cannot open {path.name}", found=first_line(error)
        ) from error


def _too_new(text: str) -> str:
    """Which operator or version the installed runtime lacks; empty where that is not the fault."""
    operator = re.search(
        r"Could not find an implementation for (\S+) node with name '([^']*)'", text
    )
    if operator:
        return f"no implementation of {operator[1]} (node {operator[2]!r})"
    unknown = re.search(r"(?:Fatal error: |No Op registered for )(\S+)", text)
    if unknown and ("not a registered" in text or "No Op registered" in text):
        return f"unknown operator {unknown[1]}"
    version = re.search(r"Opset (\d+) is under development.*?till opset (\d+)", text, re.DOTALL)
    return f"opset {version[1]}, released up to opset {version[2]}" if version else ""


class _OnnxSession:
    def __init__(self, session: ort.InferenceSession, own: tuple[str, ...] | None = None) -> None:
        self._session = session
        outputs = [arg for arg in session.get_outputs() if own is None or arg.name in own]
        self._inputs = tuple(_spec(arg) for arg in session.get_inputs())
        self._outputs = tuple(_spec(arg) for arg in outputs)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        return self._run([spec.name for spec in self._outputs], tensors)

    def _run(self, names: list[str], tensors: Tensors) -> dict[str, Tensor]:
        check_tensors(self._inputs, tensors)
        with faults_of_file("ONNX Runtime cannot run the model", Exception):
            values = self._session.run(names, dict(tensors))
        return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}


class _OnnxTracingSession(_OnnxSession):
    def __init__(
        self, session: ort.InferenceSession, own: tuple[str, ...], steps: tuple[str, ...]
    ) -> None:
        super().__init__(session, own)
        self._steps = list(steps)

    def trace(self, tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
        values = self._run(self._steps, tensors)
        for name in self._steps:
            if values[name].dtype.kind == "f":
                yield name, values.pop(name)


def _spec(arg: ort.NodeArg) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else -1 for size in arg.shape)
    dtype = dtype_of(_NUMPY_NAMES.get(arg.type, arg.type), arg.name)
    return TensorSpec(name=arg.name, shape=shape, dtype=dtype)
