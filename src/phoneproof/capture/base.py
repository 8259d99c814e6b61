"""The source Protocol and the table of source formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from phoneproof.core.capture import Inspection
from phoneproof.core.registry import Entry, Registry
from phoneproof.runtimes.base import Session

if TYPE_CHECKING:
    import torch

HubExport = Callable[[], "torch.export.ExportedProgram"]


@dataclass(frozen=True, kw_only=True)
class Factory:
    """The user's own code: a function that builds the network whose bare weights a file holds, or
    that trains a pruned one.

    target: ``module:function``. folder: where the module is looked for first. called: the key of
    phoneproof.toml that names it.
    """

    target: str
    folder: Path
    called: Literal["factory", "finetune"] = "factory"


class Source(Protocol):
    """Reads one source format. `size` is [height, width] of the image input, `batch` its batch."""

    def recognises(self, path: Path) -> bool:
        """Whether the file is of this format, from its first bytes and its name; cheap."""
        ...

    def inspect(self, path: Path) -> Inspection:
        """Read everything the file says without running it or any code in it.

        Raises:
            InvalidInput: truncated, hostile or of a wrong kind.
            Unsupported: valid but not handled; the message says what to type instead.
        """
        ...

    def open(self, path: Path, *, size: tuple[int, int], batch: int) -> Session:
        """The source's own runtime, for the baseline."""
        ...

    def importers(
        self, path: Path, *, size: tuple[int, int], batch: int
    ) -> tuple[tuple[str, HubExport], ...]:
        """Ways to make the hub program, in order of preference: (name, function that exports).

        The program takes one float32 tensor with the source's layout, static shapes, and returns
        the outputs in the order of `inspect(...).outputs`.
        """
        ...


@runtime_checkable
class TakesFactory(Protocol):
    """A source whose files hold weights alone: the network comes from the user's own code."""

    def with_factory(self, factory: Factory) -> Source:
        """The same source with that code, which runs where the source is opened."""
        ...


SOURCES: Registry[Source] = Registry(
    "source format",
    {
        "ultralytics": Entry(
            target="phoneproof.capture.backends.ultralytics.source:UltralyticsSource",
            summary="Ultralytics or YOLOv5 checkpoint (.pt), read without running it",
            extra="torch",
        ),
        "torchscript": Entry(
            target="phoneproof.capture.backends.torch_files.script_source:TorchScriptSource",
            summary="TorchScript program (.torchscript, .pt, .pth)",
            extra="torch",
        ),
        "torch_export": Entry(
            target="phoneproof.capture.backends.torch_files.exported_source:TorchExportSource",
            summary="torch.export program (.pt2)",
            extra="torch",
        ),
        "state_dict": Entry(
            target="phoneproof.capture.backends.torch_files.state_dict_source:StateDictSource",
            summary="PyTorch weights (.pth, .pt, .th), with your own factory function",
            extra="torch",
        ),
        "onnx": Entry(
            target="phoneproof.capture.backends.onnx:OnnxSource",
            summary="ONNX model (.onnx)",
            extra="torch",
        ),
        "keras_h5": Entry(
            target="phoneproof.capture.backends.keras_h5:KerasH5Source",
            summary="Keras HDF5 model (.h5, .hdf5)",
            extra="tensorflow",
        ),
        "keras": Entry(
            target="phoneproof.capture.backends.keras_zip:KerasSource",
            summary="Keras 3 model (.keras)",
            extra="tensorflow",
        ),
        "saved_model": Entry(
            target="phoneproof.capture.backends.saved_model:SavedModelSource",
            summary="TensorFlow SavedModel folder, judged before it is loaded",
            extra="tensorflow",
        ),
        "frozen_graph": Entry(
            target="phoneproof.capture.backends.frozen_graph:FrozenGraphSource",
            summary="TensorFlow 1 frozen graph (.pb), judged before it is loaded",
            extra="tensorflow",
        ),
        "tflite": Entry(
            target="phoneproof.capture.backends.tflite:TfliteSource",
            summary="TFLite model (.tflite), float or quantised",
            extra="verify",
        ),
    },
)
