"""What a Keras description says of the model; neither Keras nor TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path

from phoneproof.capture.backends.keras_config import KerasConfig, nested
from phoneproof.capture.backends.keras_shape import input_shape, output_facts
from phoneproof.capture.backends.tensorflow_image import ImageTensor, image_tensor
from phoneproof.capture.heads import ModelFacts, recognise_head
from phoneproof.core.artifact import file_sha256
from phoneproof.core.binding import Layout
from phoneproof.core.capture import Evidence, Finding, Inspection, SourceFormat
from phoneproof.core.errors import Unsupported


def inspect_keras(path: Path, source_format: SourceFormat, config: KerasConfig) -> Inspection:
    """Everything the judged description says.

    Raises:
        Unsupported: no single image input.
    """
    image = image_of(path, config)
    facts = tuple(output_facts(config, name) for name in config.outputs)
    guess = recognise_head(ModelFacts(outputs=facts, size=image.size))
    return Inspection(
        format=source_format,
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        inputs=(image.spec,),
        outputs=tuple(fact.spec for fact in facts),
        layout=image.layout,
        channels=image.channels,
        size=image.size,
        task=guess.task,
        head=guess.head,
        preset=guess.preset,
        evidence=_evidence(config),
        findings=(
            image.finding(),
            *guess.findings,
            *_preprocessing(config),
            Finding(
                key="contract.preset",
                value="",
                reason="a Keras file does not say how pictures become the input",
            ),
        ),
        hazards=image.hazards(),
    )


def image_of(path: Path, config: KerasConfig) -> ImageTensor:
    """The one image input.

    Raises:
        Unsupported: several inputs, or one that is no image.
    """
    if len(config.inputs) != 1:
        raise Unsupported(
            f"{path.name} does not have exactly one input",
            found=", ".join(config.inputs) or "no input",
            next_step="save the part of the model that takes one image",
        )
    shape = input_shape(config)
    if not shape:
        raise Unsupported(
            f"{path.name} does not say what its input is",
            found="a model saved before its input shape was known",
            next_step="save the model with an input of [height, width, channels]",
        )
    dtype = config.layers[config.inputs[0]].config.get("dtype")
    known = dtype if isinstance(dtype, str) else "float32"
    return image_tensor(path.name, config.inputs[0], shape, known, layout=_layout(config))


def _layout(config: KerasConfig) -> Layout | None:
    for layer in _all_layers(config):
        if layer.get("data_format") in ("channels_first", "channels_last"):
            return "NCHW" if layer["data_format"] == "channels_first" else "NHWC"
    return None


def _all_layers(config: KerasConfig) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for layer in config.layers.values():
        inner = nested(layer)
        found.extend(_all_layers(inner) if inner is not None else [{**layer.config}])
    return found


def _preprocessing(config: KerasConfig) -> tuple[Finding, ...]:
    """Layers that already normalise: the app must then feed plain pixels."""
    found: list[Finding] = []
    for layer in config.layers.values():
        inner = nested(layer)
        if inner is not None:
            found.extend(_preprocessing(inner))
        elif layer.kind == "Rescaling":
            scale, offset = layer.config.get("scale"), layer.config.get("offset", 0)
            found.append(
                Finding(
                    key="input.normalised_inside",
                    value=f"x * {scale} + {offset}",
                    reason=f"layer {layer.name!r} rescales: feed 0..255 unless it follows others",
                )
            )
        elif layer.kind == "Normalization":
            found.append(
                Finding(
                    key="input.normalised_inside",
                    value="mean and variance",
                    reason=f"layer {layer.name!r} normalises with statistics in the file",
                )
            )
    return tuple(found)


def _evidence(config: KerasConfig) -> Evidence:
    version = (("keras_version", config.version),) if config.version else ()
    return Evidence(framework="keras", family=config.name, training=version)
