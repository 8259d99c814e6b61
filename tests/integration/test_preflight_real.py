"""Pre-flight on real models: pictures as an app might send them, made from the assets."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
from PIL import Image, ImageEnhance, ImageFilter

from phoneproof.core.preflight import FeatureReport, PreflightReport
from tests.assets import asset
from tests.integration.command_line import Ran, listing, phoneproof

EVALUATION = 32
SINGLE = ("bus.jpg", "zidane.jpg", "cat.bmp", "bird.bmp", "grace_hopper.bmp", "sunflower.bmp")


def write_config(folder: Path, model: str, evaluation: Path, name: str = "phoneproof") -> None:
    lines = (
        "[model]",
        f'source = "{asset(model)}"',
        'name = "probe"',
        "[data]",
        f'evaluation = "{evaluation}"',
        f'production = "{name}-shots"',
        "[targets.android]",
        'formats = ["tflite"]',
        'precisions = ["float32"]',
    )
    (folder / f"{name}.toml").write_text("\n".join(lines))


def findings(ran: Ran) -> PreflightReport:
    assert ran.code == 0, ran.said
    return msgspec.json.decode(ran.out, type=PreflightReport)


def feature(report: PreflightReport, name: str) -> FeatureReport:
    return next(one for one in report.production.features if one.feature == name)


def spoil(picture: Image.Image, folder: Path, stem: str) -> None:
    """The picture as it is, in the dark, out of focus, and far too small."""
    folder.mkdir(exist_ok=True)
    picture.thumbnail((640, 640))
    picture.save(folder / f"{stem}.png")
    ImageEnhance.Brightness(picture).enhance(0.12).save(folder / f"{stem}-dark.png")
    picture.filter(ImageFilter.GaussianBlur(14)).save(folder / f"{stem}-blurred.png")
    picture.thumbnail((48, 48))
    picture.save(folder / f"{stem}-tiny.png")


def test_a_detector_on_spoiled_pictures(tmp_path: Path) -> None:
    images = sorted(asset("images/coco128_train/images").rglob("*.jpg"))[:EVALUATION]
    (tmp_path / "val").mkdir()
    for path in images:
        shutil.copy(path, tmp_path / "val" / path.name)
    for name in SINGLE:
        with Image.open(asset(f"images/single/{name}")) as picture:
            spoil(picture.convert("RGB"), tmp_path / "phoneproof-shots", name.split(".")[0])
    write_config(tmp_path, "models/detect/yolov8n_coco_rebuilt.pt", tmp_path / "val")
    report = findings(phoneproof("preflight", "--json", cwd=tmp_path))
    production = report.production
    assert (production.n, production.n_evaluation) == (24, EVALUATION)
    why = {p.image: {(s.feature, s.side) for s in p.surprises} for p in production.pictures}
    for name in SINGLE:
        stem = name.split(".")[0]
        assert ("brightness", "low") in why[f"{stem}-dark.png"]
        assert ("sharpness", "low") in why[f"{stem}-blurred.png"]
        assert {("short_side", "low"), ("sharpness", "low")} <= why[f"{stem}-tiny.png"]
    lost = {name for name, surprises in why.items() if ("nothing_found", "low") in surprises}
    assert len(lost) == production.nothing_found
    assert len(lost) >= 6
    assert "bus.png" not in lost  # nobody spoiled it, and COCO knows buses (but no sunflowers)
    assert feature(report, "sharpness").differs
    assert len(production.shown) == 24
    page = (tmp_path / "preflight.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 24
    assert not any("dist" in name or name.endswith(".tflite") for name in listing(tmp_path))


def test_a_classifier_on_its_own_and_on_darkened_pictures(tmp_path: Path) -> None:
    """Copies of a third of the evaluation pictures raise no alarm; darkened, they do."""
    weather = asset("images/weather_val")
    pictures = sorted(path for path in weather.rglob("*") if path.is_file())[::3]
    for name, brightness in (("same", 1.0), ("dark", 0.3)):
        folder = tmp_path / f"{name}-shots"
        folder.mkdir()
        for index, path in enumerate(p for p in pictures if p.suffix != ".csv"):
            with Image.open(path) as picture:
                changed = ImageEnhance.Brightness(picture.convert("RGB")).enhance(brightness)
                changed.save(folder / f"{index:03}.png")
        write_config(tmp_path, "models/classify/yolov8n-cls_weather_best.pt", weather, name)
    same = findings(phoneproof("preflight", "same.toml", "--json", cwd=tmp_path))
    assert not any(one.differs for one in same.production.features)
    assert same.production.hazards == ()
    dark = findings(phoneproof("preflight", "dark.toml", "--json", cwd=tmp_path))
    assert feature(dark, "brightness").differs
    assert feature(dark, "brightness").below > 10 * feature(dark, "brightness").expected
    assert [hazard.name for hazard in dark.hazards] == ["production_differs"]
    (top1,) = (metric for metric in same.recorded if metric.name == "top1")
    assert abs(top1.recorded - 0.96687) < 1e-9
    assert abs(top1.measured - 0.966) < 5e-4
    assert top1.agrees
    assert top1.n == 265
    said = phoneproof("preflight", "dark.toml", cwd=tmp_path)
    assert "darker" in said.out
    assert "agrees" in said.out


def test_bad_folders_are_named(tmp_path: Path) -> None:
    model = "models/classify/yolov8n-cls_weather_best.pt"
    write_config(tmp_path, model, asset("images/weather_val"))
    missing = phoneproof("preflight", cwd=tmp_path)
    assert missing.code == 2
    assert "data.production" in missing.said
    (tmp_path / "phoneproof-shots").mkdir()
    empty = phoneproof("preflight", cwd=tmp_path)
    assert empty.code == 9
    assert "[data] production: no images" in empty.said
    text = (tmp_path / "phoneproof.toml").read_text()
    kept = "\n".join(line for line in text.splitlines() if "production" not in line)
    (tmp_path / "phoneproof.toml").write_text(kept)
    without = phoneproof("preflight", cwd=tmp_path)
    assert without.code == 2
    assert "no production images are named" in without.said
