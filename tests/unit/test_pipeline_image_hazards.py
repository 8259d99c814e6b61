"""What is counted among the pictures before a build."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from phoneproof.core.capture import Hazard
from phoneproof.core.errors import ConfigError
from phoneproof.pipeline.data_facts import data_facts, find_labels
from phoneproof.pipeline.image_hazards import image_hazards, traits_hazards
from phoneproof.pixels.image import ImageTraits
from tests.unit.data_sets import load, picture, write


def jpeg(mode: str = "RGB", *, orientation: int = 1, profile: bytes | None = None) -> bytes:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = orientation
    colors: dict[str, tuple[float, ...]] = {"RGB": (9, 8, 7), "CMYK": (9, 8, 7, 6), "L": (9,)}
    image = Image.new(mode, (8, 4 + orientation), colors[mode])
    image.save(stream, format="JPEG", exif=exif, icc_profile=profile)
    return stream.getvalue()


def profile(name: str) -> bytes:
    """An ICC profile: sRGB's own, or Lab's under Pillow's name for it."""
    made = ImageCms.createProfile("LAB" if name == "LAB" else "sRGB")
    return ImageCms.ImageCmsProfile(made).tobytes()


def hazards(folder: Path) -> dict[str, Hazard]:
    images = load(folder, task="raw")
    return {hazard.name: hazard for hazard in image_hazards(images)}


def test_plain_pictures_have_no_hazards(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", jpeg())
    write(tmp_path / "b.jpg", jpeg(profile=profile("sRGB")))
    assert hazards(tmp_path) == {}


@pytest.mark.parametrize(
    ("content", "name", "severity"),
    [
        (jpeg(orientation=6), "exif_rotation", "warning"),
        (jpeg(profile=profile("LAB")), "icc_profile", "warning"),
        (jpeg("CMYK"), "cmyk_images", "note"),
        (jpeg("L"), "gray_images", "note"),
    ],
)
def test_each_hazard_is_counted(tmp_path: Path, content: bytes, name: str, severity: str) -> None:
    write(tmp_path / "plain.jpg", jpeg())
    write(tmp_path / "odd.jpg", content)
    [hazard] = hazards(tmp_path).values()
    assert (hazard.name, hazard.severity) == (name, severity)
    assert hazard.found.startswith("1 of 2 images")
    assert hazard.next_step


def traits(mode: str, *, has_alpha: bool = False) -> ImageTraits:
    return ImageTraits(
        width=4,
        height=4,
        format="PNG",
        mode=mode,
        has_icc_other_than_srgb=False,
        icc_name=None,
        exif_rotated=False,
        has_alpha=has_alpha,
    )


def test_transparency_and_deep_pictures_are_counted() -> None:
    found = traits_hazards(
        (traits("RGBA", has_alpha=True), traits("I;16"), traits("RGB")), unread=("x.png",)
    )
    assert {hazard.name: hazard.found.split(" images")[0] for hazard in found} == {
        "transparency": "1 of 4",
        "deep_images": "1 of 4",
        "unreadable_images": "1 of 4",
    }


def test_facts_of_a_folder(tmp_path: Path) -> None:
    for index in range(12):
        write(tmp_path / ("cat" if index % 2 else "dog") / f"{index}.jpg", _jpeg_of(index))
    write(tmp_path / "cat" / "broken.jpg", b"")
    found = find_labels(tmp_path, None, None)
    assert (found.layout, found.suggests, found.class_names) == (
        "folder_per_class",
        "classify",
        ("cat", "dog"),
    )
    facts = data_facts(found, load(tmp_path, ("cat", "dog")))
    assert (facts.images, facts.skipped, facts.labelled) == (12, 1, True)
    assert facts.calibration == 12
    assert find_labels(tmp_path / "cat", None, "classify").layout == "plain"


def test_named_labels_settle_a_task_that_the_model_leaves_open(tmp_path: Path) -> None:
    write(tmp_path / "pictures" / "a.jpg", jpeg())
    table = write(tmp_path / "labels.csv", "file,label\na.jpg,cat\n")
    found = find_labels(tmp_path / "pictures", table, None)
    assert (found.layout, found.suggests) == ("csv", "classify")
    with pytest.raises(ConfigError, match="does not carry labels for the task detect"):
        find_labels(tmp_path / "pictures", table, "detect")
    other = write(tmp_path / "labels.bin", "?")
    with pytest.raises(ConfigError, match="does not carry labels for the task"):
        find_labels(tmp_path / "pictures", other, None)


def _jpeg_of(seed: int) -> bytes:
    return picture(seed, format_="JPEG")
