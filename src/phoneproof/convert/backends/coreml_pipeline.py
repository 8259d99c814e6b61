"""An accepted Core ML detector -> a pipeline that suppresses by itself, for Vision.

Three models in a row: the program as it was accepted, unchanged; a small float32 program that
brings its boxes into Vision's form; Core ML's non-maximum suppression.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import torch

from phoneproof.convert.backends.vision_boxes import VisionBoxes
from phoneproof.convert.nms_pipeline import require_pipeline
from phoneproof.core.artifact import WrittenModel
from phoneproof.core.binding import Binding, Box, OutputBinding
from phoneproof.core.contract import Contract, Decode
from phoneproof.core.errors import ConversionFailed, InvalidInput, Unsupported
from phoneproof.decode.decode import app_policy
from phoneproof.formats.coreml.file import CoreMlFile, read_coreml
from phoneproof.formats.coreml.messages import Message, model_messages
from phoneproof.formats.coreml.nms import (
    CONFIDENCE,
    COORDINATES,
    IOU,
    RAW_CONFIDENCE,
    RAW_COORDINATES,
    THRESHOLD,
    Suppression,
    add_results,
    add_thresholds,
    suppression_model,
)
from phoneproof.formats.coreml.package import WEIGHTS, write_package
from phoneproof.formats.coreml.program import BlobReference
from phoneproof.formats.coreml.program_read import program_of
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.quiet import quiet, without_cycle_collection
from phoneproof.runtimes.backends.coremltools_quiet import import_coremltools

_TARGETS: Final = {6: "iOS15", 7: "iOS16", 8: "iOS17", 9: "iOS18"}
"""Version of the specification -> coremltools' name of the oldest system that reads it."""
_MADE_BY_THE_CONVERTER: Final = "com.github.apple.coremltools."
_NAMES: Final = (CONFIDENCE, COORDINATES, RAW_CONFIDENCE, RAW_COORDINATES, IOU, THRESHOLD)


@dataclass(frozen=True, kw_only=True)
class PipelineRequest:
    """source: the accepted ``.mlpackage``. binding: its own. output: the package to write."""

    source: Path
    contract: Contract
    binding: Binding
    output: Path


def write_pipeline(request: PipelineRequest) -> WrittenModel:
    """Write the pipeline, with its own binding and the contract in the metadata.

    Raises:
        Unsupported: a detector that leaves other work to the app than suppression.
        InvalidInput: the package is damaged, or the binding that of another one.
        ConversionFailed: coremltools wrote other tensors than asked for.
    """
    require_pipeline(request.contract, request.binding)
    file = read_coreml(request.source)
    if file.kind != "mlProgram":
        raise Unsupported(f"a pipeline of {file.name}", found=f"a model of kind {file.kind}")
    _require_free_names(file)
    what = _suppression(request.contract, app_policy(request.contract, request.binding))
    binding = _binding(request.binding, len(what.labels))
    boxes = _boxes_model(request.binding, int(file.spec.specificationVersion))
    spec = _pipeline(file.spec, boxes, what)
    _describe(spec, request.contract, binding)
    write_package(request.output, spec, _weights(file))
    return WrittenModel(
        binding=binding,
        options=(("nms", f"iou {what.iou:g}, confidence {what.confidence:g}"),),
        tools=(("coremltools", version("coremltools")), ("torch", version("torch"))),
    )


def _suppression(contract: Contract, decode: Decode) -> Suppression:
    assert decode.nms is not None, "required above"
    return Suppression(
        iou=decode.nms.iou,
        confidence=decode.confidence,
        per_class=not decode.nms.class_agnostic,
        labels=tuple(label or "" for label in contract.labels),
    )


def _binding(binding: Binding, classes: int) -> Binding:
    """Of the pipeline: as many rows as there are detections."""
    return msgspec.structs.replace(
        binding,
        artifact=None,
        nms_in_file=True,
        outputs=(
            OutputBinding(
                tensor=COORDINATES,
                role="boxes",
                shape=(-1, 4),
                axes=("anchor", "coord"),
                box=Box(format="cxcywh", units="fraction"),
            ),
            OutputBinding(
                tensor=CONFIDENCE, role="scores", shape=(-1, classes), axes=("anchor", "class")
            ),
        ),
    )


def _boxes_model(binding: Binding, specification: int) -> Message:
    """The program between network and suppression."""
    bound = {output.tensor: output for output in binding.outputs}
    shapes = [(name, bound[name].shape) for name in binding.tensors]
    examples = tuple(torch.zeros(shape) for _, shape in shapes)
    with quiet(), without_cycle_collection():
        tools = import_coremltools()
        try:
            with torch.no_grad():
                module = torch.export.export(VisionBoxes(binding).eval(), examples)
            made: Any = tools.convert(
                module.run_decompositions({}),
                inputs=[tools.TensorType(name=name, shape=shape) for name, shape in shapes],
                outputs=[tools.TensorType(name=n) for n in (RAW_CONFIDENCE, RAW_COORDINATES)],
                minimum_deployment_target=getattr(
                    tools.target, _TARGETS.get(specification, "iOS18")
                ),
                compute_precision=tools.precision.FLOAT32,
                skip_model_load=True,
            )
        except Exception as error:  # coremltools raises whatever its passes met
            raise ConversionFailed(
                "the boxes could not be brought into Vision's form", found=str(error)
            ) from error
    spec = made.get_spec()
    _require_no_weights(spec)
    about = spec.description.metadata.userDefined
    for key in [key for key in about if key.startswith(_MADE_BY_THE_CONVERTER)]:
        del about[key]
    return spec


def _require_no_weights(spec: Message) -> None:
    """Its few numbers lie in the program: the package's file of weights is the network's alone."""
    program = program_of(CoreMlFile(path=Path("boxes"), model=Path("boxes"), spec=spec))
    for operation in program.operations:
        if any(isinstance(one, BlobReference) for one in operation.attributes.values()):
            raise ConversionFailed(
                "coremltools put a number of the boxes' program into a file of weights",
                found=operation.name,
            )


def _pipeline(network: Message, boxes: Message, what: Suppression) -> Message:
    specification = max(int(one.specificationVersion) for one in (network, boxes))
    rows = int(boxes.description.output[0].type.multiArrayType.shape[0])
    model = model_messages().Model()
    model.specificationVersion = specification
    described = model.description
    for feature in network.description.input:
        described.input.add().CopyFrom(feature)
    add_thresholds(described, what)
    add_results(described, len(what.labels))
    described.metadata.CopyFrom(network.description.metadata)
    for name, part in (
        ("network", network),
        ("boxes", boxes),
        ("nms", suppression_model(what, rows, specification)),
    ):
        model.pipeline.names.append(name)
        model.pipeline.models.add().CopyFrom(part)
    return model


def _describe(spec: Message, contract: Contract, binding: Binding) -> None:
    about = spec.description.metadata
    about.shortDescription += " Suppression is inside: made for Vision's VNCoreMLRequest."
    for key, document in embedding(Embedded(contract=contract, binding=binding)).items():
        about.userDefined[key] = document.decode()


def _require_free_names(file: CoreMlFile) -> None:
    """The features of all models of a pipeline share one space of names."""
    described = file.spec.description
    names = {str(feature.name) for feature in (*described.input, *described.output)}
    if taken := sorted(names.intersection(_NAMES)):
        raise Unsupported(
            "a pipeline of a network whose tensors have the names of Vision's",
            found=", ".join(taken),
            next_step="rename the outputs of the source",
        )


def _weights(file: CoreMlFile) -> bytes | None:
    """Of the network; the pipeline's program names them as before.

    Raises:
        InvalidInput: the package keeps its numbers in other files than those this build writes.
    """
    program = program_of(file)
    named = {
        value.file
        for operation in program.operations
        for value in operation.attributes.values()
        if isinstance(value, BlobReference)
    }
    if not named:
        return None
    (first, *others) = sorted(named)
    if others or not first.endswith(WEIGHTS.removeprefix("com.apple.CoreML/")):
        raise InvalidInput(f"{file.name} has unknown files of weights", found=", ".join(named))
    return file.beside(first).read_bytes()
