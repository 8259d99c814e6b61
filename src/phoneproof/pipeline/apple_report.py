"""What the report says of how an app feeds a Core ML file, whichever step wrote it."""

from __future__ import annotations

from phoneproof.core.artifact import Artifact
from phoneproof.core.contract import Contract

Options = tuple[tuple[str, str], ...]


def with_feeding(artifact: Artifact, contract: Contract) -> Options:
    """The options of an artifact's step, and for Core ML the kind of input and how near what is
    baked in comes to the contract's table: files made from the float32 one take the same.
    """
    options = dict(artifact.lineage.options)
    if artifact.format == "coreml":
        options |= _feeding(artifact, contract)
    return tuple(sorted(options.items()))


def _feeding(artifact: Artifact, contract: Contract) -> dict[str, str]:
    from phoneproof.pixels.baked import scaling_of, why_no_image

    if not artifact.binding.image.normalise_in_file:
        why = why_no_image(contract.image)
        return {"input": "tensor"} | ({"input_because": why} if why else {})
    scaling = scaling_of(contract.image)
    return {
        "input": "image",
        "scaling_max_abs": str(scaling.max_abs),
        "scaling_ulp": str(scaling.ulp),
    }
