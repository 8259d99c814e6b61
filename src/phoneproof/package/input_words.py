"""The contract's input in words: what an app has to do with a picture, step by step."""

from __future__ import annotations

from phoneproof.core.contract import Contract, Crop, GeometryOp, ImageInput, Pad, Resize
from phoneproof.core.report import ArtifactReport
from phoneproof.package.wording import joined, number

_GIVEN_ORDER = {"rgb": "red, green, blue", "bgr": "blue, green, red", "gray": "one gray channel"}


def input_words(contract: Contract) -> tuple[str, ...]:
    """One sentence for each step from the stored picture to the tensor's values."""
    image = contract.image
    words = [
        "Turn the picture upright as its EXIF orientation says."
        if image.orientation == "exif"
        else "Leave the picture as it is stored; its EXIF orientation is ignored.",
        "Convert its colours to sRGB where it carries a colour profile."
        if image.color_profile == "srgb"
        else "Take the colour values as stored; a colour profile is ignored.",
    ]
    if image.alpha != "drop":
        words.append(f"Put transparent pictures on the colour {list(image.alpha)}.")
    words.append(f"Channel order: {_GIVEN_ORDER[image.channels]}.")
    if image.gray is not None:
        words.append(f"Make gray with the formula of {image.gray}, before anything else.")
    words += [_operation(op) for op in image.geometry]
    height, width = image.size
    words.append(f"The result is {width} wide and {height} high.")
    words.append(f"Each value v becomes {_value_words(image)}.")
    return tuple(words)


def _value_words(image: ImageInput) -> str:
    scaled = f"v × {image.scale!r}"  # noqa: RUF001
    if image.scale == 1.0:
        scaled = "v"
    elif image.scale < 1 and 1 / round(1 / image.scale) == image.scale:
        scaled = f"v / {round(1 / image.scale)}"
    if not any(image.mean) and all(value == 1.0 for value in image.std):
        return scaled
    return f"({scaled} - mean) / std with mean {_numbers(image.mean)} and std {_numbers(image.std)}"


def results_words(contract: Contract) -> str:
    """What the app shows of the outputs."""
    if contract.task == "raw":
        return "Raw outputs: what they mean is not part of the contract."
    named = sum(label is not None for label in contract.labels)
    if contract.task == "classify" or contract.decode is None:
        return f"A probability for each of {named} labels."
    decode = contract.decode
    text = f"Boxes of {named} labels with a score above {number(decode.confidence)}"
    if decode.nms is None:
        return f"{text}; the model's boxes are final."
    across = "all classes together" if decode.nms.class_agnostic else "each class by itself"
    return (
        f"{text}; overlapping boxes are merged above an IoU of {number(decode.nms.iou)}, "
        f"{across}, at most {decode.nms.max_detections} are kept."
    )


def own_threshold_words(artifact: ArtifactReport, contract: Contract) -> str:
    """That a file shows at another score what the original shows; "" where it does not."""
    if artifact.confidence is None or contract.decode is None:
        return ""
    own, usual = number(artifact.confidence), number(contract.decode.confidence)
    return (
        f"{artifact.id} shows from a score of {own} on what the original shows from {usual} on: "
        "its binding's decode_override takes the place of the contract's decode."
    )


def _operation(op: GeometryOp) -> str:
    if isinstance(op, Crop):
        return _crop(op)
    height, width = op.size
    if isinstance(op, Pad):
        place = "evenly on all sides" if op.anchor == "center" else "at the right and the bottom"
        return f"Pad {place} to {width} × {height} with {list(op.value)}."  # noqa: RUF001
    return _resize(op)


def _crop(op: Crop) -> str:
    where = "from the centre" if op.anchor == "center" else "from the top left"
    if op.size is not None:
        return f"Cut {op.size[1]} × {op.size[0]} pixels {where}."  # noqa: RUF001
    if op.fraction is not None:
        return f"Keep {number(op.fraction)} of each side, cut {where}."
    return f"Cut the largest rectangle of width / height {number(op.aspect)} {where}."


def _resize(op: Resize) -> str:
    height, width = op.size
    how = {
        "contain": f"to fit inside {width} × {height}, keeping its shape",  # noqa: RUF001
        "cover": f"to cover {width} × {height}, keeping its shape",  # noqa: RUF001
        "stretch": f"to {width} × {height}, without keeping its shape",  # noqa: RUF001
    }[op.to]
    only = "" if op.upscale else "; smaller pictures are left alone"
    return f"Resize {how}, with the filter {op.filter} (sides {op.round}){only}."


def _numbers(values: tuple[float, ...]) -> str:
    return joined([repr(value) for value in values])
