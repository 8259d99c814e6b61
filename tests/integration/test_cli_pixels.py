"""`phoneproof pixels`: the first values, and each mistake of a phone's dump named."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from phoneproof.cli.main import main
from phoneproof.core.binding import InputBinding, Layout
from phoneproof.core.contract import Contract, Filter, ImageInput, Pad, Resize
from phoneproof.core.json_format import pretty_bytes
from phoneproof.core.presets import preset_input
from phoneproof.pipeline.first_pixels import DumpReport, FirstPixels
from phoneproof.pixels.image import read_image
from phoneproof.pixels.preprocess import Preprocessor
from tests.integration.colour_model import picture

SIDE = 96
SIZE = (SIDE, SIDE)
_ROTATED_RIGHT = 6


def letterbox(method: Filter = "opencv.linear") -> ImageInput:
    geometry = (Resize(to="contain", size=SIZE, filter=method), Pad(size=SIZE))
    return msgspec.structs.replace(preset_input("ultralytics.detect", SIZE), geometry=geometry)


def stretched(method: Filter) -> ImageInput:
    geometry = (Resize(to="stretch", size=SIZE, filter=method),)
    return msgspec.structs.replace(letterbox(), geometry=geometry)


def torchvision() -> ImageInput:
    return preset_input("torchvision.imagenet", SIZE)


CONTRACTS: dict[str, ImageInput] = {"letterbox": letterbox(), "torchvision": torchvision()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Exit code and standard output of one command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Desk:
    """A contract on disk, a picture, and the command."""

    folder: Path
    spec: ImageInput
    picture: Path
    read: Callable[[], tuple[str, str]]

    def pixels(self, *arguments: str | Path, picture: Path | None = None) -> Asked:
        words = ("pixels", picture or self.picture, *arguments)
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = self.read()
        return Asked(code=int(ended.value.code or 0), out=out, err=err)

    def against(self, data: bytes, *, picture: Path | None = None) -> tuple[int, DumpReport]:
        dump = self.folder / "dump.bin"
        dump.write_bytes(data)
        contract = self.folder / "contract.json"
        asked = self.pixels("--contract", contract, "--against", dump, "--json", picture=picture)
        return asked.code, msgspec.json.decode(asked.out, type=DumpReport)

    def dump(self, spec: ImageInput | None = None, layout: Layout = "NHWC") -> bytes:
        """The tensor that an app with this input would feed; the contract's own by default."""
        return self.dump_of(read_image(self.picture, self.spec), spec, layout)

    def dump_of(
        self,
        rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
        spec: ImageInput | None = None,
        layout: Layout = "NHWC",
    ) -> bytes:
        shape = (1, *SIZE, 3) if layout == "NHWC" else (1, 3, *SIZE)
        tensor = InputBinding(tensor="image", shape=shape, layout=layout)
        return Preprocessor(spec or self.spec, tensor).prepare(rgb).tensor.tobytes()


@pytest.fixture(params=sorted(CONTRACTS))
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Desk:
    """A photograph-like picture that lies on its side, with the EXIF note that says so."""
    spec = CONTRACTS[request.param]
    contract = Contract(name="m", task="raw", inputs=(spec,))
    (tmp_path / "contract.json").write_bytes(pretty_bytes(contract))
    path = tmp_path / "picture.png"
    exif = Image.Exif()
    exif[274] = _ROTATED_RIGHT
    large = Image.fromarray(picture("green", 5)).resize((301, 197), Image.Resampling.BICUBIC)
    large.save(path, exif=exif)

    def read() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return Desk(folder=tmp_path, spec=spec, picture=path, read=read)


def replaced(spec: ImageInput, **changes: object) -> ImageInput:
    return msgspec.structs.replace(spec, **changes)


def test_the_contracts_own_tensor_is_identical(desk: Desk) -> None:
    code, report = desk.against(desk.dump())
    assert (code, report.verdict, report.mistakes) == (0, "identical", ())
    assert report.max_difference == 0


@pytest.mark.parametrize("finished", [False, True], ids=["pixels", "finished-tensor"])
def test_bgr_is_named(desk: Desk, finished: bool) -> None:
    """Swapped before the mean is taken off by place, or when all is done."""
    swapped = replaced(desk.spec, channels="bgr")
    if finished:
        swapped = replaced(swapped, mean=desk.spec.mean[::-1], std=desk.spec.std[::-1])
    code, report = desk.against(desk.dump(swapped))
    assert (code, report.mistakes) == (7, ("BGR channel order",))


def test_a_mean_in_the_other_order_is_named(desk: Desk) -> None:
    turned = replaced(desk.spec, mean=desk.spec.mean[::-1], std=desk.spec.std[::-1])
    code, report = desk.against(desk.dump(turned))
    if turned == desk.spec:
        assert (code, report.verdict) == (0, "identical")
    else:
        assert (code, report.mistakes) == (7, ("mean and std in BGR order",))


def test_a_stretched_picture_is_named(desk: Desk) -> None:
    resize = next(op for op in desk.spec.geometry if isinstance(op, Resize))
    code, report = desk.against(
        desk.dump(replaced(desk.spec, geometry=stretched(resize.filter).geometry))
    )
    assert code == 7
    assert any("stretch" in mistake for mistake in report.mistakes), report.mistakes


def test_a_wrong_filter_is_named(desk: Desk) -> None:
    other: dict[str, Filter] = {
        "opencv.linear": "pillow.bilinear",
        "pillow.bilinear": "opencv.linear",
    }
    geometry = tuple(
        msgspec.structs.replace(op, filter=other[op.filter]) if isinstance(op, Resize) else op
        for op in desk.spec.geometry
    )
    code, report = desk.against(desk.dump(replaced(desk.spec, geometry=geometry)))
    wrong = next(op.filter for op in geometry if isinstance(op, Resize))
    assert code == 7
    assert len(report.mistakes) == 1
    assert f"resized with {wrong}" in report.mistakes[0]


def test_a_missing_rotation_is_named(desk: Desk) -> None:
    lying = read_image(desk.picture, replaced(desk.spec, orientation="ignore"))
    code, report = desk.against(desk.dump_of(lying))
    assert (code, report.mistakes) == (7, ("EXIF rotation not applied",))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"scale": 1.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}, "0..255"),
        ({"scale": 1 / 127.5, "mean": (1.0,) * 3, "std": (1.0,) * 3}, "127.5"),
    ],
    ids=["not-scaled", "minus-one-to-one"],
)
def test_a_wrong_scale_is_named(desk: Desk, changes: dict[str, object], word: str) -> None:
    code, report = desk.against(desk.dump(replaced(desk.spec, **changes)))
    assert code == 7
    assert len(report.mistakes) == 1
    assert word in report.mistakes[0]


def test_a_wrong_mean_is_named(desk: Desk) -> None:
    """ImageNet's mean and std where there are none, and none where there are."""
    plain = replaced(desk.spec, mean=(0.0,) * 3, std=(1.0,) * 3)
    imagenet = replaced(desk.spec, mean=torchvision().mean, std=torchvision().std)
    wrong = imagenet if plain == desk.spec else plain
    code, report = desk.against(desk.dump(wrong))
    assert code == 7
    assert len(report.mistakes) == 1
    assert "mean" in report.mistakes[0] or "/ 255" in report.mistakes[0], report.mistakes


def test_another_memory_order_is_named(desk: Desk) -> None:
    code, report = desk.against(desk.dump(layout="NCHW"))
    assert (code, report.mistakes) == (7, ("NCHW memory order instead of NHWC",))


def test_two_mistakes_at_once_are_both_named(desk: Desk) -> None:
    wrong = replaced(
        desk.spec,
        channels="bgr",
        scale=1 / 127.5,
        mean=(1.0,) * 3,
        std=(1.0,) * 3,
    )
    code, report = desk.against(desk.dump(wrong))
    assert code == 7
    said = ", ".join(report.mistakes)
    assert "BGR" in said
    assert "127.5" in said


def test_another_picture_is_not_explained(desk: Desk) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (80, 90, 3), dtype=np.uint8)
    code, report = desk.against(desk.dump_of(noise))
    assert (code, report.verdict, report.mistakes) == (7, "unexplained", ())


def test_another_jpeg_decoder_is_no_mistake(desk: Desk) -> None:
    """Half of the values one unit off: what decoders do to each other."""
    rgb = read_image(desk.picture, desk.spec).astype(np.int16)
    flips = np.random.default_rng(2).integers(-1, 2, rgb.shape)
    code, report = desk.against(desk.dump_of((rgb + flips).clip(0, 255).astype(np.uint8)))
    assert (code, report.verdict) == (0, "same pixels, another JPEG decoder")


@pytest.mark.parametrize("size", [0, 100, SIDE * SIDE * 3])
def test_a_dump_of_another_size_is_bad_input(desk: Desk, size: int) -> None:
    dump = desk.folder / "dump.bin"
    dump.write_bytes(bytes(size))
    asked = desk.pixels("--contract", desk.folder / "contract.json", "--against", dump)
    assert asked.code == 9
    assert f"{size} bytes" in asked.err
    assert f"write {SIDE * SIDE * 3 * 4} bytes" in asked.err


def test_a_missing_dump_is_bad_input(desk: Desk) -> None:
    asked = desk.pixels("--contract", desk.folder / "contract.json", "--against", "nowhere.bin")
    assert asked.code == 9
    assert "nowhere.bin" in asked.err


def test_the_first_values_are_those_of_the_tensor(desk: Desk) -> None:
    asked = desk.pixels("--contract", desk.folder / "contract.json", "--json")
    view = msgspec.json.decode(asked.out, type=FirstPixels)
    fed = np.frombuffer(desk.dump(), np.float32).reshape(*SIZE, 3)
    assert asked.code == 0
    assert (view.width, view.height) == (197, 301)
    assert (view.shape, view.layout, view.dtype) == ((1, *SIZE, 3), "NHWC", "float32")
    assert view.rows[0].channels[0].channel == "red"
    for row in view.rows:
        for index, channel in enumerate(row.channels):
            expected = fed[row.row, row.column : row.column + 8, index]
            assert channel.tensor == pytest.approx(expected.tolist(), rel=1e-6)
    if desk.spec == letterbox():
        assert set(view.rows[0].channels[0].pixels) == {114}
        assert view.rows[1].column > 0


def test_the_words_say_what_is_done(desk: Desk) -> None:
    asked = desk.pixels("--contract", desk.folder / "contract.json")
    assert asked.code == 0
    assert "197x301" in asked.out
    resize = next(op for op in desk.spec.geometry if isinstance(op, Resize))
    assert resize.filter in asked.out
    assert ("padded to 96x96" in asked.out) == (desk.spec == letterbox())
    assert "tensor" in asked.out


def test_without_a_contract_the_message_says_what_to_pass(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    asked = desk.pixels()
    assert asked.code == 2
    for option in ("--artifact", "--bundle", "--contract"):
        assert option in asked.err


def test_two_contracts_are_one_too_many(desk: Desk) -> None:
    asked = desk.pixels("--contract", "a.json", "--bundle", "b")
    assert asked.code == 2
    assert os.linesep in asked.err
