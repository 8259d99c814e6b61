"""ONNX -> hub program: onnx2torch, one traced graph, torch.export.

onnx2torch's modules read shapes and slice bounds out of tensors, which torch.export refuses. With
static shapes those tensors are constants, so each such module is traced alone with its constants
frozen in; everything else runs as it is. Every node keeps the name of the ONNX node it came from
(`nn_module_stack`), every weight a name made from it.
"""

from __future__ import annotations

import operator
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import onnx2torch
import torch
from onnx import ModelProto
from torch.export import ExportedProgram
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.experimental.proxy_tensor import (
    disable_proxy_modes_tracing,
    get_proxy_mode,
    make_fx,
)

from phoneproof.capture.backends.flat_export import DECOMPOSITIONS
from phoneproof.capture.backends.onnx_prepare import prepare
from phoneproof.core.errors import ConversionFailed, Unsupported, first_line

_PROBE_SEED = 0


def hub_from_onnx(model: ModelProto, input_name: str, shape: tuple[int, ...]) -> ExportedProgram:
    """The hub program of an ONNX graph.

    Args:
        model: a copy of the parsed file; it is changed.
        input_name: the image input. shape: its full static shape, in the file's layout.

    Returns:
        a program of one float32 tensor of `shape`; its outputs are the graph's, in order.

    Raises:
        Unsupported: an operator that onnx2torch does not know, named.
        ConversionFailed: one of the tools broke.
    """
    prepared = prepare(model, input_name, shape)
    with _quiet(), torch.no_grad():
        imported = _import(prepared)
        generator = torch.Generator().manual_seed(_PROBE_SEED)
        probe = torch.rand(shape, generator=generator)
        try:
            graph = _flatten(imported, probe)
            program = torch.export.export(graph, (probe,), strict=False)
        except Exception as error:  # torch raises many unrelated classes here
            raise ConversionFailed(
                "the imported ONNX graph could not be exported by PyTorch",
                found=f"{type(error).__name__}: {first_line(error)}",
                next_step="another importer or another export of the model may do",
            ) from error
    _copy_layers(graph, program)
    return program


def _import(model: ModelProto) -> GraphModule:
    try:
        return cast(GraphModule, onnx2torch.convert(model).eval())
    except NotImplementedError as error:
        raise Unsupported(
            "the ONNX graph holds an operator that cannot be imported",
            found=first_line(error),
            next_step="export the model without it, or move it out of the model into the app",
        ) from error
    except Exception as error:
        raise ConversionFailed(
            "onnx2torch could not import the ONNX graph",
            found=f"{type(error).__name__}: {first_line(error)}",
        ) from error


def _flatten(imported: GraphModule, probe: torch.Tensor) -> GraphModule:
    """One flat graph of ATen operators with named layers and named weights."""
    runner = _LayerInterpreter(imported)
    traced = make_fx(runner.run, tracing_mode="real", decomposition_table=DECOMPOSITIONS)(probe)
    for node in traced.graph.nodes:
        layer = runner.layers.get(node.name, "")
        if layer:
            node.meta["layer"] = layer
    _name_weights(traced)
    traced.graph.eliminate_dead_code()
    traced.recompile()
    return traced


class _LayerInterpreter(Interpreter):
    """Runs onnx2torch's graph under make_fx, folds constants, remembers which layer made what."""

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.layers: dict[str, str] = {}
        self._constant: set[Node] = set()

    def run_node(self, n: Node) -> object:
        if n.op == "get_attr" or self._is_constant(n):
            self._constant.add(n)
            with disable_proxy_modes_tracing():
                return super().run_node(n)
        mode = get_proxy_mode()
        assert mode is not None
        graph = mode.tracer.graph
        before = len(graph.nodes)
        value = self._run_frozen(n) if self._reads_values(n) else super().run_node(n)
        for node in list(graph.nodes)[before:]:
            self.layers[node.name] = str(n.target)
        return value

    def _is_constant(self, n: Node) -> bool:
        if n.op not in ("call_module", "call_function"):
            return False
        if n.op == "call_module" and _kind(self.submodules[str(n.target)]) == "OnnxShape":
            return True
        return all(source in self._constant for source in n.all_input_nodes)

    def _reads_values(self, n: Node) -> bool:
        """Whether the module turns a constant tensor's numbers into Python ones.

        Arguments behind an optional one that is left out go by name; those must be constant.
        """
        named = [value for value in n.kwargs.values() if isinstance(value, Node)]
        if n.op != "call_module" or not self._constant.issuperset(named):
            return False
        module = self.submodules[str(n.target)]
        constants = [self.env[a] for a in n.all_input_nodes if a in self._constant]
        whole = any(isinstance(c, torch.Tensor) and not c.is_floating_point() for c in constants)
        return whole or (bool(constants) and _kind(module).startswith("OnnxResize"))

    def _run_frozen(self, n: Node) -> object:
        """Trace one module alone, its constants frozen in, and run the result in its place."""
        given, named = self.fetch_args_kwargs_from_env(n)
        live = [isinstance(a, Node) and a not in self._constant for a in n.args]
        moving = tuple(cast(torch.Tensor, g) for g, m in zip(given, live, strict=True) if m)
        with disable_proxy_modes_tracing():
            still = tuple(tensor.detach().clone() for tensor in moving)
            partial = _Partial(self.submodules[str(n.target)], given, live, named).eval()
            traced = torch.jit.trace(partial, still, check_trace=False)  # type: ignore[no-untyped-call]
            frozen = torch.jit.freeze(traced)
        return cast(object, frozen(*moving))


class _Partial(torch.nn.Module):
    """A module with some of its arguments bound. `live` marks the ones still to be given."""

    def __init__(
        self,
        module: torch.nn.Module,
        given: tuple[object, ...],
        live: list[bool],
        named: Mapping[str, object],
    ) -> None:
        super().__init__()
        self.module = module
        self._named = dict(named)
        self._given = [None if moving else value for value, moving in zip(given, live, strict=True)]
        self._live = live

    def forward(self, *tensors: torch.Tensor) -> object:
        moving = iter(tensors)
        pairs = zip(self._given, self._live, strict=True)
        positional = (next(moving) if live else value for value, live in pairs)
        return self.module(*positional, **self._named)


def _kind(module: torch.nn.Module) -> str:
    return type(module).__name__


def _name_weights(graph: GraphModule) -> None:
    """Give each constant the name of the first layer that reads it: ``model_0_conv.weight``."""
    taken: set[str] = set()
    renamed: dict[str, str] = {}
    for node in [n for n in graph.graph.nodes if n.op == "get_attr"]:
        old = str(node.target)
        if old not in renamed:
            renamed[old] = _weight_name(node, taken)
            value = getattr(graph, old).detach()
            delattr(graph, old)
            graph.register_buffer(renamed[old], value)
        node.target = renamed[old]


def _weight_name(node: Node, taken: set[str]) -> str:
    reader = next(iter(node.users), None)
    layer = reader.meta.get("layer", "") if reader is not None else ""
    part = "constant"
    if reader is not None and reader.target is torch.ops.aten.convolution.default:
        part = {1: "weight", 2: "bias"}.get(list(reader.args).index(node), part)
    stem = re.sub(r"\W+", "_", f"{layer}_{part}").strip("_").lower()
    stem = f"p_{stem}" if stem[:1].isdigit() else stem
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}_{count}"
    taken.add(name)
    return name


def _copy_layers(graph: GraphModule, program: ExportedProgram) -> None:
    """torch.export keeps the order of the calls; carry the layer names over as module paths."""
    before = [n for n in graph.graph.nodes if _is_operator(n)]
    after = [n for n in program.graph.nodes if _is_operator(n)]
    if [n.target for n in before] != [n.target for n in after]:
        return
    for traced, exported in zip(before, after, strict=True):
        layer = traced.meta.get("layer", "")
        for node in (exported, *(u for u in exported.users if u.target is operator.getitem)):
            node.meta["nn_module_stack"] = {layer: (layer, "onnx.Node")} if layer else {}


def _is_operator(node: Node) -> bool:
    return node.op == "call_function" and node.target is not operator.getitem


@contextmanager
def _quiet() -> Iterator[None]:
    """onnx2torch and torch.jit warn of what static shapes make harmless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
