"""TensorFlow models made by the tests: small, seeded, with values as after training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow

if TYPE_CHECKING:
    from tensorflow.core.framework.graph_pb2 import GraphDef
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

SIDE = 24


def seeded(*shape: int, seed: int = 0) -> np.ndarray:
    """Weights of a plausible size."""
    return np.random.default_rng(seed).normal(0, 0.3, shape).astype(np.float32)


def save_model(
    folder: Path,
    body: Callable[..., object] | None = None,
    *,
    shape: tuple[int | None, ...] = (None, SIDE, SIDE, 3),
    dtype: str = "float32",
    keys: tuple[str, ...] = ("serving_default",),
) -> Path:
    """A SavedModel of one image; `body(module, image)` returns its outputs, by default three."""
    tensorflow, _ = import_tensorflow()
    module = tensorflow.Module()
    module.kernel = tensorflow.Variable(seeded(3, 3, 3, 4))
    body = body or _three_outputs
    function = tensorflow.function(
        lambda image: body(module, image),
        input_signature=[tensorflow.TensorSpec(shape, dtype, name="image")],
        autograph=False,
    )
    module.serve = function
    tensorflow.saved_model.save(module, str(folder), signatures=dict.fromkeys(keys, function))
    return folder


def _three_outputs(module: object, image: object) -> dict[str, object]:
    """Named against their order: two of the same shape, so that a swap is seen."""
    tensorflow, _ = import_tensorflow()
    map_ = tensorflow.nn.relu(tensorflow.nn.conv2d(image, module.kernel, 2, "SAME"))  # type: ignore[attr-defined]
    return {
        "zoomed": tensorflow.compat.v1.image.resize_bilinear(map_, (SIDE, SIDE)),
        "mean": tensorflow.reduce_mean(map_, [1, 2]),
        "high": tensorflow.reduce_max(map_, [1, 2]),
    }


def edited(folder: Path, target: Path, change: Callable[[SavedModel], None]) -> Path:
    """A copy of a SavedModel whose message was changed by hand."""
    import_tensorflow()
    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(folder, target)
    message = saved_model_pb2.SavedModel()
    message.ParseFromString((folder / "saved_model.pb").read_bytes())
    change(message)
    (target / "saved_model.pb").write_bytes(message.SerializeToString())
    return target


def graph_def(body: Callable[[object], object], shape: tuple[int | None, ...]) -> GraphDef:
    """A TensorFlow 1 graph with the placeholder "image" and what `body` builds on it."""
    tensorflow, _ = import_tensorflow()
    with tensorflow.Graph().as_default() as graph:
        body(tensorflow.compat.v1.placeholder(tensorflow.float32, shape, name="image"))
    return graph.as_graph_def()


def write_graph(path: Path, graph: GraphDef) -> Path:
    """A frozen graph file."""
    path.write_bytes(graph.SerializeToString())
    return path
