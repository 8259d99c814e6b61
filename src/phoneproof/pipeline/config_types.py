"""phoneproof.toml as types. TOML has no null: a field left out is null here."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from phoneproof.convert.routes import Route
from phoneproof.core.apple import AppleInput, MinimumIos
from phoneproof.core.binding import Format, Layout, Precision
from phoneproof.core.contract import (
    Channels,
    GeometryOp,
    GrayFormula,
    Nms,
    Size,
    Task,
)
from phoneproof.core.engine import AndroidEngine
from phoneproof.core.recipe import Io, IoType
from phoneproof.core.schema import SchemaType
from phoneproof.pipeline.head_types import HeadConfig

Side = int | Size
"""A square's side, or [height, width]."""

PrecisionRequest = Precision | Literal["int8"]
TargetName = Literal["android", "ios", "server"]


class ModelConfig(SchemaType, frozen=True, kw_only=True):
    """``[model]``: which model, and what it is called in the bundle.

    source: the trained model's file. factory: ``module:function`` that builds the network, for
    bare weights. reference: another file of the same model whose outputs are believed.
    """

    source: Path
    factory: str | None = None
    name: str
    version: str = "1.0.0"
    reference: Path | None = None
    reference_python: Path | None = None


class DataConfig(SchemaType, frozen=True, kw_only=True):
    """``[data]``: image folders. labels: a labels file or folder, where none lies beside them.

    calibration: for quantization only, never evaluated on. production: what phones really see.
    """

    evaluation: Path
    calibration: Path | None = None
    production: Path | None = None
    labels: Path | None = None


class DecodeConfig(SchemaType, frozen=True, kw_only=True):
    """``[contract.decode]``: overrides of the preset's decode. ``nms = false``: none."""

    confidence: float | None = None
    multi_label: bool | None = None
    nms: Nms | bool | None = None


class ContractConfig(SchemaType, frozen=True, kw_only=True):
    """``[contract]``: a preset, and what overrides it.

    Without a preset size, scale, mean and std are required. labels: in index order, "" for
    background or a gap; or labels_file, one label a line (a line "-" for such a gap).
    """

    preset: str | None = None
    task: Task | None = None
    size: Side | None = None
    orientation: Literal["exif", "ignore"] | None = None
    color_profile: Literal["as_stored", "srgb"] | None = None
    alpha: Literal["drop"] | tuple[int, int, int] | None = None
    channels: Channels | None = None
    gray: GrayFormula | None = None
    geometry: tuple[GeometryOp, ...] | None = None
    values: Literal["uint8", "float32"] | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    labels_file: Path | None = None
    decode: DecodeConfig | None = None


class PruneConfig(SchemaType, frozen=True, kw_only=True):
    """``prune`` of a target: the share (0..1) that shall be left, of one of the two.

    macs: multiply-accumulates of one image. size: numbers in the weights. seconds: how long each
    try may learn from the original on unlabelled images. finetune: ``module:function`` that trains
    the pruned network instead.
    """

    macs: float | None = None
    size: float | None = None
    seconds: float = 150.0
    finetune: str | None = None


class TargetConfig(SchemaType, frozen=True, kw_only=True):
    """``[targets.*]``: what to make. Null: the target's default.

    batch, sizes: axes of the build; sizes null: the contract's. io: types of the tensors the app
    touches in a file with int8 activations, one for both or ``{ input, output }``. layout: of the
    image input. route: ``direct`` makes each format straight from the hub; ``classic`` goes hub ->
    ONNX -> hub -> SavedModel -> TFLite up to the format, and keeps and verifies every file on the
    way (precisions null: float32 alone). repair: whether int8 may end as another file than the
    first try, where that one is refused. prune: one more float32 file of each format, with fewer
    channels: the smallest down to the target that is accepted. input, minimum_ios: of Core ML
    files; null: ``image`` and 17. nms: Core ML files of detectors are pipelines that end in Core
    ML's own suppression, for Vision. engine: what runs the files in the generated Android app;
    null: LiteRT where there are TFLite files, else ONNX Runtime.
    """

    formats: tuple[Format, ...] | None = None
    precisions: tuple[PrecisionRequest, ...] | None = None
    io: IoType | Io = "float32"
    batch: tuple[int, ...] = (1,)
    sizes: tuple[Side, ...] | None = None
    repair: bool = True
    prune: PruneConfig | None = None
    opset: int = 12
    layout: Layout | None = None
    route: Route = "direct"
    input: AppleInput | None = None
    minimum_ios: MinimumIos | None = None
    nms: bool = False
    engine: AndroidEngine | None = None


class TargetsConfig(SchemaType, frozen=True, kw_only=True):
    """``[targets]``: those that are there are built."""

    android: TargetConfig | None = None
    ios: TargetConfig | None = None
    server: TargetConfig | None = None


class ChecksConfig(SchemaType, frozen=True, kw_only=True):
    """``[checks]``: limits that replace the defaults. Rates and metrics as raw numbers (.01).

    box_match: what box_agreement counts, boxes of equal corners or objects found again; null: by
    the precision. undecided: "fail" demands that every margin check is decided. contract_search:
    where another contract explains the labels better, "gate" refuses the build, "show" only says
    so, "off" does not look.
    """

    hub_equivalence: float | None = None
    max_abs: float | None = None
    max_abs_hidden: float | None = None
    max_abs_relative: float | None = None
    snr_db: float | None = None
    top1_drop: float | None = None
    class_map_agreement: float | None = None
    top1_agreement: float | None = None
    map50_95_drop: float | None = None
    box_agreement: float | None = None
    box_pixels: float | None = None
    score_shift: float | None = None
    lost_share: float | None = None
    small_recall_drop: float | None = None
    size_ratio: float | None = None
    box_match: Literal["pixels", "objects"] | None = None
    undecided: Literal["accept", "fail"] = "accept"
    contract_search: Literal["gate", "show", "off"] = "gate"


class PackageConfig(SchemaType, frozen=True, kw_only=True):
    """``[package]``. golden: a folder of pictures that may ship inside apps; null: generated
    ones. directory: where the bundle's folder is put.
    """

    golden: Path | None = None
    directory: Path = msgspec.field(default_factory=lambda: Path("dist"))


class Config(SchemaType, frozen=True, kw_only=True):
    """phoneproof.toml. Paths are absolute once loaded."""

    model: ModelConfig
    data: DataConfig
    contract: ContractConfig = ContractConfig()
    head: HeadConfig | None = None
    targets: TargetsConfig = TargetsConfig(android=TargetConfig(), server=TargetConfig())
    checks: ChecksConfig = ChecksConfig()
    package: PackageConfig = msgspec.field(default_factory=PackageConfig)


class LoadedConfig(Config, frozen=True, kw_only=True):
    """A configuration that was read from a file. folder: where that lies, and the user's code."""

    folder: Path
