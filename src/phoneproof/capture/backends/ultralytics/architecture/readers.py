"""One reader a module: a row's arguments to the layer they describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from phoneproof.capture.backends.torch_files.records import shown
from phoneproof.capture.backends.ultralytics.architecture.layers import (
    AnchorDetectLayer,
    C2fCibLayer,
    C2fLayer,
    C2PsaLayer,
    C3k2Layer,
    C3Layer,
    ClassifyLayer,
    ConcatLayer,
    ConvLayer,
    DetectLayer,
    FocusLayer,
    Layer,
    PsaLayer,
    ScDownLayer,
    SppfLayer,
    SppLayer,
    UpsampleLayer,
)
from phoneproof.capture.backends.ultralytics.architecture.scale import MAX_CLASSES, Scale
from phoneproof.capture.backends.ultralytics.literals import Argument, refuse
from phoneproof.core.errors import Unsupported

MAX_CHANNELS = 16384

HEAD_WIDTH = 64
"""Channels of an attention head; queries and keys have half of them (YOLOv10 paper, 3.2)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What a row's reader knows: its arguments, its inputs' channels and strides, the scale."""

    module: str
    arguments: tuple[Argument, ...]
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    repeats: int
    scale: Scale

    def whole(self, place: int, *, default: int | None = None, limit: int = MAX_CHANNELS) -> int:
        """Argument `place` as a positive int."""
        value = self.arguments[place] if place < len(self.arguments) else default
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
            refuse(f"{self.module} argument {place + 1}", value)
        return value

    def flag(self, place: int, *, default: bool) -> bool:
        """Argument `place` as a truth value."""
        value = self.arguments[place] if place < len(self.arguments) else default
        if not isinstance(value, bool):
            refuse(f"{self.module} argument {place + 1}", value)
        return value

    def share(self, place: int, *, default: float) -> float:
        """Argument `place` as a share in 0..1, 0 excluded."""
        value = self.arguments[place] if place < len(self.arguments) else default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            refuse(f"{self.module} argument {place + 1}", value)
        return float(value)

    def at_most(self, count: int) -> None:
        """Refuse arguments past the ones that are rebuilt."""
        if len(self.arguments) > count:
            raise Unsupported(
                f"{self.module} with {len(self.arguments)} arguments is not rebuilt",
                found=", ".join(map(shown, self.arguments)),
            )

    @property
    def c_out(self) -> int:
        """The first argument, scaled."""
        return self.scale.channels(self.whole(0))


def _conv(context: Context) -> ConvLayer:
    context.at_most(4)
    return ConvLayer(
        c_in=context.channels[0],
        c_out=context.c_out,
        kernel=context.whole(1, default=1, limit=15),
        stride=context.whole(2, default=1, limit=8),
        padding=context.whole(3, limit=15) if len(context.arguments) == 4 else None,
    )


def _focus(context: Context) -> FocusLayer:
    context.at_most(2)
    kernel = context.whole(1, default=1, limit=15)
    return FocusLayer(c_in=context.channels[0], c_out=context.c_out, kernel=kernel)


def _scdown(context: Context) -> ScDownLayer:
    context.at_most(3)
    return ScDownLayer(
        c_in=context.channels[0],
        c_out=context.c_out,
        kernel=context.whole(1, limit=15),
        stride=context.whole(2, limit=8),
    )


def _c3(context: Context) -> C3Layer:
    context.at_most(2)
    return C3Layer(
        c_in=context.channels[0],
        c_out=context.c_out,
        repeats=context.repeats,
        shortcut=context.flag(1, default=True),
    )


def _c2f(context: Context) -> C2fLayer:
    context.at_most(2)
    return C2fLayer(
        c_in=context.channels[0],
        c_out=context.c_out,
        repeats=context.repeats,
        shortcut=context.flag(1, default=False),
    )


def _c3k2(context: Context) -> C3k2Layer:
    context.at_most(4)
    hidden = int(context.c_out * context.share(2, default=0.5))
    attention = context.flag(3, default=False)
    if hidden < 2 or (attention and not _fits_heads(hidden)):
        refuse("C3k2's hidden channels", hidden)
    return C3k2Layer(
        c_in=context.channels[0],
        c_out=context.c_out,
        hidden=hidden,
        repeats=context.repeats,
        shortcut=True,
        nested=context.flag(1, default=False) or context.scale.deep,
        attention=attention,
    )


def _c2fcib(context: Context) -> C2fCibLayer:
    context.at_most(3)
    return C2fCibLayer(
        c_in=context.channels[0],
        c_out=context.c_out,
        repeats=context.repeats,
        shortcut=context.flag(1, default=False),
        large=context.flag(2, default=False),
    )


def _psa(context: Context) -> PsaLayer:
    return PsaLayer(channels=_attended(context))


def _c2psa(context: Context) -> C2PsaLayer:
    return C2PsaLayer(channels=_attended(context), repeats=context.repeats)


def _attended(context: Context) -> int:
    context.at_most(1)
    channels = context.channels[0]
    if context.c_out != channels or channels < 2 * HEAD_WIDTH or not _fits_heads(channels // 2):
        refuse(f"{context.module}'s channels", f"{channels} to {context.c_out}")
    return channels


def _fits_heads(hidden: int) -> bool:
    return hidden % max(hidden // HEAD_WIDTH, 1) == 0


def _spp(context: Context) -> SppLayer:
    context.at_most(2)
    kernels = context.arguments[1] if len(context.arguments) > 1 else (5, 9, 13)
    if not isinstance(kernels, tuple) or any(k % 2 == 0 or k > 31 for k in kernels):
        refuse("SPP argument 2", kernels)
    return SppLayer(c_in=context.channels[0], c_out=context.c_out, kernels=kernels)


def _sppf(context: Context) -> SppfLayer:
    context.at_most(4)
    return SppfLayer(
        c_in=context.channels[0],
        c_out=context.c_out,
        kernel=context.whole(1, default=5, limit=15),
        poolings=context.whole(2, default=3, limit=16),
        # Input and output can only be added where they are alike.
        shortcut=context.flag(3, default=False) and context.channels[0] == context.c_out,
        # YOLO26 writes the number of poolings, and its version of the block is linear first.
        linear=len(context.arguments) > 2,
    )


def _upsample(context: Context) -> UpsampleLayer:
    context.at_most(3)
    if context.arguments[:1] != (None,) or context.arguments[2:] not in ((), ("nearest",)):
        raise Unsupported(
            "only nn.Upsample by a factor with mode nearest is rebuilt",
            found=", ".join(map(shown, context.arguments)),
        )
    return UpsampleLayer(factor=context.whole(1, limit=8))


def _concat(context: Context) -> ConcatLayer:
    if context.arguments != (1,):
        refuse("Concat arguments", context.arguments)
    return ConcatLayer()


def _detect(context: Context) -> DetectLayer | AnchorDetectLayer:
    classes = context.whole(0, limit=MAX_CLASSES)
    anchors = context.scale.anchors
    if anchors is not None:
        if context.arguments[1:] != ("anchors",):
            refuse("Detect argument 2", context.arguments[1:])
        return AnchorDetectLayer(
            classes=classes, channels=context.channels, strides=context.strides, anchors=anchors
        )
    context.at_most(1)
    return DetectLayer(
        classes=classes,
        channels=context.channels,
        strides=context.strides,
        bins=context.scale.bins,
        depthwise=context.scale.depthwise,
        end_to_end=context.scale.end_to_end,
    )


def _v10_detect(context: Context) -> DetectLayer:
    context.at_most(1)
    return DetectLayer(
        classes=context.whole(0, limit=MAX_CLASSES),
        channels=context.channels,
        strides=context.strides,
        bins=context.scale.bins,
        depthwise=True,
        end_to_end=True,
    )


def _classify(context: Context) -> ClassifyLayer:
    context.at_most(1)
    return ClassifyLayer(c_in=context.channels[0], classes=context.whole(0, limit=MAX_CLASSES))


READERS: Mapping[str, Callable[[Context], Layer]] = MappingProxyType(
    {
        "Conv": _conv,
        "Focus": _focus,
        "SCDown": _scdown,
        "C3": _c3,
        "C2f": _c2f,
        "C3k2": _c3k2,
        "C2fCIB": _c2fcib,
        "PSA": _psa,
        "C2PSA": _c2psa,
        "SPP": _spp,
        "SPPF": _sppf,
        "nn.Upsample": _upsample,
        "Concat": _concat,
        "Detect": _detect,
        "v10Detect": _v10_detect,
        "Classify": _classify,
    }
)
"""The modules that are rebuilt; another one is a line here and a module in blocks/."""

REPEATED = frozenset({"C3", "C2f", "C3k2", "C2fCIB", "C2PSA"})
MANY_INPUTS = frozenset({"Concat", "Detect", "v10Detect"})
