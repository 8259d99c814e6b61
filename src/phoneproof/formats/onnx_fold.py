"""Constant folding on ONNX graphs: what does not depend on the input is computed here, once."""

from __future__ import annotations

from typing import Final

import numpy as np
import onnx
from onnx.numpy_helper import from_array, to_array
from onnx.reference import ReferenceEvaluator

_MOST_ELEMENTS: Final = 1 << 20
"""A folded tensor may not swell the file: larger results stay computed at run time."""

_NEVER: Final = frozenset({"RandomNormal", "RandomUniform", "Multinomial", "Dropout"})


def fold_constants(model: onnx.ModelProto) -> None:
    """Turn Constant nodes and nodes over constants into initializers, in place.

    Nodes with subgraphs and nodes that the reference evaluator cannot run stay as they are.
    Graph outputs stay computed: an initializer as an output is refused by some runtimes.
    """
    graph = model.graph
    known = {tensor.name: tensor for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        results = None if outputs & set(node.output) else _folded(node, known, model)
        if results is None:
            kept.append(node)
        else:
            known.update({tensor.name: tensor for tensor in results})
    used = {name for node in kept for name in _reads(node)} | outputs
    del graph.node[:]
    graph.node.extend(kept)
    del graph.initializer[:]
    graph.initializer.extend(tensor for name, tensor in known.items() if name in used)
    infos = [info for info in graph.value_info if info.name in used and info.name not in known]
    del graph.value_info[:]
    graph.value_info.extend(infos)


def _folded(
    node: onnx.NodeProto, known: dict[str, onnx.TensorProto], model: onnx.ModelProto
) -> list[onnx.TensorProto] | None:
    if node.op_type in _NEVER or any(name and name not in known for name in node.input):
        return None
    if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        return None
    names = [name for name in node.input if name]
    declared = [_declared(known[name]) for name in dict.fromkeys(names)]
    wanted = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name]
    single = onnx.helper.make_model(
        onnx.helper.make_graph([node], "fold", declared, wanted),
        opset_imports=model.opset_import,
        ir_version=model.ir_version,
    )
    try:
        values = ReferenceEvaluator(single).run(
            None, {name: to_array(known[name]) for name in names}
        )
    except Exception:  # an operator the evaluator lacks: the runtime will compute it
        return None
    arrays = [np.asarray(value) for value in values]
    if any(array.size > _MOST_ELEMENTS for array in arrays):
        return None
    return [from_array(a, info.name) for a, info in zip(arrays, wanted, strict=True)]


def _declared(tensor: onnx.TensorProto) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))


def _reads(node: onnx.NodeProto) -> list[str]:
    """Names a node reads, its subgraphs included (they see outer tensors)."""
    names = list(node.input)
    for attribute in node.attribute:
        graphs = [attribute.g] if attribute.HasField("g") else []
        for graph in (*graphs, *attribute.graphs):
            names += [name for inner in graph.node for name in _reads(inner)]
            names += [value.name for value in graph.output]
    return names
