"""SavedModels that were not written here are not run: they could reach outside themselves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.saved_model import GRAPH
from phoneproof.formats.tensorflow_judge import refuse_meta_graph
from phoneproof.runtimes.backends.saved_model import SavedModelRuntime
from phoneproof.runtimes.backends.tensorflow_quiet import import_tensorflow, silent_stderr

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def tensorflow() -> ModuleType:
    return import_tensorflow()[0]


def edited(path: Path, edit: Callable[[Any], None]) -> Path:
    """The model with its graph's message changed."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((path / GRAPH).read_bytes())
    edit(model)
    (path / GRAPH).write_bytes(model.SerializeToString())
    return path


def harmless(tensorflow: Any, path: Path) -> Path:
    """A model that is opened: the control of what is made of it."""
    save(tensorflow, path, tensorflow.identity, kept=tensorflow.Variable([1.0]))
    SavedModelRuntime().open(path)
    return path


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


def test_a_graph_of_tensorflow_1_that_writes_when_it_is_loaded(
    tensorflow: Any, tmp_path: Path
) -> None:
    canary, path, v1 = tmp_path / "canary", tmp_path / "model", tensorflow.compat.v1
    with tensorflow.Graph().as_default(), v1.Session() as session, silent_stderr():
        image = v1.placeholder(tensorflow.float32, [1, 4], name="image")
        tensors = {"image": image}, {"scores": tensorflow.identity(image)}
        signature = v1.saved_model.signature_def_utils.predict_signature_def(*tensors)
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            main_op=tensorflow.io.write_file(str(canary), "sings"),
        )
        builder.save()
    with pytest.raises(Unsupported, match="not written by phoneproof"):
        SavedModelRuntime().open(path)
    assert not canary.exists()
    with silent_stderr():
        tensorflow.saved_model.load(str(path))  # the control
    assert canary.read_text() == "sings"


def test_a_function_that_nothing_reaches_is_judged(tensorflow: Any, tmp_path: Path) -> None:
    def write() -> None:
        tensorflow.io.write_file(str(tmp_path / "canary"), "sings")

    unused = tensorflow.function(write, input_signature=[])
    path = save(tensorflow, tmp_path / "model", tensorflow.identity, unused=unused)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert "WriteFile" in caught.value.found


def two_signatures(tensorflow: Any, path: Path, serve: Any, shown: Any, sides: int) -> Path:
    """A model whose graph says `shown` is the signature, and whose objects say `serve` is."""
    model = tensorflow.Module()
    model.serve = tensorflow.function(
        serve, input_signature=[tensorflow.TensorSpec((1, 4), name="image")]
    )
    model.shown = tensorflow.function(
        shown, input_signature=[tensorflow.TensorSpec((1, sides), name="image")]
    )
    signatures = {"serving_default": model.serve, "shown": model.shown}
    with silent_stderr():
        tensorflow.saved_model.save(model, str(path), signatures=signatures)

    def exchange(saved: Any) -> None:
        known = saved.meta_graphs[0].signature_def
        known["serving_default"].CopyFrom(known["shown"])
        del known["shown"]

    return edited(path, exchange)


def test_a_signature_that_hides_another_is_not_run(tensorflow: Any, tmp_path: Path) -> None:
    canary = tmp_path / "canary"

    def write(image: Any) -> dict[str, Any]:
        with tensorflow.control_dependencies([tensorflow.io.write_file(str(canary), "sings")]):
            return {"scores": tensorflow.identity(image)}

    path = tmp_path / "model"
    two_signatures(tensorflow, path, write, lambda image: {"scores": image}, 4)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert "WriteFile" in caught.value.found
    assert not canary.exists()
    loaded = tensorflow.saved_model.load(str(path))  # the control
    loaded.signatures["serving_default"](image=tensorflow.zeros((1, 4)))
    assert canary.read_text() == "sings"


def test_a_signature_must_be_that_of_the_objects(tensorflow: Any, tmp_path: Path) -> None:
    def same(image: Any) -> dict[str, Any]:
        return {"scores": tensorflow.identity(image)}

    SavedModelRuntime().open(two_signatures(tensorflow, tmp_path / "even", same, same, 4))
    path = two_signatures(tensorflow, tmp_path / "odd", same, same, 2)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert "signature" in caught.value.found


def call_the_saver(saved: Any) -> None:
    """Let the signature's object name the function that saves, which is not listed as one."""
    graph = saved.meta_graphs[0]
    names = [one.signature.name for one in graph.graph_def.library.function]
    saver = next(name for name in names if "traced_save" in name)
    assert saver not in graph.object_graph_def.concrete_functions
    for one in graph.object_graph_def.nodes:
        if one.HasField("bare_concrete_function"):
            one.bare_concrete_function.concrete_function_name = saver


def without_objects(saved: Any) -> None:
    del saved.meta_graphs[0].object_graph_def.nodes[:]


def twice(saved: Any) -> None:
    saved.meta_graphs.add().CopyFrom(saved.meta_graphs[0])


def with_an_asset(saved: Any) -> None:
    saved.meta_graphs[0].asset_file_def.add().filename = "words.txt"


def with_an_initialiser(saved: Any) -> None:
    known = saved.meta_graphs[0].collection_def
    known["saved_model_main_op"].node_list.value[:] = ["StatefulPartitionedCall"]


def with_another_collection(saved: Any) -> None:
    saved.meta_graphs[0].collection_def["legacy_init_op"].node_list.value.append("NoOp")


def with_a_class(saved: Any) -> None:
    saved.meta_graphs[0].object_graph_def.nodes[0].user_object.identifier = "_tf_keras_model"


@pytest.mark.parametrize(
    ("edit", "found"),
    [
        (call_the_saver, "ShardedFilename.* in function .*traced_save"),
        (without_objects, "no objects"),
        (twice, "2 graphs"),
        (with_an_asset, "words.txt"),
        (with_an_initialiser, "loading starts StatefulPartitionedCall"),
        (with_another_collection, "legacy_init_op"),
        (with_a_class, "_tf_keras_model"),
    ],
)
def test_what_no_converter_here_writes_is_refused(
    tensorflow: Any, tmp_path: Path, edit: Callable[[Any], None], found: str
) -> None:
    path = edited(harmless(tensorflow, tmp_path / "model"), edit)
    with pytest.raises(Unsupported) as caught:
        SavedModelRuntime().open(path)
    assert re.search(found, caught.value.found)


def test_a_source_may_not_call_the_saver_either(tensorflow: Any, tmp_path: Path) -> None:
    path = harmless(tensorflow, tmp_path / "model")

    def judge(saved: Any) -> None:
        refuse_meta_graph("model", saved.meta_graphs[0])

    edited(path, judge)
    edited(path, call_the_saver)
    with pytest.raises(InvalidInput, match="reach outside"):
        edited(path, judge)


def test_the_file_that_is_judged_is_the_one_that_is_read(tensorflow: Any, tmp_path: Path) -> None:
    path = harmless(tensorflow, tmp_path / "model")
    (path / "saved_model.pbtxt").write_text("")
    with pytest.raises(Unsupported, match=r"saved_model\.pbtxt"):
        SavedModelRuntime().open(path)


def test_weights_outside_the_folder_are_not_read(tensorflow: Any, tmp_path: Path) -> None:
    path = harmless(tensorflow, tmp_path / "model")
    shutil.move(path / "variables", tmp_path / "elsewhere")
    (path / "variables").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="leads outside its folder"):
        SavedModelRuntime().open(path)


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
