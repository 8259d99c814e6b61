"""TensorFlow 1 frozen graphs (``.pb``) as sources: judged as data, run by TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from phoneproof.capture.backends.saved_model_leaves import output_facts
from phoneproof.capture.backends.tensorflow_image import ImageTensor, image_tensor
from phoneproof.capture.backends.tensorflow_to_hub import (
    Forward,
    OpensTensorFlow,
    TensorFlowModel,
)
from phoneproof.capture.fixed_session import static_shape
from phoneproof.capture.heads import ModelFacts, recognise_head
from phoneproof.core.artifact import file_sha256
from phoneproof.core.capture import Evidence, Finding, Inspection
from phoneproof.core.errors import ConversionFailed, InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.model_file import require_model_file
from phoneproof.formats.tensorflow_graph import Node, Program, base, program_of, shape_of
from phoneproof.formats.tensorflow_judge import Allowance, Saver, refuse_what_reaches_outside
from phoneproof.runtimes.backends.tensorflow_messages import read_graph_def
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

if TYPE_CHECKING:
    from tensorflow import Tensor as TfTensor
    from tensorflow.core.framework.graph_pb2 import GraphDef

_NODE_TAG = b"\x0a"
"""Field 1 of a GraphDef, a node: every writer puts it first."""
_INPUTS = ("Placeholder", "PlaceholderV2")
_NO_OUTPUTS = ("Const", "NoOp", "Assert", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frozen:
    """The judged graph. outputs: name -> specification; others: ends that are no float tensors."""

    graph: GraphDef
    program: Program
    image: ImageTensor
    outputs: Mapping[str, TensorSpec]
    others: tuple[str, ...]


class FrozenGraphSource(OpensTensorFlow):
    """GraphDef files without variables, with one float32 image input."""

    def recognises(self, path: Path) -> bool:
        """By name and the first byte: GraphDef files have no magic."""
        if path.suffix.lower() != ".pb" or not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(1) == _NODE_TAG

    def inspect(self, path: Path) -> Inspection:
        """Parse and judge the graph, then let TensorFlow infer its shapes; nothing is run.

        Raises:
            InvalidInput: damaged, or with operations that read or write files or run Python.
            Unsupported: unknown operations, variables, several inputs, no image input.
        """
        frozen = _read(path)
        facts = tuple(
            output_facts(frozen.program, name, spec) for name, spec in frozen.outputs.items()
        )
        guess = recognise_head(ModelFacts(outputs=facts, size=frozen.image.size))
        return Inspection(
            format="frozen_graph",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(frozen.image.spec,),
            outputs=tuple(frozen.outputs.values()),
            layout=frozen.image.layout,
            channels=frozen.image.channels,
            size=frozen.image.size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            evidence=Evidence(framework="tensorflow"),
            findings=(frozen.image.finding(), *guess.findings, *_findings(frozen)),
            hazards=frozen.image.hazards(),
        )

    def model(self, path: Path, size: tuple[int, int], batch: int) -> TensorFlowModel:
        """The judged file, its input fixed; nothing is loaded yet."""
        frozen = _read(path)
        shape = static_shape(
            frozen.image.spec.shape, frozen.image.shape(size, batch), name=path.name
        )
        return TensorFlowModel(
            file=path.name,
            image=frozen.image.spec.name,
            shape=shape,
            names=tuple(frozen.outputs),
            load=lambda: _load(path.name, frozen),
        )


def _load(name: str, frozen: _Frozen) -> Forward:
    """The graph as a function of its image; it was judged before (`_read`)."""
    tensorflow, _ = import_tensorflow()
    image, outputs = f"{frozen.image.spec.name}:0", [f"{output}:0" for output in frozen.outputs]
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            wrapped = tensorflow.compat.v1.wrap_function(
                lambda: tensorflow.compat.v1.import_graph_def(frozen.graph, name=""), []
            )
            pruned = wrapped.prune(image, outputs)
    except Exception as error:  # TensorFlow raises what its kernels raise
        raise _broken(name, error) from error

    def run(image: TfTensor) -> list[TfTensor]:
        results = pruned(image)
        return list(results) if isinstance(results, (list, tuple)) else [results]

    return run


def _read(path: Path) -> _Frozen:
    require_model_file(path, "TensorFlow graph")
    graph = read_graph_def(path)
    program = program_of(graph)
    nodes = program.main.nodes
    _refuse_duplicates(path.name, graph, program)
    refuse_what_reaches_outside(path.name, program, Saver(), nodes, program.functions, Allowance())
    _refuse_variables(path.name, program)
    image = _image(path.name, program)
    floats, others = _ends(path.name, graph, program)
    return _Frozen(graph=graph, program=program, image=image, outputs=floats, others=others)


def _refuse_duplicates(name: str, graph: GraphDef, program: Program) -> None:
    if len(graph.node) != len(program.main.nodes):
        raise InvalidInput(
            f"{name} is not a TensorFlow graph", found="two nodes have the same name"
        )


def _refuse_variables(name: str, program: Program) -> None:
    for graph in program.graphs():
        for node in graph.nodes.values():
            if node.op in ("VariableV2", "Variable", "VarHandleOp"):
                raise Unsupported(
                    f"{name} is not frozen: its weights lie in a checkpoint beside it",
                    found=f"{node.op} {node.name!r}",
                    next_step="freeze it where the checkpoint is: "
                    "tf.compat.v1.graph_util.convert_variables_to_constants",
                )


def _image(name: str, program: Program) -> ImageTensor:
    inputs = [node for node in program.main.nodes.values() if node.op in _INPUTS]
    if len(inputs) != 1:
        raise Unsupported(
            f"{name} does not have exactly one input",
            found=", ".join(node.name for node in inputs) or "no Placeholder",
            next_step="freeze the part of the graph that takes one image, other inputs (a "
            "training switch, a keep probability) set to constants",
        )
    node = inputs[0]
    shape = shape_of(node.attributes["shape"].shape) if "shape" in node.attributes else None
    return image_tensor(name, node.name, shape, _dtype(node))


def _dtype(node: Node) -> str:
    tensorflow, _ = import_tensorflow()
    return str(tensorflow.dtypes.as_dtype(node.attributes["dtype"].type).name)


def _ends(
    name: str, graph: GraphDef, program: Program
) -> tuple[dict[str, TensorSpec], tuple[str, ...]]:
    """Nodes that nothing reads, in the file's order: float tensors, and the names of others."""
    nodes = program.main.nodes.values()
    read = {base(source) for node in nodes for source in node.inputs}
    ends = [node for node in nodes if node.name not in read and node.op not in _NO_OUTPUTS]
    floats: dict[str, TensorSpec] = {}
    others: list[str] = []
    tensors = _inferred(name, graph)
    for node in ends:
        shape, dtype = tensors.get(node.name, (None, ""))
        if dtype == "float32" and shape:
            floats[node.name] = TensorSpec(name=node.name, shape=shape, dtype="float32")
        else:
            others.append(node.name)
    if not floats:
        raise Unsupported(
            f"{name} has no float32 output",
            found=", ".join(others) or "every node is read by another",
            next_step="freeze the graph up to the tensor with the results",
        )
    return floats, tuple(others)


def _inferred(name: str, graph: GraphDef) -> dict[str, tuple[tuple[int, ...] | None, str]]:
    """Shape (-1: open) and type of each node's first output, by TensorFlow's shape functions."""
    tensorflow, _ = import_tensorflow()
    try:
        with tensorflow.Graph().as_default() as built, silent_stderr():
            tensorflow.compat.v1.import_graph_def(graph, name="")
            return {
                operation.name: _described(operation.outputs[0])
                for operation in built.get_operations()
                if operation.outputs
            }
    except Exception as error:
        raise _broken(name, error) from error


def _described(tensor: TfTensor) -> tuple[tuple[int, ...] | None, str]:
    shape = tensor.shape
    sides = None if shape.rank is None else tuple(-1 if s is None else s for s in shape.as_list())
    return sides, str(tensor.dtype.name)


def _broken(name: str, error: Exception) -> ConversionFailed:
    return ConversionFailed(
        f"TensorFlow cannot import {name}",
        found=f"{type(error).__name__}: {first_line(error)}",
        next_step="freeze it again with a newer TensorFlow, or export it to ONNX where it was made",
    )


def _findings(frozen: _Frozen) -> tuple[Finding, ...]:
    found = [
        Finding(
            key="contract.preset",
            value="",
            reason="a frozen graph does not say how pictures become the input",
        )
    ]
    if frozen.others:
        reason = "nothing reads these nodes either, but they are no float32 tensors: left out"
        found.append(
            Finding(key="source.outputs_left_out", value=", ".join(frozen.others), reason=reason)
        )
    return tuple(found)
