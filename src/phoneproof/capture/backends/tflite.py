"""TFLite files as sources: inspected without running, baseline by LiteRT on the file itself."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from phoneproof.capture.backends.tflite_detection import PostProcess, find_post_process
from phoneproof.capture.backends.tflite_graph import (
    TfliteFacts,
    has_quantised_activations,
    integer_arithmetic,
)
from phoneproof.capture.backends.tflite_metadata import TfliteMetadata, read_metadata
from phoneproof.capture.base import HubExport
from phoneproof.capture.fixed_session import static_shape
from phoneproof.capture.heads import HeadGuess, ModelFacts, recognise_head, unlike_ranges
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Layout
from phoneproof.core.capture import Evidence, Finding, Hazard, Inspection
from phoneproof.core.errors import Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.tflite import TfliteGraph, TfliteTensor, inventory, read_tflite
from phoneproof.formats.tflite_values import is_quantised, representable_range
from phoneproof.formats.tflite_write import static_copy
from phoneproof.runtimes.base import Session

if TYPE_CHECKING:
    import torch

_THREADS: Final = 2
_IMAGE_TYPES: Final = ("float32", "uint8", "int8")


class TfliteSource:
    """TFLite models with one image input, float or quantised."""

    def recognises(self, path: Path) -> bool:
        """By the identifier of the flatbuffer."""
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(8)[4:8] == b"TFL3"

    def inspect(self, path: Path) -> Inspection:
        """Read the flatbuffer.

        Raises:
            InvalidInput: truncated or hostile.
            Unsupported: several inputs, or an input that is no image.
        """
        graph = read_tflite(path)
        image, tensor = _image(path, graph)
        layout, why = _layout(image)
        channels, size = _geometry(path, image, layout)
        metadata = read_metadata(path.read_bytes(), graph, path.name)
        post = find_post_process(graph)
        guess = _guess(graph, size, metadata) if post is None else post.guess
        integers = integer_arithmetic(graph)
        return Inspection(
            format="tflite",
            sha256=file_sha256(path),
            bytes=path.stat().st_size,
            inputs=(image,),
            outputs=tuple(spec for _, spec in _outputs(graph, post)),
            layout=layout,
            channels=channels,
            size=size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            labels=metadata.labels if post is None else post.labels(metadata.labels),
            quantised=bool(integers),
            decode=None if post is None else post.decode,
            evidence=_evidence(metadata, guess),
            findings=(
                Finding(key="input.layout", value=layout, reason=why),
                *_value_findings(tensor, graph, integers),
                *metadata.findings,
                *guess.findings,
            ),
            hazards=_hazards(image, guess),
        )

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """LiteRT with XNNPACK on the file itself, two threads.

        A post-processing operator is left out, and an open shape is fixed, in a copy.
        """
        from phoneproof.runtimes.backends.litert import LiteRtRuntime

        prepared = _prepared(path, size, batch)
        if prepared.copy is None:
            return LiteRtRuntime().open(path, threads=_THREADS)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(prepared.copy)
            return LiteRtRuntime().open(copy, threads=_THREADS)

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """Our own importer, then tf2onnx with the integers expanded.

        Where activations are integers ours comes twice: plain, and with every activation held to
        the range of its tensor (docs/decisions/0019).
        """
        prepared = _prepared(path, size, batch)

        def own(*, clamp_ranges: bool = False) -> torch.export.ExportedProgram:
            from phoneproof.capture.backends.tflite_to_hub import hub_from_tflite

            return hub_from_tflite(
                prepared.copy or path, shape=prepared.shape, clamp_ranges=clamp_ranges
            )

        def through_onnx() -> torch.export.ExportedProgram:
            from phoneproof.capture.backends.tflite_to_onnx import hub_through_onnx

            return hub_through_onnx(prepared.copy or path.read_bytes(), prepared.shape, path.name)

        clamped = (("tflite_to_torch+ranges", partial(own, clamp_ranges=True)),)
        return (
            ("tflite_to_torch", own),
            *(clamped if prepared.has_ranges else ()),
            ("tf2onnx+onnx2torch", through_onnx),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Prepared:
    """shape: of the input. copy: the file with that shape and without its post-processing, null
    where the file itself has both. has_ranges: whether activations are quantised."""

    shape: tuple[int, ...]
    copy: bytes | None
    has_ranges: bool


def _prepared(path: Path, size: tuple[int, int], batch: int) -> _Prepared:
    graph = read_tflite(path)
    image, _ = _image(path, graph)
    layout, _ = _layout(image)
    channels, _ = _geometry(path, image, layout)
    wanted = (batch, *size, channels) if layout == "NHWC" else (batch, channels, *size)
    shape = static_shape(image.shape, wanted, name=path.name)
    post = find_post_process(graph)
    copy = None
    if post is not None or -1 in image.shape:
        outputs = () if post is None else (post.boxes, post.scores)
        copy = static_copy(path.read_bytes(), shape, path.name, outputs=outputs)
    return _Prepared(shape=shape, copy=copy, has_ranges=has_quantised_activations(graph))


def _image(path: Path, graph: TfliteGraph) -> tuple[TensorSpec, TfliteTensor]:
    if len(graph.inputs) != 1:
        names = ", ".join(graph.tensors[index].name for index in graph.inputs)
        raise Unsupported(
            f"{path.name} does not have exactly one input",
            found=names or "no input",
            next_step="convert the part of the model that takes one image",
        )
    index = graph.inputs[0]
    name = graph.signature_inputs[0][0] if graph.signature_inputs else graph.tensors[index].name
    spec = _spec(name, graph.tensors[index])
    if spec.dtype not in _IMAGE_TYPES or len(spec.shape) != 4:
        raise Unsupported(
            f"the input of {path.name} is not an image of four axes",
            found=f"{spec.name!r}: {spec.dtype} {list(spec.shape)}",
            next_step=f"inputs of {', '.join(_IMAGE_TYPES)} are handled",
        )
    return spec, graph.tensors[index]


def _spec(name: str, tensor: TfliteTensor) -> TensorSpec:
    from phoneproof.formats.tflite import tensor_spec

    spec = tensor_spec(name, tensor)
    return msgspec.structs.replace(spec, shape=tensor.open_shape or tensor.shape)


def _outputs(graph: TfliteGraph, post: PostProcess | None = None) -> list[tuple[int, TensorSpec]]:
    """(tensor, its specification); those before a post-processing operator where there is one."""
    if post is not None:
        pair = post.boxes, post.scores
        return [(index, _spec(graph.tensors[index].name, graph.tensors[index])) for index in pair]
    named = graph.signature_outputs or tuple((graph.tensors[i].name, i) for i in graph.outputs)
    return [(index, _spec(name, graph.tensors[index])) for name, index in named]


def _layout(image: TensorSpec) -> tuple[Layout, str]:
    shape = list(image.shape)
    if shape[1] in (1, 3) and shape[3] not in (1, 3):
        return "NCHW", f"shape {shape}: the axis of {shape[1]} is the channels"
    return "NHWC", f"shape {shape}: channels last, TFLite's own layout"


def _geometry(path: Path, image: TensorSpec, layout: Layout) -> tuple[int, tuple[int, int] | None]:
    shape = image.shape
    sides, channels = (shape[1:3], shape[3]) if layout == "NHWC" else (shape[2:], shape[1])
    if channels not in (1, 3):
        raise Unsupported(
            f"the input of {path.name} is not a grey or colour image",
            found=f"{channels} channels in {list(shape)} ({layout})",
            next_step="models of one or three channels are handled",
        )
    return channels, None if -1 in sides else (sides[0], sides[1])


def _guess(graph: TfliteGraph, size: tuple[int, int] | None, metadata: TfliteMetadata) -> HeadGuess:
    facts = TfliteFacts(graph)
    bare = [spec.name for _, spec in _outputs(graph) if not spec.shape]
    if bare or not _outputs(graph):
        raise Unsupported(
            "an output of the model has no axes",
            found=", ".join(bare) or "no output at all",
            next_step="convert the model without it",
        )
    outputs = tuple(
        # As the hub gives them: float32 reals.
        facts.output(index, TensorSpec(name=spec.name, shape=spec.shape, dtype="float32"))
        for index, spec in _outputs(graph)
    )
    has_nms = any(op.name.startswith("NON_MAX_SUPPRESSION") for op in graph.ops)
    return recognise_head(
        ModelFacts(outputs=outputs, size=size, ultralytics_task=metadata.task, nms_inside=has_nms)
    )


def _evidence(metadata: TfliteMetadata, guess: HeadGuess) -> Evidence:
    return Evidence(
        framework="tflite",
        family="ultralytics" if metadata.task else guess.family,
        license=metadata.license,
        training=metadata.training,
    )


def _value_findings(image: TfliteTensor, graph: TfliteGraph, integers: str) -> tuple[Finding, ...]:
    found = [
        Finding(
            key="evidence.precision",
            value=inventory(graph).precision,
            reason=integers or _float_reason(graph),
        )
    ]
    held = representable_range(image) if is_quantised(image) else None
    if held is not None:
        low, high, step = held
        zero = image.quant.zero_point if image.quant else 0
        found.append(
            Finding(
                key="input.values",
                value=f"{low:g} .. {high:g}",
                reason=f"read: the {image.dtype} input stands for (q {-zero:+d}) * {step:g}, so "
                "pixels 0..255 are scaled to these values",
            )
        )
    return tuple(found)


def _float_reason(graph: TfliteGraph) -> str:
    stored = {t.dtype for t in graph.tensors if t.data.size and is_quantised(t)}
    halves = any(t.data.size and t.dtype == "float16" for t in graph.tensors)
    kinds = sorted(stored | ({"float16"} if halves else set()))
    if kinds:
        return f"weights stored as {' and '.join(kinds)} and expanded before use; activations float"
    return "weights and activations are float32"


def _hazards(image: TensorSpec, guess: HeadGuess) -> tuple[Hazard, ...]:
    found = [hazard for hazard in (unlike_ranges(guess.head),) if hazard is not None]
    if -1 in image.shape[1:]:
        found.append(
            Hazard(
                name="dynamic_shapes",
                found=f"input {image.name!r} {list(image.shape)}: size open",
                next_step="phones want static shapes: the size of the contract is fixed in each "
                "artifact; give further ones in `sizes`",
            )
        )
    return tuple(found)
