"""A checkpoint's layer table to an `Architecture`.

A row is ``[from, repeats, module, arguments]``: the rows it reads (negative: counted back), how
often a block repeats before depth scaling, its name, its arguments before width scaling. Scaling
and channel arithmetic follow the published description (docs.ultralytics.com, "Model YAML
configuration guide"; Jocher et al. 2023): channels = ceil(min(c, max) * width / 8) * 8, repeats =
max(round(n * depth), 1).
"""

from __future__ import annotations

from collections.abc import Mapping

from phoneproof.capture.backends.torch_files.records import text_keys
from phoneproof.capture.backends.ultralytics.architecture.layers import (
    Architecture,
    C2PsaLayer,
    ChainLayer,
    ConcatLayer,
    ConvLayer,
    FocusLayer,
    HeadLayer,
    Layer,
    PsaLayer,
    Row,
    ScDownLayer,
    UpsampleLayer,
)
from phoneproof.capture.backends.ultralytics.architecture.readers import (
    MANY_INPUTS,
    READERS,
    REPEATED,
    Context,
)
from phoneproof.capture.backends.ultralytics.architecture.scale import Scale, read_scale
from phoneproof.capture.backends.ultralytics.literals import (
    Argument,
    argument,
    count,
    module_name,
    refuse,
)
from phoneproof.core.errors import Unsupported

MAX_ROWS, MAX_REPEATS = 256, 64
MAX_BLOCKS = 1024
"""Repeated blocks of all rows together; YOLOv8x has 36."""


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
    channels = _first_number(table, ("channels", "ch"), 3)
    if channels not in (1, 3):
        raise Unsupported(f"images of {channels} channels are not handled", found=str(channels))
    rows = [*_rows(table, "backbone"), *_rows(table, "head")]
    if not 1 <= len(rows) <= MAX_ROWS:
        refuse("architecture's number of rows", len(rows))
    scale = read_scale(table, frozenset(map(_module, rows)))
    return _walk(rows, scale, channels)


def _walk(rows: list[object], scale: Scale, image_channels: int) -> Architecture:
    parsed: list[Row] = []
    channels: list[int] = []
    strides: list[int] = []
    for index, raw in enumerate(rows):
        row = raw if isinstance(raw, list | tuple) else ()
        if len(row) != 4:
            refuse(f"row {index}", raw)
        sources = _sources(row[0], index)
        context = Context(
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
        if sum(p.layer.repeats for p in parsed if isinstance(p.layer, ChainLayer)) > MAX_BLOCKS:
            refuse("number of repeated blocks", f"more than {MAX_BLOCKS}")
    _check_head(parsed)
    return Architecture(rows=tuple(parsed), classes=scale.classes, channels=image_channels)


def _layer(context: Context) -> Layer:
    if context.module not in READERS:
        raise Unsupported(
            f"the module {context.module} is not rebuilt", found=f"known: {', '.join(READERS)}"
        )
    if context.module not in MANY_INPUTS and len(context.channels) != 1:
        refuse(f"{context.module}'s number of inputs", len(context.channels))
    if context.module not in REPEATED and context.repeats != 1:
        raise Unsupported(f"{context.module} repeated {context.repeats} times is not rebuilt")
    return READERS[context.module](context)


def _out_channels(layer: Layer, context: Context) -> int:
    if isinstance(layer, ConcatLayer):
        return sum(context.channels)
    if isinstance(layer, UpsampleLayer | HeadLayer):
        return context.channels[0]
    return layer.channels if isinstance(layer, PsaLayer | C2PsaLayer) else layer.c_out


def _out_stride(layer: Layer, context: Context) -> int:
    match layer:
        case ConvLayer(stride=stride) | ScDownLayer(stride=stride):
            return context.strides[0] * stride
        case FocusLayer():
            return context.strides[0] * 2
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
    heads = [isinstance(row.layer, HeadLayer) for row in rows]
    if heads.count(True) != 1 or not heads[-1]:
        refuse("number and place of heads (one, last)", heads.count(True))


def _module(row: object) -> str:
    """The name of a row's module; empty where the row is not one."""
    return module_name(row[2]) if isinstance(row, list | tuple) and len(row) == 4 else ""


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


def _first_number(table: Mapping[str, object], keys: tuple[str, ...], default: int) -> int:
    given = next((table[key] for key in keys if table.get(key) is not None), default)
    return count(given, keys[0], 1024)
