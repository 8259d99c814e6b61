"""A Keras 2 HDF5 file's description, read with h5py alone: no layer is built, no code runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import msgspec

from phoneproof.capture.backends.keras_layers import BUILT_IN, TENSOR_FUNCTIONS
from phoneproof.core.errors import InvalidInput, Unsupported
from phoneproof.formats.model_file import require_model_file

Json = Mapping[str, object]
_MAX_CONFIG = 1 << 26
"""EfficientNetB7's description has a megabyte; 64 is no network's."""
_MODELS = ("Functional", "Model", "Sequential")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One layer of a model. inbound: names of the layers it reads, in order."""

    name: str
    kind: str
    config: Json
    inbound: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class KerasConfig:
    """A model: its layers by name in the file's order, the names of its inputs and outputs."""

    name: str
    version: str
    layers: Mapping[str, Layer]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_config(path: Path) -> KerasConfig:
    """Read and judge the description.

    Raises:
        InvalidInput: damaged, not a Keras file, or holding code that loading would run.
        Unsupported: Keras 3, weights only, or layers of the author's own.
    """
    require_model_file(path, "Keras HDF5 model")
    version, text = _attributes(path)
    if version.split(".")[0] not in ("", "1", "2"):
        raise Unsupported(
            f"{path.name} was saved by Keras {version}; only Keras 2 files are read",
            next_step=_export_line(path),
        )
    try:
        root = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _damaged(path, f"a model description that is no JSON: {error}") from error
    try:
        _refuse_code(path, root)
        config = _model(root, version)
        _check_names(config)
    except (KeyError, TypeError, IndexError, RecursionError) as error:
        raise _damaged(path, f"a model description that is incomplete: {error!r}") from error
    return config


def nested(layer: Layer) -> KerasConfig | None:
    """The model inside a layer that is one."""
    if layer.kind not in _MODELS:
        return None
    return _model({"class_name": layer.kind, "config": layer.config}, "")


def _attributes(path: Path) -> tuple[str, str]:
    """Keras version and model description, both as text."""
    try:
        with h5py.File(path, "r") as file:
            _refuse_links(path, file)
            version = _text(file.attrs.get("keras_version", ""))
            if "model_config" not in file.attrs:
                raise _no_config(path, is_weights="layer_names" in file.attrs)
            return version, _text(file.attrs["model_config"])
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise _damaged(path, str(error).splitlines()[0] if str(error) else "") from error


def _text(value: object) -> str:
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    if len(text) > _MAX_CONFIG:
        raise ValueError("a model description of more than 64 MiB")
    return text


def _refuse_links(path: Path, file: h5py.File) -> None:
    """HDF5 can point into other files of the disk; a model has no reason to."""
    groups = [file]
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _outside(path, f"{group.name}/{name} links to {link.filename!r}")
            if not isinstance(link, h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
                raise _outside(path, f"data set {item.name} lies in another file")


def _refuse_code(path: Path, root: object) -> None:
    """Every class named anywhere must be Keras' own, and none may carry code."""
    for record in _records(root):
        kind = record["class_name"]
        config = record.get("config")
        name = config.get("name", kind) if isinstance(config, Mapping) else kind
        if kind in ("Lambda", "__lambda__"):
            raise InvalidInput(
                f"{path.name} would run code of its author while it is loaded",
                found=f"layer {name!r} is a Lambda",
                next_step="replace it by built-in layers where the model was trained, or export "
                "the model to ONNX there: python -m tf2onnx.convert --keras "
                f"{path.name} --output {path.stem}.onnx",
            )
        module = record.get("module")
        foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras")
        if foreign or record.get("registered_name") or kind not in BUILT_IN:
            raise Unsupported(
                f"{path.name} holds a layer or function of its author's own",
                found=f"{kind} {name!r}" + (f" from module {module}" if foreign else ""),
                next_step="export the model to ONNX where its code is: python -m tf2onnx.convert "
                f"--keras {path.name} --output {path.stem}.onnx",
            )
        if kind in ("TFOpLambda", "SlicingOpLambda"):
            _refuse_function(path, str(name), config)


def _refuse_function(path: Path, name: str, config: object) -> None:
    function = config.get("function") if isinstance(config, Mapping) else None
    if function not in TENSOR_FUNCTIONS:
        raise Unsupported(
            f"{path.name} calls a TensorFlow function that is not known to be harmless",
            found=f"{function!r} in layer {name!r}",
            next_step=_export_line(path),
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


def _model(root: object, version: str) -> KerasConfig:
    record = _mapping(root)
    config = record["config"]
    if record["class_name"] == "Sequential":
        items = config if isinstance(config, list) else _list(_mapping(config)["layers"])
        layers = _chain([_mapping(item) for item in items])
        return KerasConfig(
            name="sequential",
            version=version,
            layers=layers,
            inputs=tuple(layers)[:1],
            outputs=tuple(layers)[-1:],
        )
    if record["class_name"] not in _MODELS:
        raise TypeError(f"{record['class_name']} is no model")
    body = _mapping(config)
    listed = [_layer(_mapping(item)) for item in _list(body["layers"])]
    return KerasConfig(
        name=str(body.get("name", "model")),
        version=version,
        layers={layer.name: layer for layer in listed},
        inputs=_names(body["input_layers"]),
        outputs=_names(body["output_layers"]),
    )


def _check_names(config: KerasConfig) -> None:
    """Inputs, outputs and connections name layers that are there; KeyError where not."""
    inbound = [name for layer in config.layers.values() for name in layer.inbound]
    for name in (*config.inputs, *config.outputs, *inbound):
        config.layers[name]
    if not config.outputs:
        raise KeyError("output_layers")
    for layer in config.layers.values():
        inner = nested(layer)
        if inner is not None:
            _check_names(inner)


def _chain(items: list[Json]) -> dict[str, Layer]:
    layers: dict[str, Layer] = {}
    for item in items:
        layer = _layer(item)
        layers[layer.name] = Layer(
            name=layer.name, kind=layer.kind, config=layer.config, inbound=tuple(layers)[-1:]
        )
    if not layers:
        raise KeyError("layers")
    return layers


def _layer(item: Json) -> Layer:
    config = item["config"]
    if isinstance(config, list):  # a nested Sequential of Keras 2.1
        config = {"layers": config}
    body = _mapping(config)
    nodes = _list(item.get("inbound_nodes") or [])
    return Layer(
        name=str(item.get("name") or body.get("name") or item["class_name"]),
        kind=str(item["class_name"]),
        config=body,
        inbound=_names(nodes[0]) if nodes else (),
    )


def _names(value: object) -> tuple[str, ...]:
    """Layer names of ``["a", 0, 0]``, ``[["a", 0, 0], ...]`` or a mapping of those."""
    if isinstance(value, Mapping):
        value = list(value.values())
    items = _list(value)
    if items and isinstance(items[0], str):
        return (items[0],)
    return tuple(name for item in items for name in _names(item))


def _mapping(value: object) -> Json:
    if not isinstance(value, Mapping):
        raise TypeError(f"{type(value).__name__} instead of a record")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} instead of a list")
    return value


def _no_config(path: Path, *, is_weights: bool) -> Unsupported | InvalidInput:
    if not is_weights:
        return InvalidInput(
            f"{path.name} is not a Keras model", found="an HDF5 file without a model description"
        )
    return Unsupported(
        f"{path.name} holds weights only, without the layers they belong to",
        next_step="where the model is built, load them and type: "
        f"model.save({path.stem + '_full.h5'!r}, save_format='h5')",
    )


def _export_line(path: Path) -> str:
    return (
        "where the model was trained: keras.models.load_model"
        f"({path.name!r}).export({path.stem + '.onnx'!r}, format='onnx')"
    )


def _outside(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} reads data from outside itself",
        found=found,
        next_step="do not trust this file; save the model again",
    )


def _damaged(path: Path, found: str) -> InvalidInput:
    return InvalidInput(
        f"{path.name} is not a readable Keras HDF5 model",
        found=found,
        next_step="it is truncated or of another kind: copy, download or save it again",
    )
