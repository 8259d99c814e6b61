"""What a Core ML file says to whoever opens it in Xcode: names, sentences, labels, contract."""

from __future__ import annotations

from typing import Final

from phoneproof.convert.base import ConvertRequest
from phoneproof.core.binding import Binding, OutputBinding
from phoneproof.core.contract import Contract, ImageInput, Pad, Resize
from phoneproof.formats.coreml.messages import Message
from phoneproof.formats.metadata import Embedded, embedding

CLASSES: Final = "classes"
"""Where apps for detectors look for labels: one text, separated by commas."""

_MADE_BY_THE_CONVERTER: Final = "com.github.apple.coremltools."
"""Its version, torch's, and the day: the report has the former, and the day is not the model's."""
_TASKS: Final = {"classify": "image classifier", "detect": "object detector", "raw": "network"}
_FITS: Final = {
    "contain": "fitted into the picture's size and padded",
    "cover": "made to cover the picture's size and cut",
    "stretch": "stretched",
}


def describe(spec: Message, request: ConvertRequest, binding: Binding) -> None:
    """Write description and metadata of a model's specification, in place."""
    contract, about = request.contract, spec.description.metadata
    for key in list(about.userDefined):
        if key.startswith(_MADE_BY_THE_CONVERTER):
            del about.userDefined[key]
    about.shortDescription = f"{contract.name}: {_TASKS[contract.task]}. {_sentence(binding)}"
    about.versionString = contract.version
    about.license = request.licence
    if contract.labels:
        about.userDefined[CLASSES] = classes(contract)
    for key, document in embedding(Embedded(contract=contract, binding=binding)).items():
        about.userDefined[key] = document.decode()
    for feature in spec.description.input:
        feature.shortDescription = _input(contract.image, binding)
    for feature in spec.description.output:
        roles = [one for one in binding.outputs if one.tensor == feature.name]
        feature.shortDescription = "; ".join(map(_output, roles))


def classes(contract: Contract) -> str:
    """Labels in index order, separated by commas; a comma in a label is written as a semicolon,
    and what has no label is empty. The contract in the metadata holds them as they are.
    """
    return ",".join((label or "").replace(",", ";") for label in contract.labels)


def _sentence(binding: Binding) -> str:
    return (
        "Scale, mean and std are inside."
        if binding.image.normalise_in_file
        else "The input is a tensor of normalised values."
    )


def _input(spec: ImageInput, binding: Binding) -> str:
    height, width = spec.size
    kind = {"rgb": "RGB", "bgr": "BGR", "gray": "gray"}[spec.channels]
    resize = next((op for op in spec.geometry if isinstance(op, Resize)), None)
    how = f", {_FITS[resize.to]}" if resize is not None else ""
    pads = [op.value for op in spec.geometry if isinstance(op, Pad)]
    colour = f" with {', '.join(map(str, pads[0]))}" if pads and how.endswith("padded") else ""
    values = (
        "" if binding.image.normalise_in_file else "; values as the contract's table gives them"
    )
    return f"{kind} picture of {width} x {height} pixels{how}{colour}{values}"


def _output(role: OutputBinding) -> str:
    axes = " x ".join(role.axes)
    after = "" if role.activation == "none" else f", {role.activation} to be applied"
    box = f", {role.box.format} in {role.box.units}" if role.box is not None else ""
    part = f" [{role.slice[0]}:{role.slice[1]}]" if role.slice is not None else ""
    return f"{role.role}{part}" + (f" ({axes}{box}{after})" if axes else f"{box}{after}")
