"""Labels from class folders, csv, YOLO txt and COCO json, and what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phoneproof.core.dataset import ImageSet
from phoneproof.core.errors import ConfigError, InvalidInput
from phoneproof.data.files import list_images
from phoneproof.data.layout import class_names, detect_layout
from phoneproof.data.match import placeholder_labels
from tests.unit.data_sets import load, picture, write


def labels_of(images: ImageSet) -> dict[str, int | None]:
    return {item.name: item.label for item in images.items}


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    write(tmp_path / "Polar_Bear" / "1.png", picture(1))
    write(tmp_path / "cat" / "2.png", picture(2))
    write(tmp_path / "cat" / "deeper" / "3.png", picture(3))
    return tmp_path


def test_folders_are_matched_by_name(folders: Path) -> None:
    images = load(folders, (None, "cat", "polar bear"))
    assert labels_of(images) == {"Polar_Bear/1.png": 2, "cat/2.png": 1, "cat/deeper/3.png": 1}
    assert images.labelled


def test_folders_are_numbered_in_sorted_order_where_labels_are_placeholders(folders: Path) -> None:
    images = load(folders, placeholder_labels(2))
    assert labels_of(images) == {"Polar_Bear/1.png": 0, "cat/2.png": 1, "cat/deeper/3.png": 1}


def test_unknown_folders_are_listed_together_with_the_nearest_label(folders: Path) -> None:
    write(folders / "zebra" / "4.png", picture(4))
    with pytest.raises(ConfigError) as caught:
        load(folders, ("cats", "polar-bears", "dog"))
    assert "3 class(es)" in caught.value.failed
    assert "'cat' (nearest: 'cats')" in caught.value.found
    assert "'Polar_Bear' (nearest: 'polar-bears')" in caught.value.found
    assert "'zebra'" in caught.value.found


def test_numbered_folders_count_labels_that_are_not_null(tmp_path: Path) -> None:
    for name, seed in (("0", 1), ("1", 2)):
        write(tmp_path / name / "x.png", picture(seed))
    assert labels_of(load(tmp_path, (None, "a", "b"))) == {"0/x.png": 1, "1/x.png": 2}


def test_images_in_the_top_folder_mean_no_classes(folders: Path) -> None:
    write(folders / "loose.png", picture(9))
    assert not load(folders, ("a",)).labelled


def test_a_raw_model_reads_no_labels(folders: Path) -> None:
    assert not load(folders, ("something else",), task="raw").labelled


def write_csv(folder: Path, text: str, name: str = "labels.csv") -> Path:
    for index in range(3):
        write(folder / f"{index}.png", picture(index))
    return write(folder / name, text)


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n0.png,0\n1.png,1\n2.png,1\n",
        "file,label\n0.png,tench\n1.png,Gold Fish\n2.png,gold_fish\n",
        "\ufeffFILE;wnid;Label\r\n0.png;x;0\r\n1.png;y;1\r\n\r\n2.png;z;1\r\n",
        'label\tfile\n0\t"0.png"\n1\tsomewhere/1.png\n1\t2.png\n',
    ],
)
def test_csv_labels_are_numbers_or_names(tmp_path: Path, text: str) -> None:
    write_csv(tmp_path, text)
    images = load(tmp_path, (None, "tench", "gold fish"))
    assert labels_of(images) == {"0.png": 1, "1.png": 2, "2.png": 2}
    assert images.skipped == ()


def test_csv_names_that_are_digits_are_names_first(tmp_path: Path) -> None:
    write_csv(tmp_path, "file,label\n0.png,9\n1.png,8\n2.png,9\n")
    assert labels_of(load(tmp_path, ("9", "8"))) == {"0.png": 0, "1.png": 1, "2.png": 0}


def test_what_is_wrong_in_a_csv_is_counted(tmp_path: Path) -> None:
    write_csv(tmp_path, "file,label\n0.png,a\n0.png,b\n../../etc/passwd,a\ngone.png,a\n2.png,a\n")
    images = load(tmp_path, ("a", "b"))
    assert labels_of(images) == {"2.png": 0}
    assert dict(images.skipped) == {
        "0.png": "labels.csv gives it two labels: a, b",
        "1.png": "not listed in labels.csv",
        "../../etc/passwd": "listed in labels.csv, but not in the folder",
        "gone.png": "listed in labels.csv, but not in the folder",
    }


def test_csv_numbers_beyond_the_labels(tmp_path: Path) -> None:
    write_csv(tmp_path, "file,label\n0.png,0\n1.png,7\n2.png,8\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, (None, "a"))
    assert "'7', '8'; the contract has 1 labels" in caught.value.found


def test_a_named_csv_elsewhere(tmp_path: Path) -> None:
    write_csv(tmp_path / "pictures", "no")
    table = write(tmp_path / "elsewhere.csv", "file,label\n1.png,a\n")
    assert labels_of(load(tmp_path / "pictures", ("a",), label_file=table)) == {"1.png": 0}


def test_a_csv_without_the_columns_is_no_labels_file(tmp_path: Path) -> None:
    table = write_csv(tmp_path, "name,class\n0.png,1\n")
    assert not load(tmp_path, ("a",)).labelled
    with pytest.raises(ConfigError, match="csv file with the columns file and label"):
        load(tmp_path, ("a",), label_file=table)


def test_a_labels_file_that_is_not_there(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    with pytest.raises(InvalidInput, match="no such labels file"):
        load(tmp_path, ("a",), label_file=tmp_path / "gone.csv")


LINES = "0 0.5 0.5 0.5 0.5\n1 0.25 0.25 0.5 0.5\n"


def yolo(folder: Path, text: str = LINES, names: str = "") -> Path:
    write(folder / "images" / "val" / "a.png", picture(1))
    write(folder / "images" / "val" / "empty.png", picture(2))
    write(folder / "labels" / "val" / "a.txt", text)
    if names:
        write(folder / "data.yaml", names)
    return folder


@pytest.mark.parametrize("below", [".", "images", "images/val"])
def test_yolo_labels_are_found_from_any_level(tmp_path: Path, below: str) -> None:
    images = load(yolo(tmp_path) / below, (None, "cat", "dog"), "detect")
    boxes = {Path(item.name).name: item.boxes for item in images.items}
    found = boxes["a.png"]
    assert found is not None
    assert [(box.label, box.xyxy) for box in found] == [
        (1, (0.25, 0.25, 0.75, 0.75)),
        (2, (0.0, 0.0, 0.5, 0.5)),
    ]
    assert boxes["empty.png"] == ()
    assert images.labelled


def test_yolo_texts_beside_the_images(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(1))
    write(tmp_path / "a.txt", LINES)
    write(tmp_path / "classes.txt", "cat\ndog\n")
    images = load(tmp_path, ("dog", "cat"), "detect")
    [item] = images.items
    assert [box.label for box in item.boxes or ()] == [1, 0]


def test_texts_that_are_not_boxes_are_not_labels(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture(1))
    write(tmp_path / "a.txt", "a caption of the picture")
    assert not load(tmp_path, ("cat",), "detect").labelled


def test_yolo_names_win_over_numbers(tmp_path: Path) -> None:
    images = load(yolo(tmp_path, names="names: [cat, dog]"), ("Dog", "Cat"), "detect")
    boxes = next(item.boxes for item in images.items if item.boxes)
    assert boxes is not None
    assert [box.label for box in boxes] == [1, 0]


def test_yolo_polygons_count_by_their_bounding_box(tmp_path: Path) -> None:
    images = load(yolo(tmp_path, "0 0.1 0.2 0.5 0.9 0.3 0.1\n"), ("cat",), "detect")
    boxes = next(item.boxes for item in images.items if item.boxes)
    assert boxes is not None
    assert boxes[0].xyxy == (0.1, 0.1, 0.5, 0.9)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0 100 100 50 50", "outside 0..1"),
        ("0 0.5 0.5 0.5", "4 columns"),
        ("0 0.5 0.5 0.5 0.5 0.9", "6 columns"),
        ("cat 0.5 0.5 0.5 0.5", "line 1"),
        ("-1 0.5 0.5 0.5 0.5", "not a class number"),
        ("0 nan 0.5 0.5 0.5", "outside 0..1"),
        ("inf 0.5 0.5 0.5 0.5", "line 1"),
        ("0 0.5 0.5 0 0.5", "without area"),
        ("\x00\xff\xfe", "line 1"),
    ],
)
def test_a_broken_label_file_costs_its_image(tmp_path: Path, text: str, reason: str) -> None:
    images = load(yolo(tmp_path, text), ("cat",), "detect")
    assert [item.name for item in images.items] == ["images/val/empty.png"]
    [(name, why)] = images.skipped
    assert name == "images/val/a.png"
    assert reason in why


def test_yolo_classes_beyond_the_labels(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="number 1; the contract has 1 labels"):
        load(yolo(tmp_path), ("cat",), "detect")


def coco(folder: Path, **changes: object) -> Path:
    write(folder / "a.png", picture(1, size=(20, 10)))
    write(folder / "empty.png", picture(2, size=(20, 10)))
    write(folder / "unlisted.png", picture(3, size=(20, 10)))
    table: dict[str, object] = {
        "info": {"year": 2017},
        "images": [
            {"id": 7, "file_name": "a.png", "width": 20, "height": 10, "license": 1},
            {"id": 8, "file_name": "empty.png", "width": 20, "height": 10},
        ],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 90, "bbox": [5, 5, 10, 4], "iscrowd": 0},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 30, 10], "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "Traffic Light"}],
    }
    return write(folder / "annotations" / "instances.json", json.dumps({**table, **changes}))


def test_coco_boxes_are_fractions_and_classes_go_by_name(tmp_path: Path) -> None:
    coco(tmp_path)
    images = load(tmp_path, ("toothbrush", None, "traffic_light"), "detect")
    found = {item.name: item.boxes for item in images.items}
    boxes = found["a.png"]
    assert boxes is not None
    assert [(box.label, box.xyxy, box.crowd) for box in boxes] == [
        (0, (0.25, 0.5, 0.75, 0.9), False),
        (2, (0.0, 0.0, 1.0, 1.0), True),
    ]
    assert found["empty.png"] == ()
    assert images.skipped == (("unlisted.png", "not listed in instances.json"),)


def test_coco_categories_are_numbered_by_id_where_labels_are_placeholders(tmp_path: Path) -> None:
    coco(tmp_path)
    images = load(tmp_path, placeholder_labels(2), "detect")
    boxes = next(item.boxes for item in images.items if item.boxes)
    assert boxes is not None
    assert [box.label for box in boxes] == [1, 0]


def test_coco_unknown_category_names(tmp_path: Path) -> None:
    coco(tmp_path)
    with pytest.raises(ConfigError, match=r"'Traffic Light' \(nearest: 'traffic lights'\)"):
        load(tmp_path, ("toothbrush", "traffic lights"), "detect")


def test_coco_boxes_of_another_picture_size_are_not_used(tmp_path: Path) -> None:
    listed = [
        {"id": 7, "file_name": "a.png", "width": 10, "height": 20},
        {"id": 8, "file_name": "empty.png", "width": 20, "height": 10},
    ]
    coco(tmp_path, images=listed)
    images = load(tmp_path, ("toothbrush", "traffic light"), "detect")
    assert "annotated as 10 x 20 pixels, but is 20 x 10" in dict(images.skipped)["a.png"]


def test_coco_with_an_unlisted_category(tmp_path: Path) -> None:
    coco(tmp_path, categories=[{"id": 90, "name": "toothbrush"}])
    images = load(tmp_path, ("toothbrush",), "detect")
    assert "category 3 is not among" in dict(images.skipped)["a.png"]


def test_coco_of_a_wrong_shape(tmp_path: Path) -> None:
    table = coco(tmp_path, images=[{"id": 7}])
    with pytest.raises(InvalidInput, match=r"instances\.json cannot be read as COCO"):
        load(tmp_path, ("toothbrush",), "detect", table)


def test_a_json_that_is_something_else_is_no_labels_file(tmp_path: Path) -> None:
    write(tmp_path / "a.png", picture())
    table = write(tmp_path / "settings.json", '{"images": 3}')
    assert not load(tmp_path, ("cat",), "detect").labelled
    with pytest.raises(ConfigError, match="does not carry labels for the task detect"):
        load(tmp_path, ("cat",), "detect", table)


def test_layouts_say_why_and_bring_their_class_names(tmp_path: Path) -> None:
    root = yolo(tmp_path / "y", names="names:\n  0: cat\n  1: dog\n")
    layout = detect_layout(root, list_images(root), labels=None, task="detect")
    assert (layout.kind, layout.class_names) == ("yolo", ("cat", "dog"))
    assert "labels folder" in layout.reason
    assert class_names(root, list_images(root)) == ("cat", "dog")
    for name, seed in (("dog", 1), ("cat", 2)):
        write(tmp_path / "f" / name / "x.png", picture(seed))
    assert class_names(tmp_path / "f", list_images(tmp_path / "f")) == ("cat", "dog")
    coco(tmp_path / "c")
    assert class_names(tmp_path / "c", list_images(tmp_path / "c")) == (
        "Traffic Light",
        "toothbrush",
    )
