"""From a configuration to a build request: inspect the source, settle the contract, load images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from phoneproof.capture.base import Factory, TakesFactory
from phoneproof.capture.factory_files import factory_files
from phoneproof.capture.infer import hub_binding
from phoneproof.capture.sources import find_source
from phoneproof.convert.nms_pipeline import require_pipeline
from phoneproof.convert.routes import ROUTES, Route
from phoneproof.core.artifact import file_sha256, tree_sha256
from phoneproof.core.binding import Format, Precision
from phoneproof.core.capture import Inspection
from phoneproof.core.contract import Contract
from phoneproof.core.dataset import ImageSet
from phoneproof.core.engine import AndroidEngine
from phoneproof.core.errors import ConfigError, Unsupported
from phoneproof.core.events import Event, Listener
from phoneproof.core.json_format import content_hash, parse
from phoneproof.core.recipe import Io
from phoneproof.formats.model_file import weights_beside
from phoneproof.pipeline.android_config import app_engine
from phoneproof.pipeline.apple_config import apple_form
from phoneproof.pipeline.capture_steps import FileSource, InspectStep
from phoneproof.pipeline.config import io_of, prune_of, target_formats, target_precisions
from phoneproof.pipeline.config_types import Config, LoadedConfig, TargetConfig, TargetName
from phoneproof.pipeline.contract_config import build_contract
from phoneproof.pipeline.head_config import with_described_head
from phoneproof.pipeline.image_hazards import image_hazards
from phoneproof.pipeline.preflight_images import load_production
from phoneproof.pipeline.request import (
    DEFAULT_BUDGET,
    INTEGERS,
    TARGET_LAYOUT,
    ArtifactRequest,
    BuildRequest,
    Finetune,
    is_quantized,
)
from phoneproof.pipeline.splits import divided, split_hazards
from phoneproof.pipeline.workshop import Workshop

_EXTERNAL_DATA = "evidence.external_data."
"""Findings that name each file an ONNX model keeps its weights in, relative to the model."""


def locate(path: Path, factory: Factory | None = None) -> FileSource:
    """The source file, which reader reads it, its hash, and that of the user's code for it.

    Raises:
        InvalidInput: missing, empty, a Git-LFS pointer. Unsupported: of no known kind.
        ConfigError: a factory for a file that holds its own network, or one that is not found.
    """
    name, reader = find_source(path)
    found = FileSource(path=path.absolute(), format=name, sha256=tree_sha256(path))
    if factory is None:
        return found
    if not isinstance(reader, TakesFactory):
        raise ConfigError(
            f"{path.name} takes no factory: the file says itself what its network is",
            found=f"read as {name}, factory {factory.target}",
            next_step="leave the factory out",
        )
    return replace(found, factory=factory, factory_sha256=factory_files(factory).sha256)


def factory_of(config: Config) -> Factory | None:
    """The factory that a configuration names; its module is looked for beside the file first."""
    if config.model.factory is None:
        return None
    return Factory(target=config.model.factory, folder=_folder_of(config))


def _folder_of(config: Config) -> Path:
    """Where the user's own code is looked for first."""
    return config.folder if isinstance(config, LoadedConfig) else Path.cwd()


def inspect_source(workshop: Workshop, source: FileSource) -> Inspection:
    """What the source says of itself; read in a worker, because files can be hostile."""
    result = workshop.cache.result(InspectStep(source=source))
    return parse((result.folder / "inspection.json").read_bytes(), Inspection, what="inspection")


def with_external_data(source: FileSource, inspection: Inspection) -> FileSource:
    """The source with a hash that covers the weights lying in files beside it, where there are.

    They are hashed here: the inspection may come from the cache, and be older than they are.

    Raises:
        InvalidInput: one is missing, or no longer a plain file inside the model's folder.
    """
    names = [
        finding.key.removeprefix(_EXTERNAL_DATA)
        for finding in inspection.findings
        if finding.key.startswith(_EXTERNAL_DATA)
    ]
    if not names:
        return source
    beside = [(name, file_sha256(weights_beside(source.path, name))) for name in sorted(names)]
    return replace(source, sha256=content_hash((source.sha256, beside)))


def prepare(
    config: Config,
    workshop: Workshop,
    listener: Listener,
    *,
    targets: tuple[TargetName, ...] = (),
    budget: float | None = None,
) -> BuildRequest:
    """Everything decided before the first conversion.

    Args:
        targets: only these of the configured targets; empty means all.
        budget: seconds that each repair ladder may take; null: the default.

    Raises:
        ConfigError: a target that is not configured, or a contract that does not fit the source.
        Unsupported: a pipeline with NMS of a model that cannot have one.
    """
    source = locate(config.model.source, factory_of(config))
    inspection = inspect_source(workshop, source)
    source = with_external_data(source, inspection)
    contract = build_contract(config, inspection)
    inspection = with_described_head(config, inspection)
    artifacts = artifact_requests(config, targets)
    binding = hub_binding(inspection, contract, size=contract.image.size, batch=1)
    if any(one.nms for one in artifacts):
        require_pipeline(contract, binding)
    images, kind = load_labelled(config.data.evaluation, config.data.labels, contract, listener)
    splits = None
    if any(is_quantized(one.precision) or one.prune is not None for one in artifacts):
        calibrates = any(
            one.precision == "static_wi8_ai8" or one.prune is not None for one in artifacts
        )
        images, splits = divided(images, config.data.calibration, calibrates=calibrates)
    return BuildRequest(
        source=source,
        inspection=inspection,
        contract=contract,
        hub_binding=binding,
        images=images,
        dataset_kind=kind,
        artifacts=artifacts,
        targets=tuple(name for name, _ in _wanted(config, targets)),
        checks=config.checks,
        hazards=(*image_hazards(images), *split_hazards(splits)),
        golden=golden_pictures(config),
        production=load_production(config.data.production, listener),
        splits=splits,
        budget=DEFAULT_BUDGET if budget is None else budget,
        engine=_engine_of(config, targets),
        destination=config.package.directory / f"{contract.name}-{contract.version}",
    )


def load_labelled(
    images: Path, labels: Path | None, contract: Contract, listener: Listener
) -> tuple[ImageSet, str]:
    """The images with the contract's labels, and what kind of data set they are."""
    from phoneproof.data.files import list_images
    from phoneproof.data.layout import detect_layout
    from phoneproof.data.load import load_images

    step = "images"

    def progress(done: int, total: int) -> None:
        listener(Event(step=step, state="progress", done=done, total=total))

    listener(Event(step=step, state="started"))
    found = load_images(
        images,
        labels=labels,
        contract_labels=contract.labels,
        task=contract.task,
        class_index=contract.class_index,
        progress=progress,
    )
    skipped = f", {len(found.skipped)} left out" if found.skipped else ""
    listener(Event(step=step, state="finished", message=f"{len(found.items)} images{skipped}"))
    layout = detect_layout(images, list_images(images), labels=labels, task=contract.task)
    return found, layout.kind


def artifact_requests(config: Config, only: tuple[TargetName, ...]) -> tuple[ArtifactRequest, ...]:
    """The artifacts of the wanted targets, each once, float32 first.

    Raises:
        ConfigError: two targets want one format with different layouts or opsets.
        Unsupported: batch or sizes.
    """
    found: dict[tuple[Route, str], ArtifactRequest] = {}
    settled: dict[tuple[Route, Format], tuple[TargetName, ArtifactRequest]] = {}
    for name, target in _wanted(config, only):
        if target.batch != (1,) or target.sizes is not None:
            raise Unsupported(
                f"targets.{name}: batch and sizes are not available in this version",
                next_step="leave both out; [contract] size sets the one size",
            )
        for request in _requests_of(name, target, _folder_of(config)):
            first = settled.setdefault((request.route, request.format), (name, request))
            _require_same_form(first, (name, request))
            _require_same_promise(found.get((request.route, request.id)), name, request)
            found[request.route, request.id] = request
    return _ordered(tuple(found.values()))


def _requests_of(name: TargetName, target: TargetConfig, folder: Path) -> Iterator[ArtifactRequest]:
    """What one target asks for; by the classic route also the float32 file of every link.

    folder: where the user's own code is looked for first.
    """
    formats = target_formats(name, target)
    for format_ in formats:
        precisions = target_precisions(target, format_)
        for precision in precisions:
            yield _request_of(target, format_, precision)
        if (prune := prune_of(target)) is not None:
            for precision in ("float32", *(one for one in precisions if _is_climbed(format_, one))):
                plain = _request_of(target, format_, precision)
                code = _finetune_of(target, folder)
                yield replace(plain, suffix="-pruned", prune=prune, finetune=code)
    if target.route == "classic":
        for link in max((ROUTES["classic"][one] for one in formats), key=len):
            yield _request_of(target, link.target, "float32")


def _is_climbed(format_: Format, precision: Precision) -> bool:
    """Whether the repair ladder makes it from any float32 file."""
    return format_ in ("tflite", "onnx") and precision in INTEGERS


def _finetune_of(target: TargetConfig, folder: Path) -> Finetune | None:
    """The user's training of a pruned network.

    Raises:
        ConfigError: no such module, or it is not Python.
    """
    if target.prune is None or target.prune.finetune is None:
        return None
    code = Factory(target=target.prune.finetune, folder=folder, called="finetune")
    files = factory_files(code)
    return Finetune(code=code, files=files, sha256=files.sha256)


def _request_of(target: TargetConfig, format_: Format, precision: Precision) -> ArtifactRequest:
    layout = TARGET_LAYOUT[format_]
    if target.layout is not None and not _is_between(target, format_):
        layout = target.layout
    return ArtifactRequest(
        format=format_,
        precision=precision,
        layout=layout,
        opset=target.opset,
        route=target.route,
        io=io_of(target) if precision == "static_wi8_ai8" and format_ == "tflite" else Io(),
        repair=target.repair,
        apple=apple_form(target, format_),
        nms=target.nms and format_ == "coreml",
    )


def _is_between(target: TargetConfig, format_: Format) -> bool:
    """ONNX and the second hub keep their own layout where they are stations on the way."""
    return target.route == "classic" and format_ in ("onnx", "hub")


def _ordered(requests: tuple[ArtifactRequest, ...]) -> tuple[ArtifactRequest, ...]:
    """float32 first; the classic route's in the order of its links, marked where both make one.

    The first link is the direct conversion to ONNX: where both want that file, it is made and
    shipped once, as the chain's.
    """
    classic = [one for one in requests if one.route == "classic"]
    direct = [one for one in requests if one.route == "direct" and not _is_first_link(one, classic)]
    both = {one.format for one in direct}
    places = {link.target: place for place, link in enumerate(ROUTES["classic"]["tflite"])}
    order = {"float32": 0}
    return (
        *sorted(direct, key=lambda one: (order.get(one.precision, 1), one.id)),
        *sorted(
            (replace(one, suffix="-classic") if one.format in both else one for one in classic),
            key=lambda one: (order.get(one.precision, 1), places[one.format]),
        ),
    )


def _is_first_link(one: ArtifactRequest, classic: list[ArtifactRequest]) -> bool:
    return one.format == "onnx" and replace(one, route="classic") in classic


def _require_same_form(
    first: tuple[TargetName, ArtifactRequest], other: tuple[TargetName, ArtifactRequest]
) -> None:
    """All precisions of a format are made from one float32 file, so they share its form."""
    (one, a), (two, b) = first, other
    if (a.layout, a.opset) != (b.layout, b.opset):
        raise ConfigError(
            f"targets.{one} and targets.{two} want different {a.format} files",
            found=f"{one}: {a.layout}, opset {a.opset}; {two}: {b.layout}, opset {b.opset}",
            next_step="give both targets the same layout and opset",
        )


def _require_same_promise(
    one: ArtifactRequest | None, name: TargetName, other: ArtifactRequest
) -> None:
    """The same artifact of two targets is one file."""
    if one is not None and (one.io, one.repair, one.prune, one.finetune, one.nms) != (
        other.io,
        other.repair,
        other.prune,
        other.finetune,
        other.nms,
    ):
        raise ConfigError(
            f"two targets want different files of {other.id}",
            found=f"targets.{name} asks for {_promise(other)}, another target for {_promise(one)}",
            next_step="give both targets the same io, repair, prune and nms",
        )


def _promise(request: ArtifactRequest) -> str:
    io = request.io
    return f"input {io.input}, output {io.output}, repair {str(request.repair).lower()}"


def _engine_of(config: Config, only: tuple[TargetName, ...]) -> AndroidEngine | None:
    """The engine of the Android app, where there is to be one."""
    android = dict(_wanted(config, only)).get("android")
    if android is None:
        return None
    return app_engine(target_formats("android", android), android.engine)


def golden_pictures(config: Config) -> tuple[Path, ...]:
    """The pictures the user named for shipping, sorted; none means generated ones."""
    folder = config.package.golden
    if folder is None:
        return ()
    from phoneproof.data.files import list_images

    return tuple(image.path for image in list_images(folder))


def _wanted(config: Config, only: tuple[TargetName, ...]) -> list[tuple[TargetName, TargetConfig]]:
    configured: dict[TargetName, TargetConfig | None] = {
        "android": config.targets.android,
        "ios": config.targets.ios,
        "server": config.targets.server,
    }
    missing = [name for name in only if configured[name] is None]
    if missing:
        raise ConfigError(
            f"no [targets.{missing[0]}] in the configuration",
            found=f"configured: {', '.join(n for n, t in configured.items() if t is not None)}",
            next_step=f"add [targets.{missing[0]}], or leave --target out",
        )
    return [
        (name, target)
        for name, target in configured.items()
        if target is not None and (not only or name in only)
    ]
