"""A small bundle with golden vectors, and what devices might say of its artifact."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec
from numpy.typing import NDArray

from phoneproof.core.artifact import Artifact, file_sha256, tree_bytes, tree_sha256
from phoneproof.core.binding import Format, Precision
from phoneproof.core.contract import Contract, ImageInput
from phoneproof.core.golden import GoldenIndex
from phoneproof.core.json_format import parse
from phoneproof.core.report import Report
from phoneproof.package.bundle import Bundle, BundleContents, read_bundle, write_bundle
from phoneproof.package.golden import make_golden
from phoneproof.package.golden_tensors import read_tensor
from phoneproof.verify.limits import Limits, limits_for
from tests.unit import report_samples as samples
from tests.unit import test_package_golden as golden_tests

Document = dict[str, Any]
Change = Callable[[NDArray[Any]], NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Shipped:
    """A bundle on disk."""

    folder: Path

    @property
    def bundle(self) -> Bundle:
        return read_bundle(self.folder)

    @property
    def golden(self) -> GoldenIndex:
        data = (self.folder / "golden" / "index.json").read_bytes()
        return parse(data, GoldenIndex, what="golden index")

    def document(self, change: Change | None = None, **accelerator: object) -> Document:
        """What a device writes that gives the recorded outputs, or what `change` makes of them."""
        index = self.golden
        vectors = []
        for case in index.cases:
            if "lossless" not in case.flags:
                continue
            expected = case.expected.artifacts[0]
            outputs = []
            for golden in expected.outputs:
                stored = read_tensor(self.folder / "golden", golden)
                values = stored if change is None else change(stored.copy()).astype(stored.dtype)
                outputs.append({
                    "name": golden.name, "dtype": golden.dtype, "every": golden.every,
                    "values": base64.b64encode(values.tobytes()).decode(),
                    "max_abs": 0.0, "snr_db": None,
                })  # fmt: skip
            vectors.append(
                {"case": case.id, "input_sha256": expected.input.sha256, "outputs": outputs}
            )
        artifact = self.bundle.manifest.artifacts[0]
        return {
            "schema": "phoneproof.device-results/1",
            "created": "2026-11-21T20:00:00Z",
            "made_by": {"name": "phoneproof-verify", "version": "1"},
            "device": {
                "model": "iPhone17,3", "name": "iPhone 16", "os": "iOS", "os_version": "18.1",
            },
            "contract": artifact.binding.contract,
            "golden": file_sha256(self.folder / "golden" / "index.json"),
            "artifact": artifact.sha256,
            "engine": "Core ML",
            "accelerators": [
                {
                    "kind": "npu", "name": "CPU and Neural Engine", "state": "ran",
                    "vectors": vectors,
                    "latency": {
                        "n": 50, "warm_up": 5, "first_ms": 9.0, "p50_ms": 1.25, "p95_ms": 1.5,
                    },
                    "thermal": "nominal",
                    **accelerator,
                }
            ],
        }  # fmt: skip


def write(path: Path, document: Document) -> Path:
    """The document as a file."""
    path.write_text(json.dumps(document))
    return path


def ship(
    folder: Path,
    task: str = "classify",
    precision: Precision = "float32",
    limits: Limits | None = None,
    *,
    format_: Format = "coreml",
    requested: Precision | None = None,
    float_pixels: bool = False,
) -> Shipped:
    """Write a bundle of one artifact that is a line of code, held to `limits` when built."""
    is_classify = task == "classify"
    contract = golden_tests.classify_contract() if is_classify else _detect_contract()
    if float_pixels:
        contract = with_float_pixels(contract)
    make_binding = golden_tests.classify_binding if is_classify else golden_tests.detect_binding
    model = folder.with_name(f"{folder.name}-model")
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(b"weights" * 9)
    binding = msgspec.structs.replace(
        make_binding(contract), artifact=tree_sha256(model), precision=precision
    )
    artifact = msgspec.structs.replace(
        golden_tests.artifact_of(binding),
        id=f"{format_}-{precision}",
        format=format_,
        requested=requested or precision,
        precision=precision,
        path="artifacts/model.mlmodel",
        sha256=tree_sha256(model),
        bytes=tree_bytes(model),
    )
    compute = golden_tests.classify if is_classify else golden_tests.detect
    golden = folder.with_name(f"{folder.name}-golden")
    opener = golden_tests.opener(compute)
    make_golden(golden, contract, [(artifact, model)], opener, ())
    write_bundle(
        folder,
        BundleContents(
            contract=contract,
            report=_report(contract, artifact, limits or limits_for(precision)),
            artifacts=((artifact, model),),
            golden=golden,
            comparisons=(),
        ),
    )
    return Shipped(folder=folder)


def with_float_pixels(contract: Contract) -> Contract:
    """The contract with a resize that gives fractions, as TensorFlow's does."""
    fields = msgspec.to_builtins(contract.image)
    resize = {"op": "resize", "to": "stretch", "size": fields["size"]}
    resize["filter"] = "tensorflow.bilinear_half_pixel"
    image = msgspec.convert(fields | {"geometry": [resize], "values": "float32"}, ImageInput)
    return msgspec.structs.replace(contract, inputs=(image,))


def _detect_contract() -> Contract:
    return samples.detect_contract(size=golden_tests.SIZE)


def _report(contract: Contract, artifact: Artifact, limits: Limits) -> Report:
    whole = samples.accepted_report()
    precision = artifact.precision
    one = msgspec.structs.replace(
        whole.artifacts[-1],
        id=artifact.id,
        format=artifact.format,
        requested=precision,
        precision=precision,
        path=artifact.path,
        bytes=artifact.bytes,
        sha256=artifact.sha256,
        limits=tuple((name, getattr(limits, name)) for name in limits.__struct_fields__),
    )
    capture = msgspec.structs.replace(whole.capture, contract=contract)
    return msgspec.structs.replace(whole, capture=capture, artifacts=(one,))


def accelerator(document: Document) -> Document:
    """The document's first accelerator."""
    return cast(Document, document["accelerators"][0])
