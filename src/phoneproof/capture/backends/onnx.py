"""ONNX files as sources: inspected without running, baseline by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto

from phoneproof.capture.backends.onnx_graph import OnnxGraph, dims
from phoneproof.capture.backends.onnx_hazards import has_nms, hazards_of
from phoneproof.capture.backends.onnx_metadata import OnnxMetadata, read_metadata
from phoneproof.capture.backends.onnx_read import external_files, read_complete, read_graph
from phoneproof.capture.backends.onnx_widen import dequantise, is_half, is_quantised, widen_half
from phoneproof.capture.base import HubExport
from phoneproof.capture.fixed_session import FixedSession, static_shape
from phoneproof.capture.heads import HeadGuess, ModelFacts, recognise_head
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import DType, Layout
from phoneproof.core.capture import Evidence, Finding, Inspection
from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.runtimes.base import Session, Tensor

if TYPE_CHECKING:
    import torch

    from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime

_THREADS = 2
_DTYPES: dict[int, DType] = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.INT8: "int8",
    TensorProto.UINT8: "uint8",
    TensorProto.INT16: "int16",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}


class OnnxSource:
    """ONNX models with one float32 (or float16) image input.

    Float16 files are widened: baseline and hub compute in float32 with the file's own weights.
    Files quantised by QuantizeLinear and DequantizeLinear pairs run as they are for the baseline;
    their hub is the float graph that the integers stand for.
    """

    def recognises(self, path: Path) -> bool:
        """By name: ONNX files have no magic."""
        return path.suffix.lower() == ".onnx"

    def inspect(self, path: Path) -> Inspection:
        """Read the graph; the weights' bytes are hashed, never interpreted.

        Raises:
            InvalidInput: truncated, empty, or reading outside its folder.
            Unsupported: several inputs, or an input that is no float32 image.
        """
        model = read_graph(path)
        graph = OnnxGraph(model)
        image = _image_input(path, graph)
        layout, why = _layout(graph, image)
        channels, size = _geometry(path, image, layout)
        outputs = tuple(_spec(graph, value) for value in graph.graph.output)
        metadata = read_metadata(model)
        guess = _guess(graph, outputs, size, metadata)
        return Inspection(
            format="onnx",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(image,),
            outputs=outputs,
            layout=layout,
            channels=channels,
            size=size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            labels=metadata.labels,
            quantised=is_quantised(model),
            evidence=_evidence(metadata, guess),
            findings=(
                Finding(key="input.layout", value=layout, reason=why),
                *_file_findings(path, model),
                *metadata.findings,
                *guess.findings,
                *_preset_finding(guess),
            ),
            hazards=hazards_of(graph, image, layout, guess.head, license_=metadata.license),
        )

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """ONNX Runtime on the file itself, CPU, two threads."""
        from phoneproof.runtimes.backends.onnxruntime import OnnxRuntime

        image, shape = self._fixed_input(path, size, batch)
        session = _opened(OnnxRuntime(), path)
        names = tuple(spec.name for spec in session.outputs)

        def call(value: Tensor) -> tuple[Tensor, ...]:
            results = session.run({image.name: value})
            return tuple(results[name] for name in names)

        return FixedSession(
            image=TensorSpec(name=image.name, shape=shape, dtype="float32"),
            names=names,
            call=call,
            probe=np.zeros(shape, np.float32),
        )

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """onnx2torch."""
        image, shape = self._fixed_input(path, size, batch)

        def export() -> torch.export.ExportedProgram:
            from phoneproof.capture.backends.onnx_to_hub import hub_from_onnx

            model = read_complete(path)
            widen_half(model)
            dequantise(model)
            return hub_from_onnx(model, image.name, shape)

        return (("onnx2torch", export),)

    def _fixed_input(
        self, path: Path, size: tuple[int, int], batch: int
    ) -> tuple[TensorSpec, tuple[int, ...]]:
        graph = OnnxGraph(read_graph(path))
        image = _image_input(path, graph)
        layout, _ = _layout(graph, image)
        channels, _ = _geometry(path, image, layout)
        wanted = (batch, *size, channels) if layout == "NHWC" else (batch, channels, *size)
        return image, static_shape(image.shape, wanted, name=path.name)


def _opened(runtime: OnnxRuntime, path: Path) -> Session:
    """The file itself; a float16 one in float32, so that no processor's rounding is in it."""
    if not is_half(read_graph(path)):
        return runtime.open(path, threads=_THREADS)
    model = read_complete(path)
    widen_half(model)
    return runtime.open_content(model.SerializeToString(), path, threads=_THREADS)


def _image_input(path: Path, graph: OnnxGraph) -> TensorSpec:
    inputs = graph.inputs()
    if len(inputs) != 1:
        raise Unsupported(
            f"{path.name} does not have exactly one input",
            found=", ".join(value.name for value in inputs) or "no input",
            next_step="export the part of the model that takes one image",
        )
    spec = _spec(graph, inputs[0])
    if spec.dtype not in ("float32", "float16") or len(spec.shape) != 4:
        raise Unsupported(
            f"the input of {path.name} is not a float32 image of four axes",
            found=f"{spec.name!r}: {spec.dtype} {list(spec.shape)}",
            next_step="export the float model with an input [batch, channels, height, width] or "
            "[batch, height, width, channels]",
        )
    return spec


def _spec(graph: OnnxGraph, value: ValueInfoProto) -> TensorSpec:
    """Declared shape where there is one, else the inferred one; -1 where an axis is open."""
    element = value.type.tensor_type.elem_type
    if element not in _DTYPES:
        raise Unsupported(
            f"tensor {value.name!r} has a type that is not handled",
            found=TensorProto.DataType.Name(element) if element else "not a tensor",
            next_step=f"supported: {', '.join(_DTYPES.values())}",
        )
    shape = dims(value)
    inferred = graph.shape(value.name)
    if inferred is not None and len(inferred) >= len(shape) and (not shape or -1 in shape):
        shape = inferred
    return TensorSpec(name=value.name, shape=shape, dtype=_DTYPES[element])


def _layout(graph: OnnxGraph, image: TensorSpec) -> tuple[Layout, str]:
    """NCHW or NHWC, and why: channel count first, the first operator where that is ambiguous."""
    first, last = image.shape[1], image.shape[3]
    if (first in (1, 3)) != (last in (1, 3)):
        layout: Layout = "NCHW" if first in (1, 3) else "NHWC"
        return layout, f"shape {list(image.shape)}: the axis of {_channels_axis(first, last)}"
    readers = graph.consumers(image.name)
    for node in readers:
        if node.op_type == "Transpose":
            orders = [tuple(a.ints) for a in node.attribute if a.name == "perm"]
            if orders == [(0, 3, 1, 2)]:
                return "NHWC", "the first operator transposes to NCHW"
    return "NCHW", f"the first operator ({readers[0].op_type if readers else 'none'}) reads NCHW"


def _channels_axis(first: int, last: int) -> str:
    return f"{first if first in (1, 3) else last} is the channels"


def _geometry(path: Path, image: TensorSpec, layout: Layout) -> tuple[int, tuple[int, int] | None]:
    sides = image.shape[1:3] if layout == "NHWC" else image.shape[2:4]
    channels = image.shape[3] if layout == "NHWC" else image.shape[1]
    if channels not in (1, 3, -1):
        raise Unsupported(
            f"the input of {path.name} is not a grey or colour image",
            found=f"{channels} channels in {list(image.shape)} ({layout})",
            next_step="models of one or three channels are handled",
        )
    size = None if -1 in sides else (sides[0], sides[1])
    return (3 if channels == -1 else channels), size


def _guess(
    graph: OnnxGraph,
    outputs: tuple[TensorSpec, ...],
    size: tuple[int, int] | None,
    metadata: OnnxMetadata,
) -> HeadGuess:
    return recognise_head(
        ModelFacts(
            outputs=tuple(graph.facts(spec) for spec in outputs),
            size=size,
            ultralytics_task=metadata.task,
            nms_inside=has_nms(graph),
        )
    )


def _evidence(metadata: OnnxMetadata, guess: HeadGuess) -> Evidence:
    return Evidence(
        framework="onnx",
        family="ultralytics" if metadata.task else guess.family,
        license=metadata.license,
        training=metadata.training,
    )


def _file_findings(path: Path, model: ModelProto) -> tuple[Finding, ...]:
    producer = f"{model.producer_name} {model.producer_version}".strip() or "not recorded"
    sets = ", ".join(f"{o.domain or 'ai.onnx'} {o.version}" for o in model.opset_import)
    reason = "recorded in the file"
    findings = [
        Finding(key="evidence.producer", value=producer, reason=reason),
        Finding(key="evidence.opset", value=sets, reason=reason),
        Finding(key="evidence.ir_version", value=str(model.ir_version), reason=reason),
    ]
    if is_half(model):
        findings.append(
            Finding(
                key="source.dtype",
                value="float16",
                reason="tensors of the graph; baseline and hub compute in float32 with its weights",
            )
        )
    if is_quantised(model):
        findings.append(
            Finding(
                key="source.dtype",
                value="quantised",
                reason="QuantizeLinear or integer operators; the hub is the float graph they stand "
                "for, compared with the file's own outputs",
            )
        )
    for data in external_files(path, model):
        name = data.relative_to(path.parent).as_posix()
        findings.append(
            Finding(
                key=f"evidence.external_data.{name}",
                value=file_sha256(data),
                reason="weights in a file beside the model",
            )
        )
    return tuple(findings)


def _preset_finding(guess: HeadGuess) -> tuple[Finding, ...]:
    if guess.preset:
        return ()
    return (
        Finding(
            key="contract.preset",
            value="",
            reason="nothing in the file says how pictures become the input (size and values)",
        ),
    )
