"""Which contract and which input tensor `phoneproof pixels` speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from phoneproof.core.binding import Binding, InputBinding
from phoneproof.core.contract import Contract
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.core.json_format import parse
from phoneproof.package.bundle import GOLDEN, MANIFEST, Bundle, read_bundle
from phoneproof.package.golden import INDEX
from phoneproof.pipeline.loaded import load_artifact, read_file

DIST = Path("dist")
"""Where builds put their bundles unless told otherwise, relative to the current folder."""


@dataclass(frozen=True, kw_only=True)
class PixelSource:
    """A contract and how one file's input tensor carries it.

    Attributes:
        picture: the image file.
        origin: what the contract was taken from, for people.
        assumed: what was not said anywhere, for people; empty where nothing was assumed.
    """

    picture: Path
    contract: Contract
    binding: Binding
    origin: str
    assumed: str = ""


def find_pixel_source(
    image: Path, *, artifact: Path | None, bundle: Path | None, contract: Path | None
) -> PixelSource:
    """The contract for `image`: the one named, its own bundle's, or the newest bundle's in dist.

    Args:
        image: a picture; with a bundle also the id of one of its golden cases.
        artifact, bundle, contract: at most one is given.

    Raises:
        ConfigError: more than one was given, or none and no bundle is found.
        InvalidInput: a file that is missing, damaged, or carries no contract.
        VerificationFailed: the bundle was altered.
    """
    if sum(given is not None for given in (artifact, bundle, contract)) > 1:
        raise ConfigError(
            "more than one contract was named",
            next_step="pass one of --artifact, --bundle, --contract",
        )
    if artifact is not None:
        loaded = load_artifact(artifact)
        return PixelSource(
            picture=_file(image),
            contract=loaded.contract,
            binding=loaded.binding,
            origin=artifact.name,
        )
    if contract is not None:
        return _of_contract(_file(image), contract)
    return _of_bundle(image, read_bundle(bundle or _bundle_for(image)))


def _of_contract(image: Path, path: Path) -> PixelSource:
    """A contract alone names no tensor: the layout and type that TFLite files here have."""
    contract = parse(read_file(path), Contract, what=path.name)
    spec = contract.image
    tensor = InputBinding(
        tensor=spec.name, shape=(1, *spec.size, spec.channel_count), layout="NHWC"
    )
    return PixelSource(
        picture=image,
        contract=contract,
        binding=Binding(contract=contract.sha256, format="tflite", inputs=(tensor,), outputs=()),
        origin=path.name,
        assumed="a contract names no tensor: NHWC float32 is assumed; --artifact says it exactly",
    )


def _of_bundle(image: Path, bundle: Bundle) -> PixelSource:
    """The bundle's first TFLite file stands for what an app feeds, else its first file."""
    artifacts = bundle.manifest.artifacts
    if not artifacts:
        raise InvalidInput(f"the bundle {bundle.folder.name} holds no artifact")
    chosen = next((one for one in artifacts if one.format == "tflite"), artifacts[0])
    tensor = chosen.binding.image
    single = msgspec.structs.replace(tensor, shape=(1, *tensor.shape[1:]))
    return PixelSource(
        picture=image if image.is_file() else _golden_picture(image, bundle),
        contract=bundle.contract,
        binding=msgspec.structs.replace(chosen.binding, inputs=(single,)),
        origin=f"{bundle.folder.name}, {chosen.id}",
    )


def _golden_picture(image: Path, bundle: Bundle) -> Path:
    from phoneproof.core.golden import GoldenIndex

    if bundle.manifest.golden is None:
        return _file(image)
    folder = bundle.folder / GOLDEN
    index = parse(read_file(folder / INDEX), GoldenIndex, what=INDEX)
    for case in index.cases:
        if str(image) == case.id:
            return folder / case.file
    raise InvalidInput(
        f"no such picture: {image}",
        found=f"golden cases: {', '.join(case.id for case in index.cases)}",
        next_step="name a picture file, or one of these cases",
    )


def _file(image: Path) -> Path:
    if not image.is_file():
        raise InvalidInput(f"no such picture: {image}", next_step="name a picture file")
    return image


def _bundle_for(image: Path) -> Path:
    """The bundle whose golden picture `image` is, else the newest bundle in ./dist."""
    for folder in image.absolute().parents:
        if (folder / MANIFEST).is_file():
            return folder
    found = [path.parent for path in DIST.glob(f"*/{MANIFEST}")]
    if not found:
        raise ConfigError(
            "pixels needs a contract",
            found=f"no bundle in ./{DIST}",
            next_step="pass --artifact FILE, --bundle FOLDER or --contract contract.json, "
            "or run `phoneproof build` first",
        )
    return max(found, key=lambda folder: ((folder / MANIFEST).stat().st_mtime_ns, folder.name))
