"""The architecture a checkpoint describes, parsed from its layer table and never evaluated.

A row is ``[from, repeats, module, arguments]``: the rows it reads (negative: counted back), how
often a block repeats before depth scaling, its name, its arguments before width scaling. Scaling
and channel arithmetic follow the published YOLOv8 description (docs.ultralytics.com, "Model YAML
configuration guide"; Jocher et al. 2023): channels = ceil(min(c, max) * width / 8) * 8, repeats =
max(round(n * depth), 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from phoneproof.capture.backends.torch_files.records import number, shown, text_keys
from phoneproof.capture.backends.ultralytics.literals import (
    NAME,
    Argument,
    argument,
    count,
    module_name,
    refuse,
)
from phoneproof.core.errors import Unsupported

REG_MAX = 16
"""Bins of YOLOv8's distance distribution."""

MAX_ROWS, MAX_REPEATS, MAX_CHANNELS, MAX_CLASSES = 256, 64, 16384, 65536
MAX_BLOCKS = 1024
"""Repeated blocks of all rows together; YOLOv8x has 36."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvLayer:
    """Convolution, batch normalisation, activation; padding keeps the size at stride 1."""

    c_in: int
    c_out: int
    kernel: int
    stride: int


@dataclass(frozen=True, kw_only=True, slots=True)
class C2fLayer:
    """Cross-stage block with `repeats` bottlenecks, all of whose outputs are concatenated."""

    c_in: int
    c_out: int
    repeats: int
    shortcut: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class SppfLayer:
    """Three max poolings in a row, concatenated with their input."""

    c_in: int
    c_out: int
    kernel: int


@dataclass(frozen=True, kw_only=True, slots=True)
class UpsampleLayer:
    """Nearest-neighbour enlargement by a whole factor."""

    factor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ConcatLayer:
    """Concatenation along the channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DetectLayer:
    """Decoupled, anchor-free head over levels of `channels` at `strides`."""

    classes: int
    channels: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifyLayer:
    """Convolution, global average pooling, linear layer, softmax."""

    c_in: int
    classes: int


Layer = ConvLayer | C2fLayer | SppfLayer | UpsampleLayer | ConcatLayer | DetectLayer | ClassifyLayer


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One layer and the rows it reads (-1 for row 0: the image)."""

    sources: tuple[int, ...]
    layer: Layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """All rows; the last is the head."""

    rows: tuple[Row, ...]
    classes: int
    channels: int

    @property
    def head(self) -> DetectLayer | ClassifyLayer:
        """The last row's layer."""
        layer = self.rows[-1].layer
        assert isinstance(layer, DetectLayer | ClassifyLayer)  # parse_architecture made sure
        return layer


@dataclass(frozen=True, kw_only=True, slots=True)
class _Scale:
    depth: float
    width: float
    max_channels: float
    classes: int

    def channels(self, wanted: int) -> int:
        # The original leaves a width equal to the class count alone (meant for classifiers).
        if wanted == self.classes:
            return wanted
        return math.ceil(min(wanted, self.max_channels) * self.width / 8) * 8

    def repeats(self, wanted: int) -> int:
        return max(round(wanted * self.depth), 1) if wanted > 1 else wanted


@dataclass(frozen=True, kw_only=True, slots=True)
class _Context:
    """What a row's reader knows: its arguments, its inputs' channels and strides, the scale."""

    module: str
    arguments: tuple[Argument, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    repeats: int
    scale: _Scale

    def whole(self, place: int, *, default: int | None = None, limit: int = MAX_CHANNELS) -> int:
        """Argument `place` as a positive int."""
        value = self.arguments[place] if place < len(self.arguments) else default
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            refuse(f"{self.module} argument {place + 1}", value)
        return value

    def at_most(self, count: int) -> None:
        """Refuse arguments past the ones that are rebuilt."""
        if len(self.arguments) > count:
            raise Unsupported(
                f"{self.module} with {len(self.arguments)} arguments is not rebuilt",
                found=", ".join(map(shown, self.arguments)),
            )


def parse_architecture(description: object) -> Architecture:
    """The layers of a checkpoint's ``yaml`` dictionary.

    Raises:
        InvalidInput: not a layer table, numbers out of range, or text that is neither a name nor
            a literal (nothing in the text is ever evaluated).
        Unsupported: a module that is not rebuilt, by name.
    """
    if not isinstance(description, dict):
        refuse("architecture", description)
    table = text_keys(description)
    scale = _scale(table)
    channels = _first_number(table, ("channels", "ch"), 3)
    if channels not in (1, 3):
        raise Unsupported(f"images of {channels} channels are not handled", found=str(channels))
    rows = [*_rows(table, "backbone"), *_rows(table, "head")]
    if not 1 <= len(rows) <= MAX_ROWS:
        refuse("architecture's number of rows", len(rows))
    return _walk(rows, scale, channels)


def _walk(rows: list[object], scale: _Scale, image_channels: int) -> Architecture:
    parsed: list[Row] = []
    channels: list[int] = []
    strides: list[int] = []
    for index, raw in enumerate(rows):
        row = raw if isinstance(raw, list | tuple) else ()
        if len(row) != 4:
            refuse(f"row {index}", raw)
        sources = _sources(row[0], index)
        context = _Context(
            module=module_name(row[2]),
            arguments=_arguments(row[3], scale.classes),
            channels=tuple(channels[s] if s >= 0 else image_channels for s in sources),
            strides=tuple(strides[s] if s >= 0 else 1 for s in sources),
            repeats=scale.repeats(count(row[1], f"row {index} repeats", MAX_REPEATS)),
            scale=scale,
        )
        layer = _layer(context)
        parsed.append(Row(sources=sources, layer=layer))
        channels.append(_out_channels(layer, context))
        strides.append(_out_stride(layer, context))
        if sum(row.layer.repeats for row in parsed if isinstance(row.layer, C2fLayer)) > MAX_BLOCKS:
            refuse("number of repeated blocks", f"more than {MAX_BLOCKS}")
    _check_head(parsed)
    return Architecture(rows=tuple(parsed), classes=scale.classes, channels=image_channels)


def _layer(context: _Context) -> Layer:
    if context.module not in READERS:
        raise Unsupported(
            f"the module {context.module} is not rebuilt", found=f"known: {', '.join(READERS)}"
        )
    if context.module not in _MANY_INPUTS and len(context.channels) != 1:
        refuse(f"{context.module}'s number of inputs", len(context.channels))
    if context.module not in _REPEATS and context.repeats != 1:
        raise Unsupported(f"{context.module} repeated {context.repeats} times is not rebuilt")
    return READERS[context.module](context)


def _conv(context: _Context) -> ConvLayer:
    context.at_most(3)
    return ConvLayer(
        c_in=context.channels[0],
        c_out=context.scale.channels(context.whole(0)),
        kernel=context.whole(1, default=1, limit=15),
        stride=context.whole(2, default=1, limit=8),
    )


def _c2f(context: _Context) -> C2fLayer:
    context.at_most(2)
    shortcut = context.arguments[1] if len(context.arguments) > 1 else False
    if not isinstance(shortcut, bool):
        refuse("C2f argument 2", shortcut)
    return C2fLayer(
        c_in=context.channels[0],
        c_out=context.scale.channels(context.whole(0)),
        repeats=context.repeats,
        shortcut=shortcut,
    )


def _sppf(context: _Context) -> SppfLayer:
    context.at_most(2)
    return SppfLayer(
        c_in=context.channels[0],
        c_out=context.scale.channels(context.whole(0)),
        kernel=context.whole(1, default=5, limit=15),
    )


def _upsample(context: _Context) -> UpsampleLayer:
    context.at_most(3)
    if context.arguments[:1] != (None,) or context.arguments[2:] not in ((), ("nearest",)):
        raise Unsupported(
            "only nn.Upsample by a factor with mode nearest is rebuilt",
            found=", ".join(map(shown, context.arguments)),
        )
    return UpsampleLayer(factor=context.whole(1, limit=8))


def _concat(context: _Context) -> ConcatLayer:
    if context.arguments != (1,):
        refuse("Concat arguments", context.arguments)
    return ConcatLayer()


def _detect(context: _Context) -> DetectLayer:
    context.at_most(1)
    return DetectLayer(
        classes=context.whole(0, limit=MAX_CLASSES),
        channels=context.channels,
        strides=context.strides,
    )


def _classify(context: _Context) -> ClassifyLayer:
    context.at_most(1)
    return ClassifyLayer(c_in=context.channels[0], classes=context.whole(0, limit=MAX_CLASSES))


READERS: Mapping[str, Callable[[_Context], Layer]] = {
    "Conv": _conv,
    "C2f": _c2f,
    "SPPF": _sppf,
    "nn.Upsample": _upsample,
    "Concat": _concat,
    "Detect": _detect,
    "Classify": _classify,
}
"""The modules that are rebuilt; another family is a line here and a module in modules.py."""

_REPEATS = frozenset({"C2f"})
_MANY_INPUTS = frozenset({"Concat", "Detect"})


def _out_channels(layer: Layer, context: _Context) -> int:
    match layer:
        case ConvLayer() | C2fLayer() | SppfLayer():
            return layer.c_out
        case ConcatLayer():
            return sum(context.channels)
        case _:
            return context.channels[0]


def _out_stride(layer: Layer, context: _Context) -> int:
    match layer:
        case ConvLayer(stride=stride):
            return context.strides[0] * stride
        case UpsampleLayer(factor=factor):
            if context.strides[0] % factor:
                refuse("an enlargement past the image's own size", factor)
            return context.strides[0] // factor
        case ConcatLayer():
            if len(set(context.strides)) != 1:
                refuse("strides joined by Concat", "/".join(map(str, context.strides)))
            return context.strides[0]
        case _:
            return context.strides[0]


def _check_head(rows: list[Row]) -> None:
    heads = [isinstance(row.layer, DetectLayer | ClassifyLayer) for row in rows]
    if heads.count(True) != 1 or not heads[-1]:
        refuse("number and place of heads (one, last)", heads.count(True))


def _arguments(value: object, classes: int) -> tuple[Argument, ...]:
    if not isinstance(value, list | tuple) or len(value) > 16:
        refuse("arguments", value)
    return tuple(argument(item, classes) for item in value)


def _sources(value: object, index: int) -> tuple[int, ...]:
    items = value if isinstance(value, list | tuple) else [value]
    if not 1 <= len(items) <= 16:
        refuse(f"row {index} inputs", value)
    return tuple(_source(item, index) for item in items)


def _source(value: object, index: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not -index - 1 <= value < index:
        refuse(f"row {index} input", value)
    source = value if value >= 0 else index + value
    if source < 0 and index > 0:
        refuse(f"row {index} input", value)
    return source


def _rows(table: Mapping[str, object], key: str) -> list[object]:
    rows = table.get(key)
    if not isinstance(rows, list):
        refuse(key, rows)
    return rows


def _scale(table: Mapping[str, object]) -> _Scale:
    depth, width, limit = _named_scale(table)
    if not (0 < depth <= 16 and 0 < width <= 16 and limit > 0):
        refuse("depth, width and channel limit", f"{depth}, {width}, {limit}")
    classes = count(table.get("nc"), "class count nc", MAX_CLASSES)
    activation = table.get("activation")
    if activation not in (None, "nn.SiLU()", "torch.nn.SiLU()"):
        if not isinstance(activation, str) or not NAME.fullmatch(activation.removesuffix("()")):
            refuse("activation", activation)
        raise Unsupported(f"the activation {activation} is not rebuilt")
    return _Scale(depth=depth, width=width, max_channels=limit, classes=classes)


def _named_scale(table: Mapping[str, object]) -> tuple[float, float, float]:
    """Depth, width, channel limit: from ``scales[scale]``, else from the older two multiples."""
    scales = table.get("scales")
    if isinstance(scales, dict) and scales:
        key = table.get("scale") or next(iter(scales))
        row = scales.get(key) if isinstance(key, str) else None
        numbers = [number(item) for item in row] if isinstance(row, list | tuple) else []
        if len(numbers) != 3 or None in numbers:
            refuse("scale", key)
        depth, width, limit = (item or 0.0 for item in numbers)
        return depth, width, limit
    depth = number(table.get("depth_multiple", 1.0)) or 0.0
    return depth, number(table.get("width_multiple", 1.0)) or 0.0, math.inf


def _first_number(table: Mapping[str, object], keys: tuple[str, ...], default: int) -> int:
    given = next((table[key] for key in keys if table.get(key) is not None), default)
    return count(given, keys[0], 1024)
