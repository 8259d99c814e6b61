"""Classes a Keras description names, judged before anything is built: all must be Keras' own."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from phoneproof.capture.backends.keras_layers import (
    ACTIVATIONS,
    BUILT_IN,
    BUILT_IN_3,
    MODULES_3,
    OPERATION_MODULES_3,
    OPERATIONS_3,
    TENSOR_FUNCTIONS,
)
from phoneproof.core.errors import InvalidInput, Unsupported

Json = Mapping[str, object]
_LAMBDAS = ("Lambda", "__lambda__")
_NO_MODEL_CODE = sys.stdlib_module_names - {"builtins"}
"""Nobody's layers live in Python's own library; naming it means to call something there."""
_KERAS_TOOLS = frozenset(
    ["callbacks", "config", "datasets", "export", "preprocessing", "saving", "trainers", "utils"]
)
"""Parts of Keras that download, read and write; no layer is among them."""
_LOST_IN_HDF5 = OPERATIONS_3 - BUILT_IN_3
"""HDF5 files keep the names of `keras.ops` without their modules, so Keras does not find them."""


def refuse_code(path: Path, root: object, *, generation: int) -> None:
    """Every class named anywhere must be Keras' own, and none may carry code.

    Args:
        root: the description. generation: 2 or 3, of the Keras that wrote it.

    Raises:
        InvalidInput: a Lambda, or something of Python's own library in place of a layer.
        Unsupported: a layer or function of the author's own.
    """
    for record in _records(root):
        name = _name(record)
        if record["class_name"] in _LAMBDAS:
            raise InvalidInput(
                f"{path.name} would run code of its author while it is loaded",
                found=f"layer {name!r} is a Lambda",
                next_step="replace it by built-in layers where the model was trained, or "
                f"export the model to ONNX there: {_export(path)}",
            )
        _refuse_library(path, record, name)
        if generation == 3 and "module" not in record and record["class_name"] in _LOST_IN_HDF5:
            raise Unsupported(
                f"{path.name} holds an operation that Keras 3 cannot read back from this format",
                found=f"{record['class_name']} {name!r}",
                next_step="save the model where it was trained as "
                f"model.save({path.stem + '.keras'!r})",
            )
        if not (_is_own_3(record) if generation == 3 else _is_own_2(record)):
            module = record.get("module")
            origin = f" from module {module}" if isinstance(module, str) else ""
            raise Unsupported(
                f"{path.name} holds a layer or function of its author's own",
                found=f"{record['class_name']} {name!r}{origin}",
                next_step=f"export the model to ONNX where its code is: {_export(path)}",
            )
        if record["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
            _refuse_function(path, name, record.get("config"))


def export_line(path: Path) -> str:
    """What a user types where the model was trained, to get an ONNX file."""
    return (
        "where the model was trained: keras.models.load_model"
        f"({path.name!r}).export({path.stem + '.onnx'!r}, format='onnx')"
    )


def _refuse_library(path: Path, record: Json, name: str) -> None:
    module = record.get("module")
    if not isinstance(module, str):
        return
    root, *parts = module.split(".")
    is_tool = root == "keras" and not _KERAS_TOOLS.isdisjoint(parts)
    is_builtin = root == "builtins" and record["class_name"] != "function"
    if root in _NO_MODEL_CODE or is_builtin or is_tool:
        raise InvalidInput(
            f"{path.name} names a part of Python's library or of Keras' tools as a layer",
            found=f"{record['class_name']} {name!r} from module {module}",
            next_step="do not trust this file; loading it would call that",
        )


def _is_own_2(record: Json) -> bool:
    module = record.get("module")
    foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras")
    is_registered = record.get("registered_name") not in (None, "", record["class_name"])
    return not foreign and not is_registered and record["class_name"] in BUILT_IN


def _is_own_3(record: Json) -> bool:
    """By the pair of module and class; HDF5 files of Keras 3 leave the module of layers out."""
    kind, module = record["class_name"], record.get("module")
    if record.get("registered_name") not in (None, kind):
        return False
    if kind == "function":
        return module == "builtins" and record.get("config") in ACTIVATIONS
    if module in OPERATION_MODULES_3:
        return kind in OPERATIONS_3
    return (module is None or module in MODULES_3) and kind in BUILT_IN_3


def _refuse_function(path: Path, name: str, config: object) -> None:
    function = config.get("function") if isinstance(config, Mapping) else None
    if function not in TENSOR_FUNCTIONS:
        raise Unsupported(
            f"{path.name} calls a TensorFlow function that is not known to be harmless",
            found=f"{function!r} in layer {name!r}",
            next_step=export_line(path),
        )


def _records(value: object) -> Iterator[Json]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            if "class_name" in item:
                yield item
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _name(record: Json) -> str:
    config = record.get("config")
    if isinstance(config, Mapping):
        return str(config.get("name", record["class_name"]))
    return str(config if isinstance(config, str) else record["class_name"])


def _export(path: Path) -> str:
    return f"python -m tf2onnx.convert --keras {path.name} --output {path.stem}.onnx"
