"""Writing phoneproof.toml: everything found out about a model, with the reason beside it."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from phoneproof.capture.guess_labels import guess_labels
from phoneproof.capture.infer import Inference
from phoneproof.core import tolerances
from phoneproof.core.capture import Hazard, Inspection
from phoneproof.core.contract import GeometryOp, ImageInput
from phoneproof.core.errors import ConfigError, StorageError
from phoneproof.core.presets import preset_input
from phoneproof.pipeline.config import AVAILABLE, DEFAULT_PRECISIONS
from phoneproof.pipeline.data_facts import DataFacts
from phoneproof.pipeline.toml_text import TomlValue, assignment, comment, disabled, toml_value

_HEAD = """\
Written by `phoneproof init`; edit it as you like. Behind a value stands why it is so: "read" was \
written in the model file, "implied" follows from that, "measured" explains the labels of your \
images best, ASSUMED is likely and yours to check."""

FEW_LABELS = 100
"""More placeholders than this are not written out."""

_IMAGE_FIELDS = (
    "orientation",
    "color_profile",
    "alpha",
    "channels",
    "gray",
    "values",
    "scale",
    "mean",
    "std",
)


def write_config(
    path: Path,
    *,
    source: Path,
    images: Path,
    labels: Path | None = None,
    inspection: Inspection,
    inference: Inference,
    data: DataFacts,
    factory: str | None = None,
    overwrite: bool = False,
) -> None:
    """Write the configuration of a build; `load_config` and `build_contract` give it back.

    Args:
        path: the file to write. source: the model. images: the evaluation folder.
        labels: the labels file or folder, where one was named.
        factory: ``module:function`` of the user's own code, where one was named.

    Raises:
        ConfigError: the file is there already and `overwrite` is false, or a name in it cannot
            be written.
        StorageError: the file cannot be written; nothing is left half-written.
    """
    require_free(path, overwrite=overwrite)
    text = config_text(
        base=path.absolute().parent,
        source=source,
        images=images,
        labels=labels,
        inspection=inspection,
        inference=inference,
        data=data,
        factory=factory,
    )
    _replace(path, text.encode())


def require_free(path: Path, *, overwrite: bool) -> None:
    """Refuse to replace a file that nobody said to replace.

    Raises:
        ConfigError: the file is there and `overwrite` is false.
    """
    if path.exists() and not overwrite:
        raise ConfigError(
            f"{path.name} is there already",
            next_step="edit it, remove it, or run again with --force",
        )


def config_text(
    *,
    base: Path,
    source: Path,
    images: Path,
    labels: Path | None,
    inspection: Inspection,
    inference: Inference,
    data: DataFacts,
    factory: str | None = None,
) -> str:
    """The text of phoneproof.toml, with paths relative to the folder `base`."""
    sections = [
        comment(_HEAD),
        _model(_relative(source, base), factory, inspection, inference),
        _data(_relative(images, base), None if labels is None else _relative(labels, base), data),
        _contract(inference, inspection),
        _targets(),
        _checks(),
        ["[package]", *assignment("directory", "dist", "the bundle's folder is made in here")],
        _hazards((*inspection.hazards, *data.hazards)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section) + "\n"


def _relative(path: Path, base: Path) -> str:
    """The path as seen from `base`; the last part may be a link and stays as it is called."""
    real = path.absolute().parent.resolve() / path.name if path.name else path.resolve()
    try:
        return Path(os.path.relpath(real, base.resolve())).as_posix()
    except ValueError:  # another drive on Windows
        return real.as_posix()


def _model(
    source: str, factory: str | None, inspection: Inspection, inference: Inference
) -> list[str]:
    evidence = inspection.evidence
    kind = " ".join(part for part in (evidence.framework, evidence.family) if part)
    about = f"{kind}, {inspection.bytes} bytes, sha256 {inspection.sha256[:12]}"
    lines = ["[model]", *assignment("source", source, about)]
    if factory is not None:
        lines += assignment("factory", factory, "your own code, run to build the network")
    lines += assignment("name", inference.contract.name, "of the bundle and the contract")
    return lines + assignment("version", inference.contract.version)


def _data(images: str, labels: str | None, data: DataFacts) -> list[str]:
    kind = "labelled" if data.labelled else "without labels"
    lines = ["[data]", *assignment("evaluation", images, f"{data.images} images, {kind}")]
    lines += comment(f"{data.layout}: {data.reason}")
    if data.skipped:
        lines += comment(f"{data.skipped} more were left out; `phoneproof build` lists them")
    if labels is not None:
        lines += assignment("labels", labels, "read: named by you")
    lines += comment(
        f"Float files are measured on all of these. For int8, {data.calibration} of them "
        "calibrate; a folder of other pictures leaves them all to be measured on:"
    )
    lines += comment('calibration = "photos/"')
    return lines


def _contract(inference: Inference, inspection: Inspection) -> list[str]:
    contract, image = inference.contract, inference.contract.image
    lines = ["[contract]", *_reasoned("task", contract.task, inference)]
    standard = None
    if inference.preset:
        lines += _reasoned("preset", inference.preset, inference)
        standard = preset_input(inference.preset, image.size)
    lines += _reasoned("size", image.size, inference, note="height, width")
    lines += _labels(inference, inspection)
    if standard is not None:
        lines += comment("What the preset stands for; remove the # to override a value:")
    lines += _image(image, standard, inference)
    return lines + _decode(inference)


def _labels(inference: Inference, inspection: Inspection) -> list[str]:
    """Placeholders are left out: `build_contract` makes the same ones."""
    labels = inference.contract.labels
    if not labels:
        return []
    unstated, _ = guess_labels(inspection, (), len(labels))
    if labels == unstated and not any(inspection.labels) and len(labels) > FEW_LABELS:
        hint = f"{len(labels)} labels, {labels[-1]!r} the last one. {_why('labels', inference)}"
        example = assignment("labels_file", "labels.txt", 'one a line, "-" for background')
        return [*comment(hint), *disabled(example)]
    note = '"" stands for background or a gap' if None in labels else ""
    return _reasoned("labels", [label or "" for label in labels], inference, note=note)


def _image(image: ImageInput, standard: ImageInput | None, inference: Inference) -> list[str]:
    """Fields that the preset already gives are comments, the others are values."""
    lines: list[str] = []
    for field in _IMAGE_FIELDS:
        value = getattr(image, field)
        if value is None:
            continue
        if standard is not None and getattr(standard, field) == value:
            lines += disabled(assignment(field, value))
        else:
            lines += _reasoned(field, value, inference)
    geometry = geometry_lines(image.geometry)
    if standard is not None and standard.geometry == image.geometry:
        return lines + disabled(geometry)
    return lines + comment(_why("geometry", inference)) + geometry


def geometry_lines(geometry: tuple[GeometryOp, ...]) -> list[str]:
    """``[[contract.geometry]]`` tables, one an operation."""
    return [line for op in geometry for line in _geometry_op(op)]


def _geometry_op(op: msgspec.Struct) -> list[str]:
    lines = ["[[contract.geometry]]", *assignment("op", str(op.__struct_config__.tag))]
    for field in op.__struct_fields__:
        value = getattr(op, field)
        if value is not None:
            lines += assignment(field, value)
    return lines


def _decode(inference: Inference) -> list[str]:
    decode = inference.contract.decode
    if decode is None:
        return []
    lines = ["", "[contract.decode]"]
    lines += _reasoned("decode.confidence", decode.confidence, inference)
    lines += assignment("multi_label", decode.multi_label)
    if decode.nms is None:
        return lines + _reasoned("decode.nms", False, inference)
    lines += ["", "[contract.decode.nms]", *comment(_why("decode.nms", inference))]
    for field in decode.nms.__struct_fields__:
        lines += assignment(field, getattr(decode.nms, field))
    return lines


def _reasoned(key: str, value: TomlValue, inference: Inference, note: str = "") -> list[str]:
    why = "; ".join(part for part in (note, _why(key, inference)) if part)
    return assignment(key.rpartition(".")[2], value, why)


def _why(key: str, inference: Inference) -> str:
    reason = inference.reason(f"contract.{key}")
    certainty, _, rest = reason.partition(":")
    return f"ASSUMED:{rest}" if certainty == "assumed" else reason


def _targets() -> list[str]:
    lines: list[str] = []
    for name, formats in AVAILABLE.items():
        if name == "ios":
            continue  # asked for: its library is an extra of its own
        format_ = formats[0]
        lines += ["", f"[targets.{name}]"] if lines else [f"[targets.{name}]"]
        lines += assignment("formats", [format_], f"known: {', '.join(formats)}")
        lines += assignment("precisions", list(DEFAULT_PRECISIONS[format_]))
        if format_ == "onnx":
            lines += assignment("opset", 12, "understood by every runtime still in use")
    return [*lines, "", *_ios()]


def _ios() -> list[str]:
    """The same for iPhones, as comments."""
    formats = AVAILABLE["ios"]
    written = [
        "[targets.ios]",
        *assignment("formats", list(formats[:1]), f"known: {', '.join(formats)}"),
        *assignment("precisions", list(DEFAULT_PRECISIONS[formats[0]])),
        *assignment("input", "image", '"tensor": values as the contract\'s table gives them'),
        *assignment("minimum_ios", 17, "15, 16, 17 or 18"),
        *assignment("nms", False, "true: a detector that Vision's VNCoreMLRequest takes"),
    ]
    said = "For iPhones remove the #; it takes phoneproof[ios]:"
    return [*comment(said), *disabled(written)]


def _checks() -> list[str]:
    lines = ["[checks]", *assignment("undecided", "accept", '"fail" demands enough images')]
    lines += comment("The losses you accept, as raw numbers (0.01 is one point); the defaults:")
    defaults = (
        ("top1_drop", tolerances.TOP1_DROP),
        ("map50_95_drop", tolerances.MAP_DROP),
        ("score_shift", tolerances.SCORE_SHIFT),
        ("lost_share", tolerances.LOST_SHARE),
        ("small_recall_drop", tolerances.SMALL_RECALL_DROP),
    )
    return lines + [f"# {name} = {toml_value(limit)}" for name, limit in defaults]


def _hazards(hazards: tuple[Hazard, ...]) -> list[str]:
    if not hazards:
        return []
    lines = comment("Hazards found:")
    for hazard in hazards:
        lines += comment(f"- {hazard.severity}, {hazard.name}: {hazard.found}; {hazard.next_step}")
    return lines


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file, then rename: it is never there half-written."""
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.absolute().parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary:
            with suppress(OSError):
                Path(temporary).unlink()
        raise StorageError(
            f"{path.name} cannot be written",
            found=error.strerror or str(error),
            next_step=f"make {path.absolute().parent} writable, or free space on its disk",
        ) from error
