"""What in an ONNX graph breaks models on phones."""

from __future__ import annotations

from phoneproof.capture.backends.onnx_graph import OnnxGraph, operators
from phoneproof.capture.heads import unlike_ranges
from phoneproof.core.binding import Layout
from phoneproof.core.capture import Hazard, Head
from phoneproof.core.tensors import TensorSpec

_NO_MOBILE = frozenset(
    {
        "Bernoulli",
        "Compress",
        "DeformConv",
        "Det",
        "GRU",
        "If",
        "LSTM",
        "Loop",
        "MaxUnpool",
        "Multinomial",
        "NonZero",
        "OptionalGetElement",
        "RNN",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "RandomUniformLike",
        "RegexFullMatch",
        "Scan",
        "SequenceAt",
        "SequenceConstruct",
        "SequenceInsert",
        "SplitToSequence",
        "StringConcat",
        "StringNormalizer",
        "StringSplit",
        "TfIdfVectorizer",
        "Unique",
    }
)
"""Control flow, data-dependent shapes, randomness, sequences, strings, recurrent state: what the
TFLite built-in operators and accelerators do not run, or only on the CPU."""

_QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")
_NMS = ("NonMaxSuppression", "EfficientNMS_TRT", "BatchedNMS_TRT")


def has_nms(graph: OnnxGraph) -> bool:
    """Whether the graph suppresses boxes itself."""
    return any(op in _NMS for _, op in operators(graph.graph))


def hazards_of(
    graph: OnnxGraph, image: TensorSpec, layout: Layout, head: Head, *, license_: str
) -> tuple[Hazard, ...]:
    """All hazards of one graph, in a fixed order."""
    found = (
        _dynamic(image),
        _nms(graph),
        _operators(graph),
        _quantized(graph),
        _layout(layout),
        unlike_ranges(head),
        _license(license_),
    )
    return tuple(hazard for hazard in found if hazard is not None)


def _dynamic(image: TensorSpec) -> Hazard | None:
    names = ("batch", "second", "third", "fourth")
    is_open = [names[index] for index, side in enumerate(image.shape) if side < 0]
    if not is_open:
        return None
    return Hazard(
        name="dynamic_shapes",
        found=f"input {image.name!r} {list(image.shape)}: {', '.join(is_open)} axis open",
        next_step="phones want static shapes: the size of the contract and batch 1 are fixed in "
        "each artifact; give further ones in `sizes` and `batch`",
        severity="note" if is_open == ["batch"] else "warning",
    )


def _nms(graph: OnnxGraph) -> Hazard | None:
    if not has_nms(graph):
        return None
    return Hazard(
        name="nms_inside",
        found="non-maximum suppression inside the graph",
        next_step="export without it (Ultralytics: nms=False; others: the raw head): its outputs "
        "have no fixed size and accelerators do not run it",
    )


def _operators(graph: OnnxGraph) -> Hazard | None:
    used = set(operators(graph.graph))
    names = {op for domain, op in used if domain == "" and op in _NO_MOBILE}
    names |= {f"{domain}::{op}" for domain, op in used if domain}
    if not names:
        return None
    return Hazard(
        name="unsupported_ops",
        found=", ".join(sorted(names)),
        next_step="phones lack these operators: replace them in the model, or move that part into "
        "the app",
    )


def _quantized(graph: OnnxGraph) -> Hazard | None:
    names = sorted({op for _, op in operators(graph.graph) if op in _QUANTIZED})
    if not names:
        return None
    return Hazard(
        name="already_quantized",
        found=", ".join(names),
        next_step="start from the float model: what was rounded once is rounded twice here",
    )


def _layout(layout: Layout) -> Hazard | None:
    if layout == "NHWC":
        return None
    return Hazard(
        name="layout",
        found="the image input is NCHW",
        next_step="TFLite artifacts are made NHWC; bindings say which layout each file has",
        severity="note",
    )


def _license(text: str) -> Hazard | None:
    if "agpl" not in text.lower():
        return None
    return Hazard(
        name="agpl_license",
        found=f"the file's licence is {text}",
        next_step="an app that ships this model must follow it, or needs a commercial licence",
    )
