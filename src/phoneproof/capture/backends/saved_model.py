"""TensorFlow SavedModel folders as sources: judged as data, run and converted by TensorFlow."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from phoneproof.capture.backends.saved_model_files import (
    labels_in_assets,
    refuse_foreign_assets,
)
from phoneproof.capture.backends.saved_model_leaves import output_facts
from phoneproof.capture.backends.tensorflow_image import ImageTensor, image_tensor
from phoneproof.capture.backends.tensorflow_to_hub import (
    Forward,
    OpensTensorFlow,
    TensorFlowModel,
)
from phoneproof.capture.fixed_session import static_shape
from phoneproof.capture.heads import ModelFacts, recognise_head
from phoneproof.capture.infer import classes_of
from phoneproof.core.artifact import tree_bytes, tree_sha256
from phoneproof.core.capture import Evidence, Finding, Inspection
from phoneproof.core.errors import ConversionFailed, InvalidInput, Unsupported, first_line
from phoneproof.core.tensors import TensorSpec
from phoneproof.formats.saved_model import refuse_ways_out
from phoneproof.formats.tensorflow_graph import Program, program_of, shape_of
from phoneproof.formats.tensorflow_judge import refuse_meta_graph
from phoneproof.runtimes.backends.tensorflow_messages import read_saved_model
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

if TYPE_CHECKING:
    from tensorflow import Tensor as TfTensor
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef, SignatureDef

_SERVING = "serving_default"
_INTERNAL = ("__saved_model_init_op", "__saved_model_train_op")
_TAG = "serve"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Signature:
    """The judged model, and the signature that is taken.

    argument: the input's name in the signature. outputs: name -> (node, specification), sorted.
    """

    key: str
    others: tuple[str, ...]
    argument: str
    image: ImageTensor
    outputs: Mapping[str, tuple[str, TensorSpec]]
    program: Program
    version: str


class SavedModelSource(OpensTensorFlow):
    """SavedModel folders with one float32 image input that compute and do nothing else."""

    def recognises(self, path: Path) -> bool:
        """A folder with ``saved_model.pb``."""
        return path.is_dir() and (path / "saved_model.pb").is_file()

    def inspect(self, path: Path) -> Inspection:
        """Parse and judge the graph; TensorFlow's messages are used, no graph is loaded.

        Raises:
            InvalidInput: damaged, leading out of its folder, or with operations that read or
                write files or run Python.
            Unsupported: unknown operations, several signatures or inputs, no image input.
        """
        taken = _read(path)
        facts = tuple(output_facts(taken.program, *output) for output in taken.outputs.values())
        guess = recognise_head(ModelFacts(outputs=facts, size=taken.image.size))
        labels, asset = labels_in_assets(path, classes_of(guess.head))
        inspection = Inspection(
            format="saved_model",
            sha256=tree_sha256(path),
            bytes=tree_bytes(path),
            inputs=(taken.image.spec,),
            outputs=tuple(fact.spec for fact in facts),
            layout=taken.image.layout,
            channels=taken.image.channels,
            size=taken.image.size,
            task=guess.task,
            head=guess.head,
            preset=guess.preset,
            labels=labels,
            evidence=_evidence(taken),
            findings=(taken.image.finding(), *guess.findings, *_findings(taken)),
            hazards=taken.image.hazards(),
        )
        if not labels:
            return inspection
        finding = Finding(
            key="contract.labels",
            value=f"{len(labels)} names",
            reason=f"asset {asset!r} has one line for each class",
        )
        return msgspec.structs.replace(inspection, findings=(*inspection.findings, finding))

    def model(self, path: Path, size: tuple[int, int], batch: int) -> TensorFlowModel:
        """The judged file, its input fixed; nothing is loaded yet."""
        taken = _read(path)
        name = path.absolute().name
        return TensorFlowModel(
            file=name,
            image=taken.image.spec.name,
            shape=static_shape(taken.image.spec.shape, taken.image.shape(size, batch), name=name),
            names=tuple(taken.outputs),
            load=lambda: _load(path, taken),
        )


def _load(path: Path, taken: _Signature) -> Forward:
    """The signature as a function; the model was judged before (`_read`)."""
    tensorflow, _ = import_tensorflow()
    try:
        with warnings.catch_warnings(), silent_stderr():
            warnings.simplefilter("ignore")
            loaded = tensorflow.saved_model.load(str(path))
            function: Callable[..., dict[str, TfTensor]] = loaded.signatures[taken.key]
    except Exception as error:  # TensorFlow raises what its kernels raise
        raise ConversionFailed(
            f"TensorFlow cannot load {path.absolute().name}",
            found=f"{type(error).__name__}: {first_line(error)}",
            next_step="save it again with the TensorFlow version it was trained with",
        ) from error

    def run(image: TfTensor) -> list[TfTensor]:
        results = function(**{taken.argument: image})
        return [results[name] for name in taken.outputs]

    run.__dict__["owner"] = loaded  # its variables live as long as the function
    return run


def _read(path: Path) -> _Signature:
    """Parse, judge, choose the signature."""
    name = path.absolute().name
    refuse_ways_out(path)
    message = read_saved_model(path)
    if not message.meta_graphs:
        raise InvalidInput(f"{name} is not a SavedModel", found="no graph in it")
    for graph in message.meta_graphs:
        refuse_foreign_assets(path, [asset.filename for asset in graph.asset_file_def])
        refuse_meta_graph(name, graph)
    serving = [g for g in message.meta_graphs if _TAG in g.meta_info_def.tags]
    if len(serving) != 1:
        tags = "; ".join(" ".join(g.meta_info_def.tags) for g in message.meta_graphs)
        raise Unsupported(
            f"{name} does not hold exactly one graph for serving",
            found=f"tags: {tags}",
            next_step="save the model again with tf.saved_model.save",
        )
    return _signature(name, serving[0])


def _signature(name: str, graph: MetaGraphDef) -> _Signature:
    signatures = {k: s for k, s in graph.signature_def.items() if k not in _INTERNAL}
    if _SERVING not in signatures and len(signatures) != 1:
        raise Unsupported(
            f"{name} does not say which of its signatures is the model",
            found=", ".join(sorted(signatures)) or "no signature",
            next_step=f"save it with one signature, or name one {_SERVING!r}: "
            "tf.saved_model.save(model, folder, signatures={'serving_default': function})",
        )
    key = _SERVING if _SERVING in signatures else next(iter(signatures))
    chosen = signatures[key]
    if len(chosen.inputs) != 1:
        raise Unsupported(
            f"signature {key!r} of {name} does not have exactly one input",
            found=", ".join(sorted(chosen.inputs)) or "no input",
            next_step="save a signature that takes one image",
        )
    argument, info = next(iter(chosen.inputs.items()))
    image = image_tensor(name, argument, shape_of(info.tensor_shape), _dtype(info.dtype))
    return _Signature(
        key=key,
        others=tuple(sorted(set(signatures) - {key})),
        argument=argument,
        image=image,
        outputs=_outputs(name, key, chosen),
        program=program_of(graph.graph_def),
        version=graph.meta_info_def.tensorflow_version,
    )


def _outputs(name: str, key: str, chosen: SignatureDef) -> dict[str, tuple[str, TensorSpec]]:
    found: dict[str, tuple[str, TensorSpec]] = {}
    for output, info in sorted(chosen.outputs.items()):
        shape, dtype = shape_of(info.tensor_shape), _dtype(info.dtype)
        if dtype != "float32" or shape is None or not shape:
            raise Unsupported(
                f"signature {key!r} of {name} has an output that is no float32 tensor",
                found=f"{output!r}: {dtype} "
                f"{list(shape) if shape is not None else 'of an open rank'}",
                next_step="save a signature that returns the float outputs alone",
            )
        found[output] = (info.name, TensorSpec(name=output, shape=shape, dtype="float32"))
    if not found:
        raise Unsupported(f"signature {key!r} of {name} has no output")
    return found


def _findings(taken: _Signature) -> tuple[Finding, ...]:
    reason = "the only signature"
    if taken.others:
        reason = f"the default; there are also {', '.join(taken.others)}"
    return (
        Finding(key="source.signature", value=taken.key, reason=reason),
        Finding(
            key="contract.preset",
            value="",
            reason="a SavedModel does not say how pictures become the input",
        ),
    )


def _evidence(taken: _Signature) -> Evidence:
    version = (("tensorflow_version", taken.version),) if taken.version else ()
    return Evidence(framework="tensorflow", training=version)


def _dtype(number: int) -> str:
    tensorflow, _ = import_tensorflow()
    try:
        return str(tensorflow.dtypes.as_dtype(number).name)
    except TypeError:
        return f"of unknown type {number}"
