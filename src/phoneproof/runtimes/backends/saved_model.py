"""SavedModels on TensorFlow, CPU, through their named signature."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from phoneproof.core.errors import InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.saved_model import GRAPH, SIGNATURE, require_saved_model
from phoneproof.runtimes.backends.tensorflow_quiet import (
    import_tensorflow,
    silent_stderr,
    tensorflow_version,
)
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.tensors import check_tensors, dtype_of, thread_count

_HARMLESS: Final = frozenset(
    {
        "Const",
        "Identity",
        "NoOp",
        "PartitionedCall",
        "Placeholder",
        "ReadVariableOp",
        "StatefulPartitionedCall",
        "XlaCallModule",
    }
)
"""All that the models written here compute with. Others can read and write files or run Python
as soon as the signature is called, and these files travel."""

_PLAIN_OBJECTS: Final = frozenset(
    {"user_object", "function", "variable", "constant", "bare_concrete_function", "captured_tensor"}
)
"""What loading merely makes. Assets, tables and other resources run functions of their own."""


class SavedModelRuntime:
    """TensorFlow on the CPU; runs the models that phoneproof writes."""

    name = "saved_model"
    version = f"tensorflow {tensorflow_version()}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a SavedModel folder's ``serving_default``. Threads are process-wide, set once.

        Raises:
            InvalidInput: not a SavedModel, without the signature, or damaged.
            Unsupported: its signature uses operators that could reach outside the model.
        """
        signature_tensors(path)
        tensorflow, _ = import_tensorflow()
        _set_threads(tensorflow, thread_count(threads))
        try:
            with silent_stderr():
                model = tensorflow.saved_model.load(str(path))
        except Exception as error:  # TensorFlow raises many unrelated classes here
            raise InvalidInput(
                f"TensorFlow cannot open {path.name}", found=first_line(error)
            ) from error
        return _SavedModelSession(tensorflow, model)

    def open_for_trace(self, path: Path) -> TracingSession:
        """Not possible: the whole program is one operator.

        Raises:
            InvalidInput: not a SavedModel. Unsupported: always for one.
        """
        require_saved_model(path)
        raise Unsupported(
            f"no one can look inside {path.name}: its program is one operator to TensorFlow",
            next_step="compare the files before and after it in the chain",
        )


def signature_tensors(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs of ``serving_default``, read from the file without loading the model.

    Outputs are sorted by name: the file keeps no order.

    Raises:
        InvalidInput: not a SavedModel, or without the signature.
        Unsupported: operators that could reach outside the model; named.
    """
    require_saved_model(path)
    import_tensorflow()
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        model = saved_model_pb2.SavedModel.FromString((path / GRAPH).read_bytes())
    except DecodeError as error:
        raise InvalidInput(f"{path.name} is not a SavedModel", found=str(error)) from error
    graphs = [graph for graph in model.meta_graphs if SIGNATURE in graph.signature_def]
    if not graphs:
        raise InvalidInput(f"{path.name} has no signature {SIGNATURE!r}")
    _require_harmless(graphs[0], path.name)
    signature = graphs[0].signature_def[SIGNATURE]
    return _specs(signature.inputs), _specs(signature.outputs)


def _require_harmless(graph: Any, name: str) -> None:
    """Refuse what could reach outside the model when it is loaded or its signature called."""
    objects = graph.object_graph_def.nodes
    kinds = {str(one.WhichOneof("kind")) for one in objects} - _PLAIN_OBJECTS
    if kinds or any(one.saveable_objects for one in objects):
        found = f"objects of kind {', '.join(sorted(kinds))}" if kinds else "its own restore code"
        raise _foreign(name, found)
    operators = _reached_operators(graph) - _HARMLESS
    if operators:
        raise _foreign(name, f"operators {', '.join(sorted(operators)[:5])}")


def _foreign(name: str, found: str) -> Unsupported:
    return Unsupported(
        f"{name} was not written by phoneproof: it is not run",
        found=found,
        next_step="give it to 'phoneproof build' as a source",
    )


def _reached_operators(graph: Any) -> set[str]:
    """The operators of every function that the signature reaches."""
    functions = {str(one.signature.name): one for one in graph.graph_def.library.function}
    signature = graph.signature_def[SIGNATURE]
    # The signature's own node is found by its output's name; the functions from there.
    nodes = {str(node.name): node for node in graph.graph_def.node}
    waiting = [nodes[key] for key in _node_names(signature.outputs) if key in nodes]
    seen: set[str] = set()
    found: set[str] = set()
    while waiting:
        node = waiting.pop()
        found.add(str(node.op))
        for called in _called(node):
            if called in functions and called not in seen:
                seen.add(called)
                waiting.extend(functions[called].node_def)
    return found


def _node_names(outputs: Any) -> list[str]:
    return [str(outputs[key].name).partition(":")[0] for key in outputs]


def _called(node: Any) -> Iterator[str]:
    for value in node.attr.values():
        if value.func.name:
            yield str(value.func.name)
        for function in value.list.func:
            yield str(function.name)


def _specs(tensors: Any) -> tuple[TensorSpec, ...]:
    from tensorflow import dtypes

    return tuple(
        TensorSpec(
            name=str(key),
            shape=tuple(int(dim.size) for dim in tensors[key].tensor_shape.dim),
            dtype=dtype_of(dtypes.as_dtype(tensors[key].dtype).name, str(key)),
        )
        for key in sorted(tensors)
    )


def _set_threads(tensorflow: Any, threads: int) -> None:
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        return  # TensorFlow was already used in this process: its threads stay


class _SavedModelSession:
    def __init__(self, tensorflow: Any, model: Any) -> None:
        self._tensorflow = tensorflow
        self._model = model  # the signature holds its variables weakly
        self._call = model.signatures[SIGNATURE]
        self._inputs = _of_function(self._call.structured_input_signature[1])
        self._outputs = _of_function(self._call.structured_outputs)

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        return self._inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        return self._outputs

    def run(self, tensors: Tensors) -> dict[str, Tensor]:
        check_tensors(self._inputs, tensors)
        fed = {name: self._tensorflow.constant(value) for name, value in tensors.items()}
        try:
            results = self._call(**fed)
        except self._tensorflow.errors.OpError as error:
            raise InvalidInput("TensorFlow cannot run the model", found=error.message) from error
        return {spec.name: np.array(results[spec.name].numpy()) for spec in self._outputs}


def _of_function(specs: Any) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=str(name),
            shape=tuple(-1 if size is None else int(size) for size in specs[name].shape),
            dtype=dtype_of(specs[name].dtype.name, str(name)),
        )
        for name in sorted(specs)
    )
