"""SavedModels on TensorFlow, CPU, through their named signature."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.saved_model import SIGNATURE, refuse_ways_out, require_saved_model
from phoneproof.formats.tensorflow_judge import Allowance, refuse_meta_graph
from phoneproof.formats.tensorflow_ops import RESTORING, SAVING
from phoneproof.runtimes.backends.tensorflow_messages import read_saved_model
from phoneproof.runtimes.backends.tensorflow_quiet import (
    import_tensorflow,
    silent_stderr,
    tensorflow_version,
)
from phoneproof.runtimes.base import Session, Tensor, Tensors, TracingSession
from phoneproof.runtimes.faults import faults_of_file
from phoneproof.runtimes.tensors import check_tensors, dtype_of, thread_count

if TYPE_CHECKING:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

_HARMLESS: Final = frozenset(
    {
        "Const",
        "Identity",
        "NoOp",
        "PartitionedCall",
        "Placeholder",
        "ReadVariableOp",
        "StatefulPartitionedCall",
        "VarHandleOp",
        "XlaCallModule",
    }
)
"""All that the models written here compute with. Others can read and write files or run Python
as soon as the signature is called, and these files travel."""

_ALLOWED: Final = Allowance(
    computing=_HARMLESS,
    saving=_HARMLESS | SAVING | {"DisableCopyOnRead", "Pack", "Select"},
    restoring=_HARMLESS | RESTORING | {"AssignVariableOp"},
)
"""Every file holds functions that save and restore it; nothing here calls them."""

_PLAIN_OBJECTS: Final = frozenset(
    {"user_object", "function", "variable", "constant", "bare_concrete_function", "captured_tensor"}
)
"""What loading merely makes. Assets, tables and other resources run functions of their own."""

_PLAIN_CLASSES: Final = frozenset(
    {"", "_generic_user_object", "signature_map", "trackable_list_wrapper"}
)
"""Of user objects. Other names bring other code into the loading."""

_INIT: Final = "saved_model_main_op"
_INIT_SIGNATURE: Final = "__saved_model_init_op"
"""What loaders start, in the writing of TensorFlow 1 and 2; here an operator that does nothing."""

_SWAPPED: Final = "api_implements"
"""Lets TensorFlow's optimiser put one function in place of another."""


class SavedModelRuntime:
    """TensorFlow on the CPU; runs the models that phoneproof writes."""

    name = "saved_model"
    version = f"tensorflow {tensorflow_version()}"
    device = "cpu"

    def open(self, path: Path, *, threads: int = 0) -> Session:
        """Open a SavedModel folder's ``serving_default``. Threads are process-wide, set once.

        Raises:
            InvalidInput: not a SavedModel, without the signature, damaged, or leading out of
                its folder.
            Unsupported: anything in it could reach outside the model, reached or not.
        """
        told = signature_tensors(path)
        tensorflow, _ = import_tensorflow()
        _set_threads(tensorflow, thread_count(threads))
        # TensorFlow raises many unrelated classes here.
        with faults_of_file(f"TensorFlow cannot open {path.name}", Exception), silent_stderr():
            session = _SavedModelSession(tensorflow, tensorflow.saved_model.load(str(path)))
        if (session.inputs, session.outputs) != told:
            raise _foreign(path.name, "a signature that is not the one of its objects")
        return session

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
        InvalidInput: not a SavedModel, without the signature, or leading out of its folder.
        Unsupported: something in it could reach outside the model; named.
    """
    require_saved_model(path)
    refuse_ways_out(path)
    graphs = read_saved_model(path).meta_graphs
    if not any(SIGNATURE in graph.signature_def for graph in graphs):
        raise InvalidInput(f"{path.name} has no signature {SIGNATURE!r}")
    if len(graphs) != 1:  # TensorFlow would load such files as those of version 1
        raise _foreign(path.name, f"{len(graphs)} graphs")
    _require_harmless(graphs[0], path.name)
    signature = graphs[0].signature_def[SIGNATURE]
    return _specs(signature.inputs), _specs(signature.outputs)


def _require_harmless(graph: MetaGraphDef, name: str) -> None:
    """Refuse what could reach outside the model when it is loaded or its signature called.

    What cannot be reached is judged as well: signature and objects may name different functions.
    """
    found = _unlike_ours(graph)
    if found:
        raise _foreign(name, found)
    try:
        refuse_meta_graph(name, graph, _ALLOWED)
    except (InvalidInput, Unsupported) as error:
        raise _foreign(name, error.found) from error


def _unlike_ours(graph: MetaGraphDef) -> str:
    """What TensorFlow would run of its own accord, or what makes objects of other classes."""
    objects = graph.object_graph_def.nodes
    kinds = {str(one.WhichOneof("kind")) for one in objects} - _PLAIN_OBJECTS
    classes = {one.registered_name or one.user_object.identifier for one in objects}
    nodes = {node.name: node for node in graph.graph_def.node}
    started = [key for items in graph.collection_def.values() for key in items.node_list.value]
    functions = graph.graph_def.library.function
    if not objects:
        return "no objects: a graph of TensorFlow 1"
    if kinds:
        return f"objects of kind {', '.join(sorted(kinds))}"
    if classes - _PLAIN_CLASSES:
        return f"objects of class {', '.join(sorted(classes - _PLAIN_CLASSES))}"
    if any(one.saveable_objects for one in objects):
        return "its own restore code"
    if graph.asset_file_def:
        return f"asset {graph.asset_file_def[0].filename!r}"
    if set(graph.signature_def) - {SIGNATURE, _INIT_SIGNATURE}:
        return f"signatures {', '.join(sorted(graph.signature_def))}"
    if set(graph.collection_def) - {_INIT}:
        return f"collections {', '.join(sorted(graph.collection_def))}"
    if any(key not in nodes or nodes[key].op != "NoOp" or nodes[key].input for key in started):
        return f"loading starts {', '.join(started)}"
    if any(_SWAPPED in function.attr for function in functions):
        return "functions that stand for each other"
    return ""


def _foreign(name: str, found: str) -> Unsupported:
    return Unsupported(
        f"{name} was not written by phoneproof: it is not run",
        found=found,
        next_step="give it to 'phoneproof build' as a source",
    )


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
        self._compiled = False
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
            with nullcontext() if self._compiled else silent_stderr():  # compiling is announced
                results = self._call(**fed)
            self._compiled = True
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
