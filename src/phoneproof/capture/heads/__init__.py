"""What the outputs of a graph mean, from their shapes and the operators that make them.

One file a family. What sources and inference use is named here.
"""

from __future__ import annotations

from phoneproof.capture.heads.facts import HeadGuess, Leaf, ModelFacts, OutputFacts, Step
from phoneproof.capture.heads.recognise import (
    recognise_head,
    suppressing,
    unfit_for,
    unlike_ranges,
)

__all__ = [
    "HeadGuess",
    "Leaf",
    "ModelFacts",
    "OutputFacts",
    "Step",
    "recognise_head",
    "suppressing",
    "unfit_for",
    "unlike_ranges",
]
