"""Reading phoneproof.toml: all of its faults are reported together, before work starts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import msgspec

from phoneproof.capture.factory_files import FACTORY_TARGET
from phoneproof.convert.routes import ROUTES
from phoneproof.core.binding import Format, Precision
from phoneproof.core.errors import ConfigError, nearest
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.recipe import Io, Prune
from phoneproof.pipeline.android_config import engine_faults
from phoneproof.pipeline.apple_config import apple_faults
from phoneproof.pipeline.config_faults import Fault, faults_error, find_faults, path_hook
from phoneproof.pipeline.config_types import (
    Config,
    LoadedConfig,
    PrecisionRequest,
    TargetConfig,
    TargetName,
)
from phoneproof.pipeline.head_types import head_value_faults

CONFIG_NAME: Final = "phoneproof.toml"
MAX_CONFIG_BYTES: Final = 16 << 20

AVAILABLE: Final[dict[TargetName, tuple[Format, ...]]] = {
    "android": ("tflite", "onnx"),
    "ios": ("coreml", "coreai"),
    "server": ("onnx", "tflite"),
}
"""Formats this version can make for a target; the first is the default."""

_PRECISIONS: Final[tuple[Precision, ...]] = (
    *("float32", "float16"),
    *("dynamic_wi8", "weight_only_wi8", "static_wi8_ai8"),
    "sparse",
)
AVAILABLE_PRECISIONS: Final[dict[Format, tuple[Precision, ...]]] = {
    "tflite": _PRECISIONS,
    "onnx": _PRECISIONS,
    "saved_model": ("float32",),
    "coreml": (
        *("float32", "float16"),
        *("weight_only_wi8", "weight_only_wi4", "palette6", "palette4", "static_wi8_ai8"),
        "sparse",
    ),
    "coreai": (
        *("float32", "float16"),
        *("weight_only_wi8", "weight_only_wi4", "palette6", "palette4", "sparse"),
    ),
}
DEFAULT_PRECISIONS: Final[dict[Format, tuple[Precision, ...]]] = {
    "tflite": ("float32", "float16"),
    "onnx": ("float32",),
    "saved_model": ("float32",),
    "coreml": ("float16",),
    "coreai": ("float32",),
}
"""What is made where nobody says: integers cost minutes and are asked for."""
OPSETS: Final = range(7, 24)
"""ONNX opsets that torch's exporters write and ONNX Runtime reads."""

_SHARES: Final = (
    "top1_drop",
    "top1_agreement",
    "class_map_agreement",
    "map50_95_drop",
    "box_agreement",
    "score_shift",
    "lost_share",
    "small_recall_drop",
)
"""Limits that are shares of 1; "1.5" was meant as percent."""

NOT_YET: Final = "not available in this version"
NAME_PATTERN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
"""Names and versions: they become a folder's name."""
_PATH_FIELDS: Final = (
    ("model", "source"),
    ("model", "reference"),
    ("data", "evaluation"),
    ("data", "calibration"),
    ("data", "production"),
    ("data", "labels"),
    ("contract", "labels_file"),
    ("head", "priors"),
    ("package", "golden"),
)
_NOT_YET_FIELDS: Final = (
    ("model", "reference"),
    ("model", "reference_python"),
)
"""Part of the agreed schema, but read by no step: a setting that does nothing is a trap."""


def load_config(path: Path) -> LoadedConfig:
    """Read and check a phoneproof.toml; relative paths are relative to its folder.

    Raises:
        ConfigError: no such file, not TOML, or any number of faults: unknown keys (with the
            nearest known one), wrong types and values, missing files, and what this version
            cannot make yet; all in one error.
    """
    table = _read_table(path)
    faults = [*find_faults(table, Config, "")]
    if not faults:
        config = _resolved(msgspec.convert(table, Config, dec_hook=path_hook), path.parent)
        faults = [*_value_faults(config)]
    else:
        faults += _salvaged_faults(table, path.parent)
    if faults:
        raise faults_error(tuple(faults), path.name)
    return config


def config_schema() -> bytes:
    """JSON Schema of phoneproof.toml, for editors that check TOML while it is written."""
    return pretty_bytes(msgspec.json.schema(Config, schema_hook=_path_schema))


def target_formats(name: TargetName, target: TargetConfig) -> tuple[Format, ...]:
    """The formats to make for a target: as written, or its default."""
    if target.formats is not None:
        return target.formats
    return ("tflite",) if target.route == "classic" else AVAILABLE[name][:1]


def available_formats(name: TargetName, target: TargetConfig) -> tuple[Format, ...]:
    """The formats that can be made for a target by its route."""
    return tuple(ROUTES["classic"]) if target.route == "classic" else AVAILABLE[name]


def target_precisions(target: TargetConfig, format_: Format) -> tuple[Precision, ...]:
    """The precisions to make in a format: as written where the format has them, or its default."""
    if target.precisions is None:
        default = DEFAULT_PRECISIONS[format_]
        return default[:1] if target.route == "classic" else default
    wanted = dict.fromkeys(map(precision_of, target.precisions))
    return tuple(precision for precision in wanted if precision in AVAILABLE_PRECISIONS[format_])


def precision_of(request: PrecisionRequest) -> Precision:
    """``int8`` is what people call int8 weights and activations."""
    return "static_wi8_ai8" if request == "int8" else request


def parse_targets(text: str) -> tuple[TargetName, ...]:
    """Target names from "android,server"; empty text means none named.

    Raises:
        ConfigError: an unknown name; names the nearest.
    """
    known: tuple[TargetName, ...] = get_args(TargetName)
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise ConfigError(
                f"unknown target {name!r}",
                found=f"known: {', '.join(known)}",
                next_step=f"did you mean {near!r}?" if near else "",
            )
    return tuple(name for name in known if name in names)


def _read_table(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise ConfigError(f"{path.name} is too large to be a configuration")
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(
            f"no {path.name} in {path.absolute().parent}",
            next_step="write one with: phoneproof init MODEL --images FOLDER",
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path.name} cannot be read as TOML", found=str(error)) from error


def _resolved(config: Config, base: Path) -> LoadedConfig:
    """The same with absolute paths, and where they begin."""
    sections: dict[str, msgspec.Struct] = {}
    for section in ("model", "data", "contract", "head", "package"):
        old = getattr(config, section)
        if old is None:
            continue
        paths = {
            field: base.absolute() / value
            for field in old.__struct_fields__
            if isinstance(value := getattr(old, field), Path)
        }
        sections[section] = msgspec.structs.replace(old, **paths)
    settled = msgspec.structs.asdict(config) | sections
    return LoadedConfig(folder=base.absolute(), **settled)


def _salvaged_faults(table: dict[str, object], base: Path) -> Iterator[Fault]:
    """Faults of values in the sections that are sound, beside those of the broken ones."""
    for section, field in _PATH_FIELDS:
        part = table.get(section)
        value = part.get(field) if isinstance(part, dict) else None
        if isinstance(value, str) and value:
            yield from _missing(base / value, f"{section}.{field}")
    targets = table.get("targets")
    for name, target in targets.items() if isinstance(targets, dict) else ():
        if name in get_args(TargetName) and isinstance(target, dict):
            sound = msgspec.convert(_sound_part(target), TargetConfig)
            yield from _target_faults(name, sound)


def _sound_part(target: dict[str, object]) -> dict[str, object]:
    """The keys of a target whose values fit; of a list, the elements that fit."""
    sound: dict[str, object] = {}
    for key, value in target.items():
        if isinstance(value, list):
            fitting = [v for v in value if not [*find_faults({key: [v]}, TargetConfig, "")]]
            if fitting or not value:
                sound[key] = fitting
        elif not [*find_faults({key: value}, TargetConfig, "")]:
            sound[key] = value
    return sound


def _value_faults(config: Config) -> Iterator[Fault]:
    for section, field in _PATH_FIELDS:
        value = getattr(getattr(config, section), field, None)
        if value is not None:
            yield from _missing(value, f"{section}.{field}")
    for field in ("name", "version"):
        if not NAME_PATTERN.fullmatch(value := getattr(config.model, field)):
            what = f"{value!r} names a folder: use letters, digits, '.', '_' and '-'"
            yield Fault(place=f"model.{field}", what=what)
    if config.model.factory is not None and not FACTORY_TARGET.fullmatch(config.model.factory):
        what = f'{config.model.factory!r} is not of the form "module:function"'
        yield Fault(place="model.factory", what=what)
    yield from _limit_faults(config)
    yield from head_value_faults(config.head)
    for section, field in _NOT_YET_FIELDS:
        if getattr(getattr(config, section), field) is not None:
            yield Fault(place=f"{section}.{field}", what=NOT_YET)
    if config.contract.labels is not None and config.contract.labels_file is not None:
        yield Fault(place="contract.labels_file", what="labels is given too; keep one")
    targets = config.targets
    if (targets.android, targets.ios, targets.server) == (None, None, None):
        yield Fault(place="targets", what=f"no target; known: {', '.join(AVAILABLE)}")
    named: tuple[tuple[TargetName, TargetConfig | None], ...] = (
        ("android", targets.android),
        ("ios", targets.ios),
        ("server", targets.server),
    )
    for name, target in named:
        if target is not None:
            yield from _target_faults(name, target)


def _limit_faults(config: Config) -> Iterator[Fault]:
    for field in config.checks.__struct_fields__:
        value = getattr(config.checks, field)
        if isinstance(value, float) and value < 0:
            yield Fault(place=f"checks.{field}", what="a limit must be at least 0")
        elif isinstance(value, float) and value > 1 and field in _SHARES:
            what = f"{value:g} is more than everything: one point is 0.01"
            yield Fault(place=f"checks.{field}", what=what)


def _target_faults(name: TargetName, target: TargetConfig) -> Iterator[Fault]:
    place = f"targets.{name}"
    formats = target_formats(name, target)
    if not formats:
        yield Fault(place=f"{place}.formats", what="empty")
    for format_ in formats:
        if format_ not in available_formats(name, target):
            known = ", ".join(available_formats(name, target))
            yield Fault(place=f"{place}.formats", what=f"{format_!r} {NOT_YET}; known: {known}")
    makeable = {p for f in formats for p in AVAILABLE_PRECISIONS.get(f, ())}
    for precision in target.precisions or ():
        if precision_of(precision) not in makeable:
            known = ", ".join(sorted(makeable)) or "none"
            what = f"{precision!r} {NOT_YET} for {', '.join(formats)}; known: {known}"
            yield Fault(place=f"{place}.precisions", what=what)
    if any(precision_of(one) in makeable for one in target.precisions or ()):
        yield from _unmade_faults(name, target)
    yield from _option_faults(name, target)


def _unmade_faults(name: TargetName, target: TargetConfig) -> Iterator[Fault]:
    """Formats of which nothing would be made, because none of the precisions exists in them."""
    for format_ in target_formats(name, target):
        if format_ in available_formats(name, target) and not target_precisions(target, format_):
            known = ", ".join(AVAILABLE_PRECISIONS[format_])
            what = f"none of these is available for {format_!r}; known for it: {known}"
            yield Fault(place=f"targets.{name}.precisions", what=what)


def _option_faults(name: TargetName, target: TargetConfig) -> Iterator[Fault]:
    place = f"targets.{name}"
    if target.precisions == ():
        yield Fault(place=f"{place}.precisions", what="empty")
    if io_of(target) != Io() and not _has_integer_border(name, target):
        what = "only TFLite files of precision int8 have other inputs and outputs than float32"
        yield Fault(place=f"{place}.io", what=what)
    yield from _prune_faults(place, target)
    yield from apple_faults(name, target, target_formats(name, target))
    yield from engine_faults(name, target, target_formats(name, target))
    if target.batch != (1,):
        yield Fault(place=f"{place}.batch", what=f"other than [1] {NOT_YET}")
    if target.sizes is not None:
        what = f"{NOT_YET}; [contract] size sets the one size"
        yield Fault(place=f"{place}.sizes", what=what)
    if target.opset not in OPSETS:
        what = f"{target.opset} is outside {OPSETS[0]}..{OPSETS[-1]}"
        yield Fault(place=f"{place}.opset", what=what)


def _prune_faults(place: str, target: TargetConfig) -> Iterator[Fault]:
    prune = target.prune
    if prune is None:
        return
    shares = {of: share for of in ("macs", "size") if (share := getattr(prune, of)) is not None}
    if len(shares) != 1:
        yield Fault(place=f"{place}.prune", what="give one of macs and size")
    for of, share in shares.items():
        if not 0 < share < 1:
            what = f"{share:g} is no share that is left: above 0 and below 1"
            yield Fault(place=f"{place}.prune.{of}", what=what)
    if not 0 <= prune.seconds < float("inf"):
        yield Fault(place=f"{place}.prune.seconds", what="at least 0")
    if prune.finetune is not None and not FACTORY_TARGET.fullmatch(prune.finetune):
        what = f'{prune.finetune!r} is not of the form "module:function"'
        yield Fault(place=f"{place}.prune.finetune", what=what)
    if target.route == "classic":
        yield Fault(place=f"{place}.prune", what=f"by the classic route {NOT_YET}")


def prune_of(target: TargetConfig) -> Prune | None:
    """What shall be left of the model, where it shall lose channels."""
    prune = target.prune
    if prune is None:
        return None
    if prune.macs is not None:
        return Prune(of="macs", share=prune.macs, seconds=prune.seconds)
    return Prune(of="size", share=prune.size or 1.0, seconds=prune.seconds)


def io_of(target: TargetConfig) -> Io:
    """The types at the border, input and output apart."""
    return target.io if isinstance(target.io, Io) else Io(input=target.io, output=target.io)


def _has_integer_border(name: TargetName, target: TargetConfig) -> bool:
    wanted = map(precision_of, target.precisions or ())
    return "static_wi8_ai8" in wanted and "tflite" in target_formats(name, target)


def _missing(path: Path, place: str) -> Iterator[Fault]:
    if not path.exists():
        yield Fault(place=place, what=f"no such file or folder: {path}")


def _path_schema(kind: type) -> dict[str, object]:
    if kind is not Path:
        raise NotImplementedError(kind)
    return {"type": "string", "minLength": 1, "description": "relative to this file"}
