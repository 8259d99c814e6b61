"""A Keras model's description as data: judged, then read; no layer is built, no code runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.capture.backends.keras_hdf5 import damaged, description
from phoneproof.capture.backends.keras_records import Json, export_line, refuse_code
from phoneproof.core.errors import Unsupported
from phoneproof.formats.model_file import require_model_file

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
    """A model: its layers by name in the file's order, the names of its inputs and outputs.

    keys: of the mapping that the model returns, in the order of `outputs`; () where it returns a
    list. built_shape: the input's, where no layer declares one.
    """

    name: str
    version: str
    layers: Mapping[str, Layer]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    keys: tuple[str, ...] = ()
    built_shape: tuple[int, ...] = ()

    @property
    def generation(self) -> int:
        """2 or 3: which Keras wrote it."""
        return 3 if self.version.partition(".")[0] == "3" else 2


def read_config(path: Path) -> KerasConfig:
    """Read and judge the description of an HDF5 file.

    Raises:
        InvalidInput: damaged, not a Keras file, or holding code that loading would run.
        Unsupported: weights only, layers of the author's own, or a Keras that is not known.
    """
    require_model_file(path, "Keras HDF5 model")
    version, text = description(path)
    return parse_config(path, version, text)


def parse_config(path: Path, version: str, text: str | bytes) -> KerasConfig:
    """Judge a description and read its layers; `path` is for messages.

    Raises:
        InvalidInput: incomplete, or holding code that loading would run.
        Unsupported: layers of the author's own, or a Keras that is not known.
    """
    if version.split(".")[0] not in ("", "1", "2", "3"):
        raise Unsupported(
            f"{path.name} was saved by Keras {version}; 2 and 3 are read",
            next_step=export_line(path),
        )
    try:
        root = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise damaged(path, f"a model description that is no JSON: {error}") from error
    if isinstance(root, dict):
        root.pop("compile_config", None)  # losses and optimizers are not loaded
    try:
        refuse_code(path, root, generation=3 if version.startswith("3") else 2)
        config = _model(root, version)
        _check_names(config)
    except (KeyError, TypeError, IndexError, RecursionError) as error:
        raise damaged(path, f"a model description that is incomplete: {error!r}") from error
    if len(set(config.outputs)) != len(config.outputs):
        raise Unsupported(
            f"{path.name} returns one layer twice",
            found=", ".join(config.outputs),
            next_step="give each output a layer of its own",
        )
    return config


def nested(layer: Layer) -> KerasConfig | None:
    """The model inside a layer that is one."""
    if layer.kind not in _MODELS:
        return None
    return _model({"class_name": layer.kind, "config": layer.config}, "")


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
            built_shape=_built(config),
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
        keys=tuple(map(str, named)) if isinstance(named := body["output_layers"], Mapping) else (),
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
        inbound=_inbound(nodes[0]) if nodes else (),
    )


def _inbound(node: object) -> tuple[str, ...]:
    """What a layer reads: a list of names (Keras 2), or arguments with tensors in them (3)."""
    if not isinstance(node, Mapping) or "args" not in node:
        return _names(node)
    found: list[str] = []
    waiting: list[object] = [node["args"], node.get("kwargs")]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, list):
            waiting = [*item, *waiting]
        elif isinstance(item, Mapping) and item.get("class_name") == "__keras_tensor__":
            found.append(str(_list(_mapping(item["config"])["keras_history"])[0]))
        elif isinstance(item, Mapping):
            waiting = [*item.values(), *waiting]
    return tuple(found)


def _built(config: object) -> tuple[int, ...]:
    shape = config.get("build_input_shape") if isinstance(config, Mapping) else None
    if not isinstance(shape, list):
        return ()
    return tuple(side if isinstance(side, int) else -1 for side in shape)


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
