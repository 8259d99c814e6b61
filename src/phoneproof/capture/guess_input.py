"""How a model wants its pictures: the family's preset, or the likeliest one, with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec

from phoneproof.capture.input_range import Range, fits, input_range, takes_pixels
from phoneproof.capture.ultraface import (
    ULTRAFACE_DECODE,
    ULTRAFACE_MEAN,
    ULTRAFACE_SCALE,
    is_ultraface,
)
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import (
    Channels,
    Decode,
    GrayFormula,
    ImageInput,
    Nms,
    Resize,
    Size,
    Task,
)
from phoneproof.core.errors import Unsupported
from phoneproof.core.presets import preset_decode, preset_input

SMALL_SIDE = 64
"""Up to this side a classifier is no ImageNet network: such ones were trained on whole little
pictures, not on crops."""

DETECT_SIDE, CLASSIFY_SIDE = 640, 224
"""The sides most detectors and classifiers are trained with."""

Certainty = Literal["read", "implied", "assumed"]

_KERAS_FAMILIES = (
    ("resnet", "keras.caffe"),
    ("vgg", "keras.caffe"),
    ("densenet", "keras.torch"),
    ("mobilenet", "keras.tf"),
    ("inception", "keras.tf"),
    ("xception", "keras.tf"),
    ("nasnet", "keras.tf"),
)
"""Part of a network's name -> the preprocess_input of keras.applications."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputGuess:
    """preset: "" where the fields stand for themselves. reason: without its certainty word."""

    preset: str
    image: ImageInput
    decode: Decode | None
    certainty: Certainty
    reason: str


def guess_size(
    inspection: Inspection, *, detect: bool, pictures: Size | None = None
) -> tuple[Size, Certainty, str]:
    """[height, width], how sure that is, and why.

    Args:
        pictures: the size that all pictures of the data set share, where they are small.
    """
    if inspection.size is not None:
        return inspection.size, "read", "the shape of the model's input, or its training settings"
    if pictures is not None and not detect:
        return pictures, "assumed", "the file leaves it open; all your pictures have this size"
    side = DETECT_SIDE if detect else CLASSIFY_SIDE
    return (side, side), "assumed", "the file leaves height and width open; this is the usual size"


def guess_input(
    inspection: Inspection, *, task: Task, classes: int | None, size: Size, preset: str | None
) -> InputGuess:
    """The image input of a model.

    Args:
        classes: width of the scores, null without.
        preset: the user's choice; it wins.

    Raises:
        Unsupported: neither 1 nor 3 channels.
        ConfigError: `preset` is not known.
    """
    if preset:
        return _preset(preset, size, "read", "chosen by you")
    guess = _guess(inspection, task=task, classes=classes, size=size)
    found = input_range(inspection.inputs[0])
    if found is None or (fits(guess.image, found) and not takes_pixels(found)):
        return guess
    return _ranged(guess, found)


def _ranged(guess: InputGuess, values: Range) -> InputGuess:
    """The same geometry, with values from end to end of what the input's integers stand for."""
    lowest, highest = values
    count = guess.image.channel_count
    image = msgspec.structs.replace(
        guess.image,
        scale=(highest - lowest) / 255,
        mean=(-lowest,) * count,
        std=(1.0,) * count,
    )
    reason = (
        f"the integers of the quantised input, 0 to 255 from end to end, stand for {lowest:.4g} "
        f"to {highest:.4g}; the rest: {guess.reason}"
    )
    return InputGuess(
        preset="", image=image, decode=guess.decode, certainty=guess.certainty, reason=reason
    )


def _guess(inspection: Inspection, *, task: Task, classes: int | None, size: Size) -> InputGuess:
    if inspection.channels == 1:
        return _gray(size)
    if inspection.channels != 3:
        raise Unsupported(
            f"an image input of {inspection.channels} channels",
            found=f"input {inspection.inputs[0].name} {list(inspection.inputs[0].shape)}",
            next_step="models of 1 (gray) or 3 (RGB, BGR) channels are handled",
        )
    if inspection.preset:
        reason = "how this family's own predictor feeds the model"
        return _preset(inspection.preset, size, "implied", reason)
    if is_ultraface(inspection):
        return _ultraface(size)
    if task == "classify":
        return _classifier(inspection, classes, size)
    reason = "nothing in the file says how a picture becomes its input; RGB / 255 is common"
    return _stretched(size, 1 / 255, reason)


def _classifier(inspection: Inspection, classes: int | None, size: Size) -> InputGuess:
    name = f"{inspection.evidence.family} {inspection.evidence.framework}".lower()
    is_keras = inspection.format in ("keras_h5", "keras")
    if classes == 1001:
        reason = "1001 classes and an input in [-1, 1] are the habit of TensorFlow-slim"
        return _preset("slim.inception", size, "assumed", reason)
    if max(size) <= SMALL_SIDE:
        scale = 1.0 if is_keras else 1 / 255
        values = "0..255 as they are" if is_keras else "/ 255"
        reason = f"{size[0]} x {size[1]} is small: whole pictures, values {values}; not in the file"
        return _stretched(size, scale, reason)
    if is_keras or inspection.layout == "NHWC":
        for part, preset in _KERAS_FAMILIES:
            if part in name:
                reason = f"the preprocess_input that belongs to {part} in keras.applications"
                return _preset(preset, size, "assumed", reason)
        reason = "channels last as in TensorFlow, where [-1, 1] is the most common input"
        return _preset("keras.tf", size, "assumed", reason)
    if "caffe" in name:
        return _preset("keras.caffe", size, "assumed", "the model came from Caffe")
    reason = "channels first as in PyTorch, where ImageNet's mean and deviation are the habit"
    return _preset("torchvision.imagenet", size, "assumed", reason)


def _preset(name: str, size: Size, certainty: Certainty, reason: str) -> InputGuess:
    return InputGuess(
        preset=name,
        image=preset_input(name, size),
        decode=preset_decode(name),
        certainty=certainty,
        reason=reason,
    )


def _ultraface(size: Size) -> InputGuess:
    return InputGuess(
        preset="",
        image=_stretch(
            size, scale=ULTRAFACE_SCALE, mean=ULTRAFACE_MEAN, filter_name="opencv.linear"
        ),
        decode=ULTRAFACE_DECODE,
        certainty="implied",
        reason="UltraFace's own demo stretches the picture and feeds (RGB - 127) / 128",
    )


def _stretched(size: Size, scale: float, reason: str) -> InputGuess:
    image = _stretch(size, scale=scale, mean=(0.0, 0.0, 0.0), filter_name="pillow.bilinear")
    return InputGuess(
        preset="", image=image, decode=Decode(nms=Nms()), certainty="assumed", reason=reason
    )


def _gray(size: Size) -> InputGuess:
    image = _stretch(size, scale=1 / 255, mean=(0.0,), filter_name="pillow.bilinear", gray="pillow")
    reason = "one channel: gray by Pillow's formula, / 255; nothing in the file says more"
    return InputGuess(
        preset="", image=image, decode=Decode(nms=Nms()), certainty="assumed", reason=reason
    )


def _stretch(
    size: Size,
    *,
    scale: float,
    mean: tuple[float, ...],
    filter_name: Literal["opencv.linear", "pillow.bilinear"],
    gray: GrayFormula | None = None,
) -> ImageInput:
    channels: Channels = "rgb" if gray is None else "gray"
    return ImageInput(
        channels=channels,
        gray=gray,
        geometry=(Resize(to="stretch", size=size, filter=filter_name),),
        size=size,
        scale=scale,
        mean=mean,
        std=(1.0,) * len(mean),
    )
