"""What the weights of a network are stored as."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from phoneproof.core.binding import Precision
from phoneproof.formats.inventory import dominant
from phoneproof.runtimes.backends.coreml_network.layer import Message

_TABLES: Final[dict[int, Precision]] = {4: "palette4", 6: "palette6"}
_LINEAR: Final[dict[int, Precision]] = {8: "weight_only_wi8", 4: "weight_only_wi4"}


def network_precision(network: Message) -> Precision:
    """Of nearly all bytes of weights; ``mixed`` where no kind has them, float32 without any."""
    return dominant(_stored(network)) or "float32"


def _stored(network: Message) -> Iterator[tuple[Precision, int]]:
    for layer in network.layers:
        for _, params in layer.ListFields():
            if hasattr(params, "ListFields"):
                yield from _weights(params)


def _weights(params: Message) -> Iterator[tuple[Precision, int]]:
    for field, value in params.ListFields():
        if field.message_type is None or field.message_type.name != "WeightParams":
            continue
        yield "float32", 4 * len(value.floatValue)
        yield "float16", len(value.float16Value)
        if value.rawValue:
            kind = value.quantization.WhichOneof("QuantizationType")
            known = _TABLES if kind == "lookupTableQuantization" else _LINEAR
            yield known.get(int(value.quantization.numberOfBits), "mixed"), len(value.rawValue)
