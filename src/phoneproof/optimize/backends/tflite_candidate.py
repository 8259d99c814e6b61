"""Writing what a library made of a TFLite file: under the names that the file had."""

from __future__ import annotations

from phoneproof.core.binding import Binding
from phoneproof.formats.metadata import Embedded, embedding
from phoneproof.formats.model_file import write_bytes
from phoneproof.formats.tflite import TfliteGraph
from phoneproof.formats.tflite_write import TfliteEdit, edit_tflite
from phoneproof.optimize.base import OptimizeRequest


def write_candidate(
    request: OptimizeRequest, source: TfliteGraph, binding: Binding, data: bytes
) -> None:
    """Write `data` with the names of the source's inputs and outputs, contract and binding inside.

    source: what it was made from. binding: of the candidate, without its hash.

    Raises:
        InvalidInput: as many inputs and outputs as the source has are needed.
    """
    edit = TfliteEdit(
        inputs=tuple(item.tensor for item in binding.inputs),
        outputs=tuple(name for name, _ in source.signature_outputs),
        metadata=embedding(Embedded(contract=request.contract, binding=binding)),
    )
    write_bytes(request.output, edit_tflite(data, edit, request.output.name))
