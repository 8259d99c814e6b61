"""Hub -> Core ML (mlprogram, float32) with coremltools."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from phoneproof.convert.artifact import artifact_binding, require_numbers, require_tensors
from phoneproof.convert.backends.coreml_description import describe
from phoneproof.convert.backends.coreml_names import renamed_hub, renamed_outputs
from phoneproof.convert.backends.coreml_ops import mapped_error, without_unknown_ops
from phoneproof.convert.backends.coreml_prelu import prelu_on_images
from phoneproof.convert.backends.hub_module import HubModule, load_module
from phoneproof.convert.backends.pixel_scaling import bake
from phoneproof.convert.backends.pool_padding import pads_into_pools
from phoneproof.convert.base import ConvertRequest
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, DType, Format
from phoneproof.core.contract import Channels
from phoneproof.core.errors import ConversionFailed, Unsupported
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.coreml.description import (
    ArrayFeature,
    Feature,
    ImageFeature,
    description_of,
)
from phoneproof.formats.coreml.file import CoreMlFile
from phoneproof.formats.coreml.package import write_package
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.pixels.baked import Scaling, scaling_of, why_no_image
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools

_TOOL: Final = "coremltools"
_COLOURS: Final = {"rgb": "RGB", "bgr": "BGR", "gray": "GRAYSCALE"}
_INTEGERS: Final[dict[DType, DType]] = {"int64": "int32", "int16": "int32", "uint8": "int32"}
"""What a Core ML file writes instead: its outputs have no other integers."""


class CoreMlConverter:
    """coremltools.convert through torch.export, then names, metadata and a stable package."""

    source: Format = "hub"
    format: Format = "coreml"

    def convert(self, request: ConvertRequest) -> WrittenModel:
        """Write one ``.mlpackage`` with contract and binding in its metadata.

        Raises:
            Unsupported: an operator that coremltools does not convert, named with its place; an
                image input in another layout than NCHW.
            ConversionFailed: the library broke, or wrote another shape or dtype than asked for.
        """
        named = load_module(request)
        require_numbers(_weight_sums(named), _TOOL)
        hub = renamed_hub(named)
        binding = renamed_outputs(request.binding, named, hub)
        request = msgspec.structs.replace(request, binding=binding)
        asked = _asked(request, hub)
        pads_into_pools(hub.module)
        prelu_on_images(hub.module)
        made = _converted(hub, request, asked)
        binding = _written(made, request, hub, asked)
        return WrittenModel(
            binding=binding,
            options=_options(request, asked),
            tools=((_TOOL, version(_TOOL)), ("torch", version("torch"))),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """The input as it will be. why: a tensor was not wanted but had to be. scaling: baked in."""

    image: bool
    why: str = ""
    scaling: Scaling | None = None


def _asked(request: ConvertRequest, hub: HubModule) -> _Asked:
    """An image where it is wanted and possible, its scaling then in front of the network."""
    spec = request.contract.image
    if request.apple.input != "image":
        return _Asked(image=False)
    if why := why_no_image(spec):
        return _Asked(image=False, why=why)
    if request.layout != "NCHW":
        raise Unsupported(
            f"a Core ML image input in layout {request.layout}",
            next_step='leave the layout out, or set input = "tensor"',
        )
    scaling = scaling_of(spec)
    bake(hub.module, scaling)
    return _Asked(image=True, scaling=scaling)


def _converted(hub: HubModule, request: ConvertRequest, asked: _Asked) -> Any:
    """The MLModel that coremltools makes; it runs nowhere but on macOS."""
    with quiet(), without_cycle_collection():
        tools = import_coremltools()
        image = hub.inputs[0]
        layout = getattr(tools.colorlayout, _COLOURS[request.contract.image.channels])
        given = (
            tools.ImageType(name=image.name, shape=image.shape, color_layout=layout)
            if asked.image
            else tools.TensorType(name=image.name, shape=image.shape)
        )
        try:
            with torch.no_grad():
                program = without_unknown_ops(torch.export.export(hub.module, (hub.example,)))
            return tools.convert(
                program,
                inputs=[given],
                outputs=[tools.TensorType(name=spec.name) for spec in hub.outputs],
                minimum_deployment_target=getattr(tools.target, f"iOS{request.apple.minimum_ios}"),
                compute_precision=tools.precision.FLOAT32,
                skip_model_load=True,
            )
        except Exception as error:  # coremltools raises whatever its passes met
            raise mapped_error(error) from error


def _written(made: Any, request: ConvertRequest, hub: HubModule, asked: _Asked) -> Binding:
    """Check what was made, describe it, and write the package."""
    spec = made.get_spec()
    wanted = tuple(map(_narrowed, hub.inputs + hub.outputs))
    described = description_of(CoreMlFile(path=request.output, model=request.output, spec=spec))
    _require_colour(described.inputs, request.contract.image.channels)
    found = tuple(_tensor(feature) for feature in (*described.inputs, *described.outputs))
    require_tensors(wanted, found, _TOOL)
    image = msgspec.structs.replace(request.binding.image, normalise_in_file=asked.image)
    as_file = msgspec.structs.replace(
        request, binding=msgspec.structs.replace(request.binding, inputs=(image,))
    )
    binding = artifact_binding(as_file, "coreml", "float32", (found[0],), found[1:])
    describe(spec, request, binding)
    write_package(request.output, spec, _weights(made))
    return binding


def _weights(made: Any) -> bytes | None:
    """The blob file beside the specification; a model of few numbers has none."""
    if not made.weights_dir:
        return None
    file = Path(made.weights_dir, "weight.bin")
    return file.read_bytes() if file.is_file() else None


def _require_colour(features: tuple[Feature, ...], channels: Channels) -> None:
    """The system hands pixels over in the order that the file declares."""
    colours = [feature.colour for feature in features if isinstance(feature, ImageFeature)]
    if any(colour != _COLOURS[channels] for colour in colours):
        raise ConversionFailed(
            f"{_TOOL} wrote an image input of another order of channels",
            found=f"{', '.join(colours)} where the contract has {channels}",
        )


def _tensor(feature: Feature) -> TensorSpec:
    """An input or output as the file describes it; an image as the program gets it."""
    if isinstance(feature, ImageFeature):
        return TensorSpec(name=feature.name, shape=feature.shape, dtype="float32")
    if isinstance(feature, ArrayFeature) and feature.dtype != "float64":
        return TensorSpec(name=feature.name, shape=feature.shape, dtype=feature.dtype)
    raise ConversionFailed(f"{_TOOL} wrote {feature.name!r} as no tensor", found=str(feature))


def _narrowed(spec: TensorSpec) -> TensorSpec:
    return msgspec.structs.replace(spec, dtype=_INTEGERS.get(spec.dtype, spec.dtype))


def _weight_sums(hub: HubModule) -> dict[str, float]:
    tensors = {**dict(hub.module.named_parameters()), **dict(hub.module.named_buffers())}
    return {
        name: float(value.double().sum())
        for name, value in tensors.items()
        if value.is_floating_point()
    }


def _options(request: ConvertRequest, asked: _Asked) -> tuple[tuple[str, str], ...]:
    """What was chosen, sorted by name."""
    options: dict[str, object] = {
        "input": "image" if asked.image else "tensor",
        "layout": request.layout,
        "minimum_ios": request.apple.minimum_ios,
    }
    if asked.why:
        options["input_because"] = asked.why
    if asked.scaling is not None:
        options["scaling_max_abs"] = asked.scaling.max_abs
        options["scaling_ulp"] = asked.scaling.ulp
    return tuple((name, str(value)) for name, value in sorted(options.items()))
