"""TensorFlow's files parsed into its own protocol buffers; nothing is loaded or run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from phoneproof.core.errors import InvalidInput, first_line
from phoneproof.formats.saved_model import GRAPH
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

_MAX_BYTES = 1 << 31
"""No protocol buffer may be larger."""


def read_saved_model(path: Path) -> SavedModel:
    """Parse ``saved_model.pb`` with TensorFlow's own message classes.

    Raises:
        InvalidInput: unreadable, too large, or no such message.
    """
    import_tensorflow()
    from tensorflow.core.protobuf import saved_model_pb2

    message = saved_model_pb2.SavedModel()
    _parse(message, path / GRAPH, f"{path.name}/{GRAPH}")
    return message


def read_graph_def(path: Path) -> GraphDef:
    """Parse a GraphDef file.

    Raises:
        InvalidInput: unreadable, too large, no such message, or without a node.
    """
    import_tensorflow()
    from tensorflow.core.framework import graph_pb2

    message = graph_pb2.GraphDef()
    _parse(message, path, path.name)
    if not message.node:
        raise InvalidInput(f"{path.name} is not a TensorFlow graph", found="no node in it")
    return message


def _parse(message: SavedModel | GraphDef, file: Path, name: str) -> None:
    from google.protobuf.message import DecodeError

    try:
        if file.stat().st_size >= _MAX_BYTES:
            raise InvalidInput(f"{name} is larger than a protocol buffer can be")
        message.ParseFromString(file.read_bytes())
    except (OSError, DecodeError) as error:
        raise InvalidInput(
            f"{name} is not a readable TensorFlow graph",
            found=first_line(error),
            next_step="it is truncated or of another kind: copy, download or save it again",
        ) from error
