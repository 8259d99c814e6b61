"""A SavedModel without what is random: equal programs give equal folders.

TensorFlow numbers its functions with a counter of the process, names their captured weights by
another one, keeps them in no fixed order, and puts a random id into ``fingerprint.pb``. Functions
are numbered anew in the order they were made, and sorted; the names of captured weights go; the
fingerprint is left out: TensorFlow reads models without one (it came with version 2.11), and this
one's other hashes would be of the old bytes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format

from phoneproof.formats.saved_model import GRAPH

_FUNCTION: Final = re.compile(r"\b(__inference_\w*?|__forward_\w*?|__backward_\w*?)_(\d+)\b")
_USER_NAME: Final = "_user_specified_name"
_FINGERPRINT: Final = "fingerprint.pb"


def canonicalise(folder: Path) -> None:
    """Rewrite ``saved_model.pb`` with names and an order that depend on the program alone."""
    from tensorflow.core.protobuf import saved_model_pb2

    (folder / _FINGERPRINT).unlink(missing_ok=True)
    graph = folder / GRAPH
    model = saved_model_pb2.SavedModel.FromString(graph.read_bytes())
    renamed = text_format.Parse(
        _renumbered(text_format.MessageToString(model)), saved_model_pb2.SavedModel()
    )
    for meta in renamed.meta_graphs:
        _forget_captures(meta.graph_def.library)
        functions = sorted(meta.graph_def.library.function, key=lambda f: str(f.signature.name))
        del meta.graph_def.library.function[:]
        meta.graph_def.library.function.extend(functions)
    graph.write_bytes(renamed.SerializeToString(deterministic=True))


def _forget_captures(library: Any) -> None:
    for function in library.function:
        for argument in function.arg_attr.values():
            if _USER_NAME in argument.attr and argument.attr[_USER_NAME].s.isdigit():
                del argument.attr[_USER_NAME]


def _renumbered(text: str) -> str:
    """Function names numbered by their order of creation, from 0."""
    numbers = sorted({int(match[2]) for match in _FUNCTION.finditer(text)})
    place = {number: index for index, number in enumerate(numbers)}
    return _FUNCTION.sub(lambda match: f"{match[1]}_{place[int(match[2])]}", text)
