"""SavedModels that were not written here are not run: they could reach outside themselves."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.saved_model import GRAPH
from phoneproof.runtimes.backends.saved_model import SavedModelRuntime
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def tensorflow() -> ModuleType:
    return import_tensorflow()[0]


def save(tensorflow: Any, folder: Path, reach: Any, **attached: Any) -> Path:
    """A SavedModel whose signature calls `reach` on its input."""
    model = tensorflow.Module()
    for name, value in attached.items():
        setattr(model, name, value)

    def serve(image: Any) -> dict[str, Any]:
        return {"scores": reach(image)}

    spec = tensorflow.TensorSpec((1, 4), tensorflow.float32, name="image")
    model.serve = tensorflow.function(serve, input_signature=[spec])
    with silent_stderr():
        tensorflow.saved_model.save(
            model, str(folder), signatures={"serving_default": model.serve.get_concrete_function()}
        )
    return folder


def test_a_signature_that_writes_a_file_is_not_run(tensorflow: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    def reach(image: Any) -> Any:
        with tensorflow.control_dependencies([tensorflow.io.write_file(str(canary), "sings")]):
            return tensorflow.identity(image)

    path = save(tensorflow, tmp_path / "model", reach)
    with pytest.raises(Unsupported, match="not written by phoneproof") as caught:
        SavedModelRuntime().open(path)
    assert "WriteFile" in caught.value.found
    assert not canary.exists()
    # The control: the file does write it as soon as somebody calls it.
    loaded = tensorflow.saved_model.load(str(path))
    loaded.signatures["serving_default"](image=tensorflow.zeros((1, 4)))
    assert canary.read_text() == "sings"


def test_a_file_read_in_a_branch_is_seen(tensorflow: Any, tmp_path: Path) -> None:
    def reach(image: Any) -> Any:
        def read() -> Any:
            length = tensorflow.strings.length(tensorflow.io.read_file("/etc/hostname"))
            return image + tensorflow.cast(length, tensorflow.float32)

        return tensorflow.cond(tensorflow.reduce_sum(image) > 0, read, lambda: image)

    path = save(tensorflow, tmp_path / "model", reach)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert "ReadFile" in caught.value.found


def test_a_table_that_loading_would_fill_is_refused(tensorflow: Any, tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    lookup = tensorflow.lookup
    table = lookup.StaticHashTable(
        lookup.TextFileInitializer(
            str(words),
            tensorflow.string,
            lookup.TextFileIndex.WHOLE_LINE,
            tensorflow.int64,
            lookup.TextFileIndex.LINE_NUMBER,
        ),
        -1,
    )
    path = save(tensorflow, tmp_path / "model", tensorflow.identity, table=table)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert "resource" in caught.value.found


def test_a_model_without_the_signature_is_refused(tensorflow: Any, tmp_path: Path) -> None:
    path = tmp_path / "model"
    with silent_stderr():
        tensorflow.saved_model.save(tensorflow.Module(), str(path))
    with pytest.raises(InvalidInput, match="no signature 'serving_default'"):
        SavedModelRuntime().open(path)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x00" * 64])
def test_a_damaged_graph_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model"
    path.mkdir()
    (path / GRAPH).write_bytes(content)
    with pytest.raises(InvalidInput):
        SavedModelRuntime().open(path)
